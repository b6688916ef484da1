"""What follows the pooling: the further modules of a sentence-transformers folder, on torch tensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fmbench.console import warn
from fmbench.digest import digest_of_files
from fmbench.errors import UsageError, first_line
from fmbench.json_file import JsonFile, read_optional, read_required

if TYPE_CHECKING:
    import torch
    from torch import nn

WEIGHTS = "model.safetensors"
SENTENCE = "sentence_embedding"
DENSE_KEYS = ("in_features", "out_features", "bias", "activation_function", "module_input_name", "module_output_name",
              "use_residual")  # fmt: skip
ACTIVATIONS = ("ELU", "GELU", "Hardtanh", "Identity", "LeakyReLU", "Mish", "ReLU", "SELU", "SiLU", "Sigmoid",
               "Softplus", "Softsign", "Tanh")  # fmt: skip


class Step(Protocol):
    """One module. `load` returns it for vectors (n, d), in float32; `key` is what tells it from others."""

    def load(self) -> "nn.Module":
        """Read the weights. Raises UsageError."""

    def key(self) -> Any:
        """Return JSON values: the kind, and a digest of the weights."""


@dataclass(frozen=True)
class Normalise:
    """Divides each vector by its length."""

    def load(self) -> "nn.Module":
        """Return the module."""
        from .network import UnitLength

        return UnitLength()

    def key(self) -> Any:
        """Return the kind."""
        return "normalise"


@dataclass(frozen=True)
class Dense:
    """A linear layer, its activation, and where asked the vector itself added to the result."""

    folder: Path
    activation: str
    residual: bool

    def load(self) -> "nn.Module":
        """Read the weights. Raises UsageError."""
        import torch

        from .network import Linear

        weights = read_weights(self.folder)
        past = layer(weights, "residual") if "residual.weight" in weights else torch.nn.Identity()
        return Linear(layer(weights, "linear"), self.activation, past if self.residual else None)

    def key(self) -> Any:
        """Return the kind, the activation and a digest of the weights."""
        return ["dense", self.activation, self.residual, digest_of_files([weights_file(self.folder)])]


@dataclass(frozen=True)
class LayerNorm:
    """Layer normalisation of the vectors."""

    folder: Path

    def load(self) -> "nn.Module":
        """Read the weights. Raises UsageError."""
        import torch

        from .network import Scale

        weights = read_weights(self.folder)
        norm = torch.nn.LayerNorm(len(weights["norm.weight"]))
        norm.load_state_dict({name: weights[f"norm.{name}"].float() for name in ("weight", "bias")})
        return Scale(norm)

    def key(self) -> Any:
        """Return the kind and a digest of the weights."""
        return ["layer norm", digest_of_files([weights_file(self.folder)])]


def read_dense(folder: Path, level: str = SENTENCE) -> Dense:
    """Read a Dense module's folder. Raises UsageError for one that works on anything but vectors of this level."""
    config = read_required(folder / "config.json")
    check_names(config, level)
    config.note_keys(DENSE_KEYS)
    if "activation_function" not in config.values:
        warn(f"{config.path} names no activation_function; Tanh is assumed, as sentence-transformers does")
    named = config.text("activation_function") if "activation_function" in config.values else "torch.nn.Tanh"
    activation = (named or "").rpartition(".")[2]
    if named is None or not named.startswith("torch.nn.") or activation not in ACTIVATIONS:
        raise UsageError(f"{folder}: activation {named} is not supported (known: {', '.join(ACTIVATIONS)})")
    entering, leaving = config.known_count("in_features"), config.known_count("out_features")
    residual = bool(config.flag("use_residual"))
    expected: dict[str, tuple[int, ...]] = {"linear.weight": (leaving, entering)}
    if config.flag("bias") is not False:
        expected["linear.bias"] = (leaving,)
    if residual and entering != leaving:
        expected["residual.weight"] = (leaving, entering)
    check_weights(folder, expected)
    return Dense(folder, activation, residual)


def read_layer_norm(folder: Path) -> LayerNorm:
    """Read a LayerNorm module's folder. Raises UsageError."""
    dimension = read_required(folder / "config.json").known_count("dimension")
    check_weights(folder, {"norm.weight": (dimension,), "norm.bias": (dimension,)})
    return LayerNorm(folder)


def read_normalise(folder: Path, level: str = SENTENCE) -> Normalise:
    """Read a Normalize module's folder, which may be missing. Raises UsageError for one on vectors of another level."""
    check_names(read_optional(folder / "config.json"), level)
    return Normalise()


def check_names(config: JsonFile, level: str) -> None:
    """Raise UsageError for a module that works on anything but the vectors of a level, a text's or a token's."""
    inside, outside = config.text("module_input_name"), config.text("module_output_name")
    if {inside, outside} - {None, level}:
        raise UsageError(f"{config.path}: a module on {inside or outside} is not supported; only one on {level}")


def check_weights(folder: Path, expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raise UsageError where a module's weights are not those of these names and shapes; torch is not needed."""
    from safetensors import SafetensorError, safe_open

    path = weights_file(folder)
    try:
        with safe_open(path, "numpy") as file:
            names = file.keys()
            found = {name: tuple(file.get_slice(name).get_shape()) for name in names}
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{path}: not readable ({first_line(error)})") from None
    for name in sorted(expected.keys() | found.keys()):
        if found.get(name) != expected.get(name):
            there, asked = (shapes.get(name, "not there") for shapes in (found, expected))
            raise UsageError(f"{path}: {name} is {there}; by {folder.name}/config.json it should be {asked}")


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


def layer(weights: "dict[str, torch.Tensor]", name: str) -> "torch.nn.Linear":
    """Return a linear layer of a module's weights, in float32."""
    import torch

    weight, bias = weights[f"{name}.weight"], weights.get(f"{name}.bias")
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    linear.load_state_dict({"weight": weight.float(), **({} if bias is None else {"bias": bias.float()})})
    return linear
