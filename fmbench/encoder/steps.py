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
        """Read the weights, to compute with them in float32 on the vectors' device. Raises UsageError."""
        import torch

        weights = read_weights(self.folder)
        linear = layer(weights, "linear", self.folder)
        activation = getattr(torch.nn, self.activation)()
        if not self.residual:
            return lambda vectors: activation(linear.to(vectors.device)(vectors))
        past = layer(weights, "residual", self.folder) if "residual.weight" in weights else torch.nn.Identity()
        return lambda vectors: activation(linear.to(vectors.device)(vectors)) + past.to(vectors.device)(vectors)

    def key(self) -> Any:
        """Return the kind, the activation and a digest of the weights."""
        return ["dense", self.activation, self.residual, digest_of_files([weights_file(self.folder)])]


@dataclass(frozen=True)
class LayerNorm:
    """Layer normalisation of the vectors."""

    folder: Path

    def load(self) -> "Function":
        """Read the weights and return the function."""
        import torch

        weights = read_weights(self.folder)
        try:
            norm = torch.nn.LayerNorm(len(weights["norm.weight"]))
            norm.load_state_dict({name: weights[f"norm.{name}"].float() for name in ("weight", "bias")})
        except KeyError as error:
            raise UsageError(f"{weights_file(self.folder)}: has no {error}") from None
        return lambda vectors: norm.to(vectors.device)(vectors)

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


def layer(weights: "dict[str, torch.Tensor]", name: str, folder: Path) -> "torch.nn.Linear":
    """Return a linear layer of a module's weights, in float32."""
    import torch

    weight, bias = weights.get(f"{name}.weight"), weights.get(f"{name}.bias")
    if weight is None:
        raise UsageError(f"{weights_file(folder)}: has no {name}.weight")
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    linear.load_state_dict({"weight": weight.float(), **({} if bias is None else {"bias": bias.float()})})
    return linear


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
