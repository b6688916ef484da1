"""What a model's call returned: numbers for every row. A call that returns none, or for half of them, is not fast."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fmbench.errors import FmbenchError

if TYPE_CHECKING:
    import torch


class OutputError(FmbenchError):
    """A call returned what is no answer to its batch."""


def answer(output: Any, rows: int) -> "torch.Tensor":
    """Return the floating numbers (rows, ...) of an output: its last hidden states, else the first that it holds.

    A model's own output, a tensor, an array, or a mapping or sequence of them. Raises OutputError that says what came.
    """
    import torch

    held = getattr(output, "last_hidden_state", output)
    if isinstance(held, Mapping | Sequence):
        held = next(iter(held.values() if isinstance(held, Mapping) else held), None)
    try:
        found = torch.as_tensor(held)
    except (TypeError, ValueError, RuntimeError):
        came = None if output is None else type(output).__name__
        raise OutputError(f"the call returned {came}, no floating numbers for each of {rows} rows") from None
    shown = f"{str(found.dtype).removeprefix('torch.')} of shape {list(found.shape)}"
    if found.shape[:1] != (rows,) or not found.numel() or not found.is_floating_point():
        raise OutputError(f"the call returned {shown}, no floating numbers for each of {rows} rows")
    return found.detach()


def check_finite(found: "torch.Tensor") -> None:
    """Raise OutputError where numbers are NaN or infinite. The two ends tell, and take no memory beside the numbers."""
    import torch

    if bool(torch.isfinite(found.amin()) & torch.isfinite(found.amax())):  # NaN is at both ends
        return
    lost = found.numel() - int(torch.isfinite(found).sum())
    hint = "; float16 ends at 65,504, bfloat16 does not: --model:dtype bfloat16" if found.dtype == torch.float16 else ""
    raise OutputError(f"the call returned {lost:,} of {found.numel():,} numbers that are NaN or infinite{hint}")


def check_rows(found: "torch.Tensor") -> None:
    """Raise OutputError where all numbers of a row are zero: nothing was computed of it."""
    each = tuple(range(1, found.ndim))
    lost = (found.amin(each) == 0) & (found.amax(each) == 0) if each else found == 0
    if count := int(lost.sum()):
        raise OutputError(f"the call returned zeros throughout for {count} of {len(found)} rows")


def check(platform: Any, output: Any, rows: int, values: bool = True) -> None:
    """Raise OutputError where a call of a platform did not answer a batch of so many rows; `values` are looked at too.

    A platform that builds no model answers nothing.
    """
    if not platform.builds_model:
        return
    found = answer(output, rows)
    if values:
        found = found if platform.runs_torch else found.cpu()
        check_finite(found)
        check_rows(found)
