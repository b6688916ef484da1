"""Probes of single operations of torch on random numbers."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from ..context import Context
from ..layers import autocast
from ..probe import Probe

if TYPE_CHECKING:
    import torch

LAYER_NORM_SHAPE = (32, 71, 96)
FIRST = 8


class LayerNorm(Probe):
    """Layer normalisation of random numbers under autocast: of all rows, and of the first 8."""

    name = "layer_norm"
    summary = "layer normalisation of a batch of 32, of its first 8 rows alone, and how far they are apart"
    options: ClassVar[dict[str, Any]] = {"shape": list(LAYER_NORM_SHAPE), "first": FIRST}

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield both outputs, and the largest difference of the rows that they share."""
        import torch

        norm = torch.nn.LayerNorm(LAYER_NORM_SHAPE[-1]).to(context.device)
        rows = torch.randn(LAYER_NORM_SHAPE, generator=context.generator()).to(context.device)
        with autocast(context):
            whole, alone = norm(rows), norm(rows[:FIRST])
        yield "batch32", whole
        yield "first8", alone
        yield "difference", (whole[:FIRST] - alone).abs().max()


NORM_SHAPE = (1024, 96)


class Norm(Probe):
    """Uniform numbers before and after normalising, in float32 and float16."""

    name = "norm"
    summary = "F.normalize of uniform random rows, in float32 and float16"
    options: ClassVar[dict[str, Any]] = {"shape": list(NORM_SHAPE)}

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield numbers and their normalised rows."""
        import torch
        from torch.nn.functional import normalize

        drawn = (torch.rand(NORM_SHAPE, generator=context.generator()) * 0.8 - 0.4).to(context.device)
        for name, rows in (("float32", drawn), ("float16", drawn.half())):
            yield f"{name}.before", rows
            yield f"{name}.after", normalize(rows, dim=-1)


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


SUBTRACT_SHAPE = (153_894, 96)


class Subtract(Probe):
    """Two arrays of normal numbers in float16, and their difference; of the two, only a digest's worth is kept."""

    name = "subtract"
    summary = "the difference of two large float16 arrays"
    options: ClassVar[dict[str, Any]] = {"shape": list(SUBTRACT_SHAPE)}

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield the first rows of both, and the whole difference."""
        import torch

        generator = context.generator()
        one, other = (torch.randn(SUBTRACT_SHAPE, generator=generator).half().to(context.device) for _ in range(2))
        yield "minuend", one[:1024]
        yield "subtrahend", other[:1024]
        yield "difference", one - other
