"""Probe `norm`: torch.nn.functional.normalize on random numbers."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from ..context import Context
from ..probe import Probe

if TYPE_CHECKING:
    import torch

SHAPE = (1024, 96)


class Norm(Probe):
    """Uniform numbers before and after normalising, in float32 and float16."""

    name = "norm"
    summary = "F.normalize of uniform random rows, in float32 and float16"
    options: ClassVar[dict[str, Any]] = {"shape": list(SHAPE)}

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield numbers and their normalised rows."""
        import torch
        from torch.nn.functional import normalize

        drawn = (torch.rand(SHAPE, generator=context.generator()) * 0.8 - 0.4).to(context.device)
        for name, rows in (("float32", drawn), ("float16", drawn.half())):
            yield f"{name}.before", rows
            yield f"{name}.after", normalize(rows, dim=-1)
