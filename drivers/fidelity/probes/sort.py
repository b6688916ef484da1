"""Probe `sort`: torch.sort with many equal values, as an index sorts its codes."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from ..context import Context
from ..probe import Probe

if TYPE_CHECKING:
    import torch

COUNT = 1_146_937
HIGHEST = 16_383


class Sort(Probe):
    """Random integers, sorted: the values, and where they stood. The order of equal ones is nobody's promise."""

    name = "sort"
    summary = "torch.sort of a million integers with ties: values and indices"
    options: ClassVar[dict[str, Any]] = {"count": COUNT, "highest": HIGHEST}

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield values and indices."""
        import torch

        drawn = torch.randint(0, HIGHEST, (COUNT,), generator=context.generator(), dtype=torch.int32)
        found = drawn.to(context.device).sort()
        yield "values", found.values
        yield "indices", found.indices.int()
