"""Looking inside a model: its layers, and what goes in and out of modules while it runs."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from fmbench.errors import UsageError

if TYPE_CHECKING:
    import torch

Seen = Callable[[str, "torch.Tensor"], None]


def layers(model: "torch.nn.Module") -> "dict[str, torch.nn.Module]":
    """Return a model's layers by name, in order: the longest list of modules of one class. Raises UsageError."""
    import torch

    lists = [(name, found) for name, found in model.named_modules() if isinstance(found, torch.nn.ModuleList)]
    alike = [(name, found) for name, found in lists if len({type(module) for module in found}) == 1]
    if not alike:
        raise UsageError(f"{type(model).__name__}: has no list of layers that a probe could look at")
    name, longest = max(alike, key=lambda pair: len(pair[1]))
    return {f"{name}.{place}": module for place, module in enumerate(longest)}


@contextlib.contextmanager
def layer_outputs(model: "torch.nn.Module", seen: Seen) -> Iterator[None]:
    """Call `seen` with what enters the first layer (`embeddings`) and what leaves each (`layer.0`, ...)."""
    handles = []
    for place, module in enumerate(layers(model).values()):
        if place == 0:
            handles.append(module.register_forward_pre_hook(first_input(seen), with_kwargs=True))
        handles.append(module.register_forward_hook(output_of(f"layer.{place}", seen)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def first_input(seen: Seen) -> Callable[..., None]:
    """Return a hook that passes on what enters a layer, however it is handed over."""

    def hook(module: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen("embeddings", positional[0] if positional else named["hidden_states"])

    return hook


def output_of(name: str, seen: Seen) -> Callable[..., None]:
    """Return a hook that passes on what leaves a layer; of several tensors the first."""

    def hook(module: Any, inputs: Any, output: Any) -> None:
        seen(name, output[0] if isinstance(output, tuple) else output)

    return hook


def layer_by_layer(
    model: "torch.nn.Module", placed: "dict[str, torch.Tensor]", mask: "torch.Tensor"
) -> "list[tuple[str, torch.Tensor]]":
    """Run a model on a placed batch; return what enters and leaves each layer, and the output, `last`.

    Each is (tokens, hidden size): padding is left out by `mask`, one text after the other.
    """
    found: list[tuple[str, torch.Tensor]] = []
    with layer_outputs(model, lambda name, tensor: found.append((name, tensor))):
        last = model(**placed).last_hidden_state
    if tokens_first(model, placed):
        found = [(name, tensor.transpose(0, 1)) for name, tensor in found]
    return [(name, tensor[mask.to(tensor.device)]) for name, tensor in [*found, ("last", last)]]


def tokens_first(model: "torch.nn.Module", placed: "dict[str, torch.Tensor]") -> bool:
    """Return whether layers hand on (tokens, texts, size), as XLNet's do, and not (texts, tokens, size).

    Told from one text alone: a batch may have as many texts as tokens.
    """
    shapes: list[torch.Size] = []
    with layer_outputs(model, lambda name, tensor: shapes.append(tensor.shape)):
        model(**{name: tensor[:1] for name, tensor in placed.items()})
    return shapes[0][0] != 1
