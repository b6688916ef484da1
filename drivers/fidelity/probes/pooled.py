"""Probe `pooled`: one vector a text, before anything else is done to it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..context import Context
from ..probe import Probe

if TYPE_CHECKING:
    import torch


class Pooled(Probe):
    """The pooled vectors of all texts, float32."""

    name = "pooled"
    summary = "one vector a text, as pooling leaves it"

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield passages and queries."""
        yield "passage", context.pooled("passage")
        yield "query", context.pooled("query")
