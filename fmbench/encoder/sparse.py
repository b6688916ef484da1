"""Sparse models (SPLADE): a masked language model whose logits say how much of each word of the vocabulary a text has.

Formal, Lassance, Piwowarski and Clinchant, 2021, SPLADE v2. A vector has a number a word, nearly all of them zero.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmbench.errors import UsageError
from fmbench.json_file import read_required

if TYPE_CHECKING:
    import torch

MODEL_CLASS = "AutoModelForMaskedLM"
STRATEGIES, ACTIVATIONS = ("max", "sum"), ("relu", "log1p_relu")
SIZES = ("embedding_dimension", "word_embedding_dimension")
CLASSES: dict[type, type] = {}


@dataclass(frozen=True)
class Splade:
    """How logits (tokens, words) become a vector (words,): log(1 + relu), of log1p_relu twice, and over tokens."""

    strategy: str = "max"
    activation: str = "relu"

    @classmethod
    def read(cls, path: Path) -> "Splade":
        """Read a SpladePooling module. Raises UsageError for what is not known."""
        config = read_required(path / "config.json")
        config.check_keys((*SIZES, "pooling_strategy", "activation_function", "chunk_size"))
        found = cls(config.text("pooling_strategy") or "max", config.text("activation_function") or "relu")
        if found.strategy not in STRATEGIES or found.activation not in ACTIVATIONS:
            raise UsageError(f"{config.path}: pooling_strategy {found.strategy} and activation_function "
                             f"{found.activation} are not both known")  # fmt: skip
        return found

    @property
    def name(self) -> str:
        """What the recipe calls it, as a pooling."""
        return f"splade_{self.strategy}_{self.activation}"


def splade(hidden: "torch.Tensor", mask: "torch.Tensor | None", how: Splade) -> "torch.Tensor":
    """Return the vectors (n, words) of logits (n, tokens, words); `mask` (n, tokens) has 0 where no token is."""
    import torch

    weights = torch.relu(hidden).log1p_()  # in place: of each token there is a number a word
    if how.activation == "log1p_relu":
        weights = weights.log1p_()
    if mask is not None:
        weights = weights.mul_(mask.to(weights.dtype).unsqueeze(-1))
    return weights.amax(dim=1) if how.strategy == "max" else weights.sum(dim=1)


def say_logits(loaded: Any) -> None:
    """Let a masked language model hand out its logits as hidden states, which is what is pooled here."""
    own = type(loaded)
    if own not in CLASSES:
        CLASSES[own] = type(own.__name__, (own,), {"forward": with_logits(own.forward), "__module__": own.__module__})
    loaded.__class__ = CLASSES[own]


def with_logits(forward: Any) -> Any:
    """Return a forward pass whose last hidden states are the logits of another one's."""
    import functools

    from transformers.modeling_outputs import BaseModelOutput

    @functools.wraps(forward)
    def logits(self: Any, *args: Any, **kwargs: Any) -> Any:
        return BaseModelOutput(last_hidden_state=forward(self, *args, **kwargs).logits)

    return logits
