"""The reading half of a workload: how the lines that its driver prints become rows, tables, pictures and gauges.

A workload is a class behind an entry point of the group `fmbench.workloads`. It imports no torch, and no driver.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from fmbench import plugins
from fmbench.console import warn
from fmbench.lines import CORE, POSITIONAL, JsonLine

from .reading import schema
from .reading.fields import ROW
from .reading.row import Result, row_of
from .reading.run import Run
from .reading.schema import Schema

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What a workload is written with.
__all__ = ["JsonLine", "Plot", "Result", "Row", "Run", "Schema", "Table", "Workload", "schema"]

GROUP = "fmbench.workloads"
ORDER = ("speed", "retrieval", "distillation", "fidelity")  # in which tables stand; what others bring comes after

Row = Mapping[str, Any]
Plot = Callable[[Sequence[Result]], "Figure | str"]  # a picture, or why there is none


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as people read them: a header, a line a row, which columns are flush right."""

    header: Sequence[str]
    lines: Sequence[Sequence[str]]
    right: Sequence[int] = ()


class Workload(ABC):
    """What is measured, and how its lines are read and shown. Pure functions over plain values."""

    name: ClassVar[str]
    engine: ClassVar[str]  # what rows say that the figures are from
    kinds: ClassVar[Mapping[str, Schema]]  # the JSON lines that are its own
    sections: ClassVar[Mapping[str, Schema]]  # what its rows have beside the keys that all have

    def collect(self, run: Run, line: JsonLine) -> None:
        """Take one line in, of which all that is not as `kinds` says was taken out."""
        run.lines_of(self.name).append(line)

    def blame(self, run: Run, line: JsonLine, reason: str) -> None:
        """Say in the rows that a line speaks of that something of it was refused: in all, where it is not known."""
        run.raise_doubt(reason)

    def row(self, run: Run, metadata_id: str | None, variant: str | None = None) -> dict[str, Any]:
        """Return a row without its figures."""
        return {**row_of(run, metadata_id, variant), "engine": self.engine, "workload": self.name}

    @abstractmethod
    def rows(self, run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
        """Yield what a run measured, a thing a row. `source` is what messages call its log."""

    @abstractmethod
    def label(self, row: Row) -> str:
        """Return what a message calls a row, and what it is the newest of in a log that a run went on with."""

    def tables(self, rows: Sequence[Row]) -> Sequence[Table]:
        """Return tables of some rows of this workload, each with a line a row that belongs in it."""
        return []

    def plots(self) -> Mapping[str, Plot]:
        """Return the pictures that `process --plots` draws of this workload's results, by name."""
        return {}


@cache
def installed() -> Mapping[str, Workload]:
    """Return all workloads by name, ours first.

    One that cannot be imported is a warning, and so is one with a kind of line or a section that is another's; the
    others work.
    """
    found, warnings = plugins.discover(GROUP)
    workloads: dict[str, Workload] = {}
    taken = {*CORE, *POSITIONAL, *(key for key, one in ROW.items() if one is not None)}
    for name in sorted(found, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name)):
        try:
            workload: Workload = found[name].load()()
        except plugins.BrokenPluginError as error:
            warnings.append(str(error))
            continue
        if shared := sorted(taken & {*workload.kinds, *workload.sections}):
            warnings.append(f"workload {name!r} is ignored: {', '.join(shared)} is another's")
            continue
        taken |= {*workload.kinds, *workload.sections}
        workloads[name] = workload
    for text in warnings:
        warn(text)
    return workloads
