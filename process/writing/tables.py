"""Which table a result stands in: shapes in one, and what other drivers measured in tables of their own."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..workloads import distillation, retrieval
from . import view
from .view import Lines

# Rows in; a header, a line a row, and which columns are flush right.
Maker = Callable[[Iterable[Mapping[str, Any]]], tuple[Sequence[str], Lines, Sequence[int]]]

SHAPES: Maker = view.cells
OTHERS: tuple[Maker, ...] = (retrieval.cells, distillation.cells)  # in the order that they are shown


def table_of(row: Mapping[str, Any]) -> Maker | None:
    """Return what makes the table that a result stands in; fidelity has several."""
    if row.get("fidelity") is not None:
        return None
    if distillation.is_distillation(row):
        return distillation.cells
    return retrieval.cells if retrieval.is_retrieval(row) else SHAPES
