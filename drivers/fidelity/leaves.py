"""The leaf modules of a model, call by call: their tensors seen, or replaced by another capture's."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

INPUTS = "batch."  # what the model was given stands under this

# Sees a call's name and the tensors that go in; may return others to take their place. The same for what comes out.
Enter = Callable[[str, "list[torch.Tensor]"], "list[torch.Tensor] | None"]


def leaves(model: "torch.nn.Module") -> "dict[str, torch.nn.Module]":
    """Return the modules that have no modules below them, by name."""
    return {name: module for name, module in model.named_modules() if name and not next(module.children(), None)}


@contextlib.contextmanager
def watched(model: "torch.nn.Module", enter: Enter, leave: Enter) -> Iterator[None]:
    """Call `enter` before and `leave` after every call of a leaf module.

    A call is named after its module; from the second call of one module on, `#2` and so on follow.
    """
    calls: Counter[str] = Counter()

    def before(name: str) -> Callable[..., Any]:
        def hook(module: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
            calls[name] += 1
            slots = tensor_slots(positional, named)
            replaced = enter(called(name, calls[name]), [slot.value for slot in slots])
            return None if replaced is None else filled(positional, named, slots, replaced)

        return hook

    def after(name: str) -> Callable[..., Any]:
        def hook(module: Any, inputs: Any, output: Any) -> Any:
            several = isinstance(output, tuple)
            replaced = leave(called(name, calls[name]), list(output) if several else [output])
            return None if replaced is None else tuple(replaced) if several else replaced[0]

        return hook

    handles = [
        handle
        for name, module in leaves(model).items()
        for handle in (
            module.register_forward_pre_hook(before(name), with_kwargs=True),
            module.register_forward_hook(after(name)),
        )
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def called(name: str, count: int) -> str:
    """Return what a call is called."""
    return name if count == 1 else f"{name}#{count}"


class Slot:
    """Where a tensor stands among a call's arguments."""

    def __init__(self, key: int | str, value: "torch.Tensor") -> None:
        self.key, self.value = key, value


def tensor_slots(positional: tuple[Any, ...], named: dict[str, Any]) -> list[Slot]:
    """Return the tensors among a call's arguments."""
    import torch

    every: list[tuple[int | str, Any]] = [*enumerate(positional), *named.items()]
    return [Slot(key, value) for key, value in every if isinstance(value, torch.Tensor)]


def filled(
    positional: tuple[Any, ...], named: dict[str, Any], slots: list[Slot], values: "list[torch.Tensor]"
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return a call's arguments with tensors replaced."""
    places, names = list(positional), dict(named)
    for slot, value in zip(slots, values, strict=True):
        if isinstance(slot.key, int):
            places[slot.key] = value
        else:
            names[slot.key] = value
    return tuple(places), names


def observed(model: "torch.nn.Module", placed: "dict[str, torch.Tensor]") -> "list[tuple[str, torch.Tensor]]":
    """Run a model; return the tensors of each call, named `module/input`, `module/output`, and `last`.

    They are copies on the host: a module may change its input in place.
    """
    found: list[tuple[str, torch.Tensor]] = []

    def keep(side: str) -> Enter:
        def see(name: str, tensors: "list[torch.Tensor]") -> None:
            found.extend((label(name, side, place), tensor.cpu().clone()) for place, tensor in enumerate(tensors))

        return see

    with watched(model, keep("input"), keep("output")):
        found.append(("last", model(**placed).last_hidden_state))
    return found


def label(call: str, side: str, place: int) -> str:
    """Return the artifact's name of a call's tensor; the first of its side has no number."""
    return f"{call}/{side}{'' if place == 0 else place}"
