"""Probe `normalised`: the vectors that a search takes."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..context import Context
from ..probe import Probe

if TYPE_CHECKING:
    import torch


class Normalised(Probe):
    """The vectors of all texts after the folder's further modules, of length 1."""

    name = "normalised"
    summary = "one vector a text, through the folder's further modules, of length 1"

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield passages and queries."""
        yield "passage", context.normalised("passage")
        yield "query", context.normalised("query")
