"""Probe `layer_norm`: does a batch of 32 give its first 8 rows what 8 rows alone get?"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from ..context import Context
from ..probe import Probe
from ..sentence import autocast

if TYPE_CHECKING:
    import torch

SHAPE = (32, 71, 96)
FIRST = 8


class LayerNorm(Probe):
    """Layer normalisation of random numbers under autocast: of all rows, and of the first 8."""

    name = "layer_norm"
    summary = "layer normalisation of a batch of 32, of its first 8 rows alone, and how far they are apart"
    options: ClassVar[dict[str, Any]] = {"shape": list(SHAPE), "first": FIRST}

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield both outputs, and the largest difference of the rows that they share."""
        import torch

        norm = torch.nn.LayerNorm(SHAPE[-1]).to(context.device)
        rows = torch.randn(SHAPE, generator=context.generator()).to(context.device)
        with autocast(context):
            whole, alone = norm(rows), norm(rows[:FIRST])
        yield "batch32", whole
        yield "first8", alone
        yield "difference", (whole[:FIRST] - alone).abs().max()
