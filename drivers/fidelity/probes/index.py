"""Probe `index`: a residual-compressed index of token vectors, and one of pooled vectors."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..context import Context
from ..indexes import KINDS, index_of
from ..probe import Probe
from ..residual_index import NAMES, OPTIONS

if TYPE_CHECKING:
    import torch


class Index(Probe):
    """Every part of both indexes, in the order that they are built."""

    name = "index"
    summary = "a residual-compressed index (k-means, codes, packed residuals, inverted lists), of tokens and of texts"
    options = OPTIONS

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield the parts of each."""
        for kind in KINDS:
            index = index_of(context, kind)
            for name in NAMES:
                yield f"{kind}.{name}", index[name]
