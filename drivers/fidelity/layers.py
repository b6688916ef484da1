"""Looking inside a model: its layers, its leaf modules call by call, and late interaction step by step."""

import contextlib
import copy
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from fmbench.errors import UsageError

from .context import Context

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


INPUTS = "batch."  # what the model was given stands under this

# Sees a call's name and the tensors that go in; may return others to take their place. The same for what comes out.
Enter = Callable[[str, "list[torch.Tensor]"], "list[torch.Tensor] | None"]


def leaves(model: "torch.nn.Module") -> "dict[str, torch.nn.Module]":
    """Return the modules that have no modules below them, by name."""
    return {name: module for name, module in model.named_modules() if name and not next(module.children(), None)}


@contextlib.contextmanager
def watch(model: "torch.nn.Module", enter: Enter, leave: Enter) -> Iterator[None]:
    """Call `enter` before and `leave` after every call of a leaf module.

    A call is named after its module; from the second call of one module on, `#2` and so on follow.
    """
    calls: Counter[str] = Counter()

    def before(name: str) -> Callable[..., Any]:
        def hook(module: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
            calls[name] += 1
            slots = tensor_slots(positional, named)
            replaced = enter(name_of_call(name, calls[name]), [slot.value for slot in slots])
            return None if replaced is None else fill(positional, named, slots, replaced)

        return hook

    def after(name: str) -> Callable[..., Any]:
        def hook(module: Any, inputs: Any, output: Any) -> Any:
            several = isinstance(output, tuple)
            replaced = leave(name_of_call(name, calls[name]), list(output) if several else [output])
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


def name_of_call(name: str, count: int) -> str:
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


def fill(
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


def observe(model: "torch.nn.Module", placed: "dict[str, torch.Tensor]") -> "list[tuple[str, torch.Tensor]]":
    """Run a model; return the tensors of each call, named `module/input`, `module/output`, and `last`.

    They are copies on the host: a module may change its input in place.
    """
    found: list[tuple[str, torch.Tensor]] = []

    def keep(side: str) -> Enter:
        def see(name: str, tensors: "list[torch.Tensor]") -> None:
            found.extend((label(name, side, place), tensor.cpu().clone()) for place, tensor in enumerate(tensors))

        return see

    with watch(model, keep("input"), keep("output")):
        found.append(("last", model(**placed).last_hidden_state))
    return found


def label(call: str, side: str, place: int) -> str:
    """Return the artifact's name of a call's tensor; the first of its side has no number."""
    return f"{call}/{side}{'' if place == 0 else place}"


SENTENCE = "The flow of air over a wing, near the speed of sound, makes a shock wave; its place decides the drag."
EIGHT = tuple(f"{SENTENCE} {'It does so again. ' * count}".strip() for count in range(8))  # of eight lengths


def steps(context: Context, texts: list[str]) -> "Iterator[tuple[str, torch.Tensor]]":
    """Yield the layers of a batch of texts, and what the head makes of the last one."""
    from torch.nn.functional import normalize

    from fmbench.encoder.network import UnitLength

    inputs = context.one_batch(texts)
    mask = inputs["attention_mask"].bool()
    found = layer_by_layer(context.model, context.place(inputs), mask)
    yield from found
    last = projected = found[-1][1]
    for step in context.encoder.head.steps:
        if not isinstance(step, UnitLength):
            projected = copy.deepcopy(step).to(last.device, last.dtype)(projected)
    kept = context.kept(inputs)[mask].to(last.device)
    masked = projected * kept[:, None]
    yield "linear", projected
    yield "mask", masked
    yield "norm", normalize(masked, dim=-1)


def weight_digests(model: "torch.nn.Module") -> "torch.Tensor":
    """Return the sha256 of each parameter and buffer, (n, 32) bytes: equal weights have equal rows."""
    import torch

    rows = []
    for tensor in model.state_dict().values():
        data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        rows.append(list(hashlib.sha256(data.tobytes()).digest()))
    return torch.tensor(rows, dtype=torch.uint8)


def autocast(context: Context) -> "contextlib.AbstractContextManager[Any]":
    """Return torch's mixed precision on the model's device, in bfloat16."""
    import torch

    return torch.autocast(context.device.type, dtype=torch.bfloat16)
