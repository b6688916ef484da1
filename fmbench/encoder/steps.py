"""What follows the pooling: the further modules of a sentence-transformers folder, on torch tensors."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fmbench.digest import digest_of_files
from fmbench.errors import UsageError, first_line

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    Function = Callable[[torch.Tensor], torch.Tensor]

WEIGHTS = "model.safetensors"
ACTIVATIONS = ("ELU", "GELU", "Hardtanh", "Identity", "LeakyReLU", "Mish", "ReLU", "SELU", "SiLU", "Sigmoid",
               "Softplus", "Softsign", "Tanh")  # fmt: skip


class Step(Protocol):
    """One module. `load` returns what it does to vectors (n, d); `key` is what tells it from others."""

    def load(self) -> "Function":
        """Read the weights and return the function."""

    def key(self) -> Any:
        """Return JSON values: the kind, and a digest of the weights."""


@dataclass(frozen=True)
class Normalise:
    """Divides each vector by its length."""

    def load(self) -> "Function":
        """Return the function."""
        from torch.nn.functional import normalize

        return lambda vectors: normalize(vectors, p=2, dim=-1)

    def key(self) -> Any:
        """Return the kind."""
        return "normalise"


@dataclass(frozen=True)
class Dense:
    """A linear layer, its activation, and where asked the vector itself added to the result."""

    folder: Path
    activation: str
    residual: bool

    def load(self) -> "Function":
        """Read the weights; they are computed with in float32 on the vectors' device."""
        import torch
        from torch.nn.functional import linear

        weights = {name: tensor.float() for name, tensor in read_weights(self.folder).items()}
        activation = getattr(torch.nn, self.activation)()

        def dense(vectors: "torch.Tensor") -> "torch.Tensor":
            there = {name: tensor.to(vectors.device) for name, tensor in weights.items()}
            result: torch.Tensor = activation(linear(vectors, there["linear.weight"], there.get("linear.bias")))
            if not self.residual:
                return result
            return result + (linear(vectors, there["residual.weight"]) if "residual.weight" in there else vectors)

        return dense

    def key(self) -> Any:
        """Return the kind, the activation and a digest of the weights."""
        return ["dense", self.activation, self.residual, digest_of_files([weights_file(self.folder)])]


@dataclass(frozen=True)
class LayerNorm:
    """Layer normalisation of the vectors."""

    folder: Path

    def load(self) -> "Function":
        """Read the weights and return the function."""
        from torch.nn.functional import layer_norm

        weights = {name: tensor.float() for name, tensor in read_weights(self.folder).items()}
        scale, shift = weights["norm.weight"], weights["norm.bias"]
        return lambda vectors: layer_norm(vectors, scale.shape, scale.to(vectors.device), shift.to(vectors.device))

    def key(self) -> Any:
        """Return the kind and a digest of the weights."""
        return ["layer norm", digest_of_files([weights_file(self.folder)])]


def read_dense(folder: Path) -> Dense:
    """Read a Dense module's folder. Raises UsageError for one that works on anything but the text's vector."""
    config = read_json(folder / "config.json")
    inside, outside = config.get("module_input_name"), config.get("module_output_name")
    if {inside, outside} - {None, "sentence_embedding"}:
        raise UsageError(f"{folder}: a Dense module on {inside or outside} is not supported; only one on the sentence")
    named = str(config.get("activation_function", "torch.nn.Tanh"))
    activation = named.rpartition(".")[2]
    if not named.startswith("torch.nn.") or activation not in ACTIVATIONS:
        raise UsageError(f"{folder}: activation {named} is not supported (known: {', '.join(ACTIVATIONS)})")
    weights_file(folder)
    return Dense(folder, activation, bool(config.get("use_residual")))


def read_layer_norm(folder: Path) -> LayerNorm:
    """Read a LayerNorm module's folder."""
    weights_file(folder)
    return LayerNorm(folder)


def weights_file(folder: Path) -> Path:
    """Return where a module's weights are. Raises UsageError where there are none, or pickled ones only."""
    if (folder / WEIGHTS).is_file():
        return folder / WEIGHTS
    if (folder / "pytorch_model.bin").is_file():
        raise UsageError(
            f"{folder}: the weights are pickled (pytorch_model.bin), which can run code; convert them to {WEIGHTS}"
        )
    raise UsageError(f"{folder}: holds no {WEIGHTS}")


def read_weights(folder: Path) -> "dict[str, torch.Tensor]":
    """Read a module's weights. Raises UsageError for a damaged file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = weights_file(folder)
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{path}: not readable ({first_line(error)})") from None


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; an empty one where the file is missing. Raises UsageError for a damaged file."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: not readable as JSON ({first_line(error)})") from None
    if not isinstance(found, dict):
        raise UsageError(f"{path}: holds no JSON object")
    return found
