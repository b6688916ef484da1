"""What a model was given, and what its call returned: all inputs, and numbers for every row and every token."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fmbench.errors import FmbenchError, PlatformError, is_out_of_memory, one_line

if TYPE_CHECKING:
    import torch


WEIGHTS = "; check the weights, or try another --model:dtype"


class OutputError(PlatformError):
    """A call returned what is no answer to its batch."""


def placed(platform: Any, batch: dict[str, Any]) -> Any:
    """Return a batch where a platform wants it. Raises PlatformError for an input that is lost, or of another shape."""
    found = platform.place(batch)
    for name, tensor in batch.items():
        came = list(found[name].shape) if name in found else None
        if came != list(tensor.shape):
            lost = f"without {name}" if came is None else f"with {name} of shape {came}, not {list(tensor.shape)}"
            raise PlatformError(f"{platform.title()}: place() returns the batch where the model wants it; not {lost}")
    return found


def blamed(platform: Any, forward: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a call that names its platform where it raises. Memory that ran out is left as it is: others free some."""

    def call(batch: Any) -> Any:
        try:
            return forward(batch)
        except FmbenchError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            why = f"{type(error).__name__}: {one_line(error)}"
            raise OutputError(f"{platform.title()}: prepare(): the call raised {why}") from error

    return call


def answer(output: Any, shape: Sequence[int]) -> "torch.Tensor":
    """Return the floating numbers of an output: its last hidden states, else the first that it holds.

    A model's own output, a tensor, an array, or a mapping or sequence of them. `shape` is that of the numbers, or the
    rows alone (rows,) where no more is known. Raises OutputError that says what came.
    """
    import torch

    held = first = getattr(output, "last_hidden_state", output)
    if isinstance(held, Mapping | Sequence):
        first = next(iter(held.values() if isinstance(held, Mapping) else held), None)
    try:
        found = torch.as_tensor(first)
    except (TypeError, ValueError, RuntimeError):
        came = None if output is None else type(output).__name__
        raise OutputError(f"the call returned {came}, {none_of(shape)}") from None
    several = f"{type(held).__name__} of {len(held)}, the first " if first is not held else ""
    shown = f"{several}{str(found.dtype).removeprefix('torch.')} of shape {list(found.shape)}"
    known = found.shape[: 1 if len(shape) == 1 else None]
    if known != tuple(shape) or not found.numel() or not found.is_floating_point():
        raise OutputError(f"the call returned {shown}, {none_of(shape)}")
    return found.detach()


def none_of(shape: Sequence[int]) -> str:
    """Return what an output lacks that is no answer of a shape."""
    return f"no floating numbers {f'for each of {shape[0]} rows' if len(shape) == 1 else f'of shape {list(shape)}'}"


def check_finite(found: "torch.Tensor") -> None:
    """Raise OutputError where numbers are NaN or infinite. The two ends tell, and take no memory beside the numbers."""
    import torch

    if bool(torch.isfinite(found.amin()) & torch.isfinite(found.amax())):  # NaN is at both ends
        return
    lost = found.numel() - int(torch.isfinite(found).sum())
    hint = "; float16 ends at 65,504, bfloat16 does not: --model:dtype bfloat16" if found.dtype == torch.float16 else ""
    raise OutputError(
        f"the call returned {lost:,} of {found.numel():,} numbers that are NaN or infinite{hint or WEIGHTS}"
    )


def check_rows(found: "torch.Tensor") -> None:
    """Raise OutputError where all numbers of a row are zero: nothing was computed of it."""
    each = tuple(range(1, found.ndim))
    lost = (found.amin(each) == 0) & (found.amax(each) == 0) if each else found == 0
    if count := int(lost.sum()):
        raise OutputError(f"the call returned zeros throughout for {count} of {len(found)} rows")


def check(platform: Any, output: Any, shape: Sequence[int], values: bool = True) -> None:
    """Raise OutputError where a call did not answer its batch; `shape` is as for `answer`, `values` are looked at too.

    A platform that builds no model answers nothing.
    """
    if not platform.builds_model:
        return
    try:
        found = answer(output, shape)
        if values:
            found = found if platform.runs_torch else found.cpu()
            found = found.float() if found.dtype.itemsize == 1 else found  # torch has no least number of 8 bits
            check_finite(found)
            check_rows(found)
    except OutputError as error:
        raise OutputError(f"{platform.title()}: prepare(): {error}") from None
