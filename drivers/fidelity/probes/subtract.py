"""Probe `subtract`: a difference in half precision, as an index takes its residuals."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from ..context import Context
from ..probe import Probe

if TYPE_CHECKING:
    import torch

SHAPE = (153_894, 96)


class Subtract(Probe):
    """Two arrays of normal numbers in float16, and their difference; of the two, only a digest's worth is kept."""

    name = "subtract"
    summary = "the difference of two large float16 arrays"
    options: ClassVar[dict[str, Any]] = {"shape": list(SHAPE)}

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield the first rows of both, and the whole difference."""
        import torch

        generator = context.generator()
        one, other = (torch.randn(SHAPE, generator=generator).half().to(context.device) for _ in range(2))
        yield "minuend", one[:1024]
        yield "subtrahend", other[:1024]
        yield "difference", one - other
