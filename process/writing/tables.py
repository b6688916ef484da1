"""Which table a result stands in: shapes in one, and what other drivers measured in tables of their own."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..workloads import distillation, fidelity, retrieval
from . import view
from .view import Lines

# Rows in; a header, a line a row, and which columns are flush right.
Maker = Callable[[Iterable[Mapping[str, Any]]], tuple[Sequence[str], Lines, Sequence[int]]]

SHAPES: Maker = view.cells
OTHERS: tuple[Maker, ...] = (
    retrieval.cells, distillation.cells, fidelity.variant_cells, fidelity.artifact_cells,
)  # in the order that they are shown  # fmt: skip


def table_of(row: Mapping[str, Any]) -> Maker:
    """Return what makes the table that a result stands in."""
    if distillation.is_distillation(row):
        return distillation.cells
    if retrieval.is_retrieval(row):
        return retrieval.cells
    if fidelity.is_variant(row):
        return fidelity.variant_cells
    return fidelity.artifact_cells if fidelity.is_artifact(row) else SHAPES
