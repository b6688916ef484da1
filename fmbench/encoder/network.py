"""What a folder's modules compute, as torch modules: from token ids to a text's vector. Imports torch."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

from .pooling import pool

State = Any  # what a recurrent cell carries: a tensor (GRU) or a pair of them (LSTM)


class UnitLength(nn.Module):
    """Divides each vector by its length."""

    kind = "Normalize"

    def forward(self, vectors: Tensor) -> Tensor:
        """Return vectors (n, d) of length one; zeros stay."""
        return functional.normalize(vectors, p=2, dim=-1)

    def settings(self) -> dict[str, Any]:
        """Return its config.json."""
        return {}


class Linear(nn.Module):
    """A linear layer, its activation, and where asked the vector itself added to the result."""

    kind = "Dense"

    def __init__(self, linear: nn.Linear, activation: str = "Identity", residual: nn.Module | None = None) -> None:
        super().__init__()
        self.linear, self.residual = linear, residual
        self.activation = getattr(nn, activation)()

    def forward(self, vectors: Tensor) -> Tensor:
        """Return vectors (n, out_features)."""
        found = self.activation(self.linear(vectors))
        return found if self.residual is None else found + self.residual(vectors)

    def settings(self) -> dict[str, Any]:
        """Return its config.json."""
        name = type(self.activation)
        found = {
            "in_features": self.linear.in_features, "out_features": self.linear.out_features,
            "bias": self.linear.bias is not None, "activation_function": f"{name.__module__}.{name.__name__}",
        }  # fmt: skip
        return found if self.residual is None else {**found, "use_residual": True}


class Scale(nn.Module):
    """Layer normalisation of the vectors."""

    kind = "LayerNorm"

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, vectors: Tensor) -> Tensor:
        """Return vectors (n, d)."""
        return self.norm(vectors)

    def settings(self) -> dict[str, Any]:
        """Return its config.json."""
        return {"dimension": self.norm.normalized_shape[0]}


def projection(width: int, dimensions: int) -> nn.Linear:
    """Return a linear layer without bias that begins as the identity, as far as the sizes allow."""
    layer = nn.Linear(width, dimensions, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(dimensions, width))
    return layer


class Head(nn.Module):
    """What becomes of pooled vectors: the further modules, the first dimensions, and unit length where asked."""

    def __init__(
        self, steps: Iterable[nn.Module] = (), truncate_dim: int | None = None, normalise: bool = False
    ) -> None:
        super().__init__()
        self.steps = nn.ModuleList(steps)
        self.truncate_dim = truncate_dim
        self.normalise = normalise

    def forward(self, vectors: Tensor) -> Tensor:
        """Return vectors (n, dimensions) of pooled ones (n, width)."""
        for step in self.steps:
            vectors = step(vectors)
        if self.truncate_dim is not None:
            vectors = vectors[:, : self.truncate_dim]
        return functional.normalize(vectors, p=2, dim=-1) if self.normalise else vectors


class Network(nn.Module, ABC):
    """A query encoder, or a passage encoder, in training or in service.

    `special_tokens` says whether the tokenizer adds them ([CLS], [SEP]); `types` whether token types of zero count;
    `dimensions` is the size of a vector.
    """

    special_tokens: ClassVar[bool] = True
    types: bool = False
    dimensions: int

    @abstractmethod
    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Return vectors (n, dimensions) of token ids (n, tokens) and their mask of ones and zeros."""

    def vectors(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Return normalised vectors (n, dimensions); a row without tokens gives zeros."""
        return functional.normalize(self(input_ids, attention_mask, token_type_ids).float(), dim=1)


class TransformerNetwork(Network):
    """A transformer of the transformers library, pooled as `fmbench.encoder.pooling` says, and its head."""

    def __init__(
        self, model: Any, pooling: Sequence[str] = ("mean",), head: Head | None = None, prompt_length: int = 0,
        types: bool = False,
    ) -> None:  # fmt: skip
        """Take the model without its pooler, through which no vector goes; `prompt_length` tokens are not pooled.

        Raises RuntimeError for a head that does not take what is pooled.
        """
        super().__init__()
        if getattr(model, "pooler", None) is not None:
            model.pooler = None
        self.model, self.pooling, self.head = model, tuple(pooling), head or Head()
        self.prompt_length, self.types = prompt_length, types
        with torch.no_grad():
            self.dimensions = int(self.head(torch.zeros(1, self.width)).shape[1])

    @property
    def width(self) -> int:
        """Numbers of a text once it is pooled."""
        return int(self.model.config.get_text_config().hidden_size) * len(self.pooling)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Return vectors as the folder and the command line have them."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        states = self.model(input_ids=input_ids, attention_mask=attention_mask, **types).last_hidden_state
        return self.head(pool(states, attention_mask, self.pooling, self.prompt_length))

    def train(self, mode: bool = True) -> Self:
        """Leave the model in evaluation mode: a student that imitates has targets enough, dropout only slows it."""
        super().train(mode)
        self.model.eval()
        return self


class TableNetwork(Network):
    """The mean of a text's rows in one table, and nothing else: a StaticEmbedding."""

    special_tokens = False

    def __init__(self, table: Tensor) -> None:
        """Take the table (tokens, dimensions)."""
        super().__init__()
        self.dimensions = table.shape[1]
        self.table = nn.Embedding.from_pretrained(table.detach().clone(), freeze=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Return the mean row of each text."""
        return pool(self.table(input_ids), attention_mask, ("mean",))

    @torch.no_grad()
    def folded(self) -> Tensor:
        """Return the table."""
        return self.table.weight


class FeedForward(nn.Module):
    """BERT's feed-forward block (Devlin et al., 2018): four times as wide and back, added to its input, normalised."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.wide, self.back, self.norm = nn.Linear(width, 4 * width), nn.Linear(4 * width, width), nn.LayerNorm(width)

    def forward(self, vectors: Tensor) -> Tensor:
        """Return vectors (n, width)."""
        return self.norm(vectors + self.back(functional.gelu(self.wide(vectors))))


class RecurrentNetwork(Network):
    """A GRU or LSTM over word embeddings: the last layer's final hidden state, through `ff` feed-forward blocks.

    `advance` takes tokens as they come and gives the same vector as `forward` on all of them, so that after
    submission only the last word is computed.
    """

    special_tokens = False

    def __init__(
        self, cell: str, table: Tensor, dimensions: int, free: bool, layers: int = 1,
        hidden_size: int | None = None, ff: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.cell = cell
        self.dimensions = dimensions
        self.table = nn.Embedding.from_pretrained(table.detach().clone(), freeze=not free)
        width = hidden_size or dimensions
        network = {"gru": nn.GRU, "lstm": nn.LSTM}[cell]
        self.network = network(table.shape[1], width, num_layers=layers, batch_first=True)
        self.ff = nn.Sequential(*(FeedForward(width) for _ in range(ff)))
        self.projection = None if width == dimensions else projection(width, dimensions)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Return the state after each row's last token; zeros for a row without tokens."""
        lengths = attention_mask.sum(dim=1).long()
        packed = pack_padded_sequence(
            self.table(input_ids), lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
        )
        _, state = self.network(packed)
        return self.vector(state) * (lengths > 0).unsqueeze(1)

    def settings(self) -> dict[str, Any]:
        """Return what it is built from again, as JSON values."""
        return {
            "cell": self.cell, "layers": self.network.num_layers, "hidden_size": self.network.hidden_size,
            "dimensions": self.dimensions, "vocabulary": self.table.num_embeddings, "width": self.table.embedding_dim,
            "ff": len(self.ff),
        }  # fmt: skip

    @classmethod
    def empty(cls, settings: Mapping[str, Any]) -> Self:
        """Return an untrained one of these settings, whose weights are to be loaded; earlier versions had no `ff`."""
        return cls(
            settings["cell"], torch.zeros(settings["vocabulary"], settings["width"]), settings["dimensions"], False,
            settings["layers"], settings["hidden_size"], settings.get("ff", 0),
        )  # fmt: skip

    def advance(self, ids: Tensor, state: State | None = None) -> State:
        """Return the state after further tokens (1, tokens); without a state, from the beginning."""
        return self.network(self.table(ids), state)[1]

    def vector(self, state: State) -> Tensor:
        """Return the vectors (n, dimensions) of a state, not normalised."""
        hidden = self.ff((state[0] if self.cell == "lstm" else state)[-1])
        return hidden if self.projection is None else self.projection(hidden)

    @torch.inference_mode()
    def vectors_of_state(self, state: State) -> Tensor:
        """Return the normalised vectors of a state."""
        return functional.normalize(self.vector(state), dim=1)
