"""Probe `search`: what the queries find, in the compressed indexes and exactly."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from ..context import Context
from ..indexes import DEPTH, KINDS, index_of, ranked_exactly, ranked_in
from ..probe import Probe
from ..residual_index import OPTIONS, SEARCH_OPTIONS

if TYPE_CHECKING:
    from ..probe import Output


class Search(Probe):
    """Rankings of all queries: by one vector a text and by MaxSim over token vectors, compressed and exact."""

    name = "search"
    summary = "the ten best passages of each query, in each index and exactly"
    options: ClassVar[dict[str, Any]] = {**OPTIONS, **SEARCH_OPTIONS, "depth": DEPTH, "ignore_identical_ids": True}

    def run(self, context: Context) -> "Iterator[Output]":
        """Yield a ranking a kind of vectors and way to search."""
        for kind in KINDS:
            yield f"{kind}.index", ranked_in(context, kind, index_of(context, kind))
            yield f"{kind}.exact", ranked_exactly(context, kind)
