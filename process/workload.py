"""The reading half of a workload: how the lines that its driver prints become rows, tables, pictures and gauges.

A workload is a class behind an entry point of the group `fmbench.workloads`. It imports no torch, and no driver.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from fmbench import plugins
from fmbench.configuration import Configuration
from fmbench.console import warn
from fmbench.figures import plus_minus, significant

from .reading.row import Result
from .reading.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GROUP = "fmbench.workloads"
ORDER = ("speed", "retrieval", "distillation", "fidelity")  # in which tables stand; what others bring comes after

Row = Mapping[str, Any]
Plot = Callable[[Sequence[Result]], "Figure | str"]  # a picture, or why there is none


def plain_text(figure: "Finding") -> str:
    """Return a figure with half its interval, digits ending where doubt begins."""
    if figure.low is None or figure.high is None:
        return significant(figure.value)
    return plus_minus(figure.value, figure.low, figure.high)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as people read them: a header, a line a row, which columns are flush right."""

    header: Sequence[str]
    lines: Sequence[Sequence[str]]
    right: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One figure of a configuration: its value and the 95% interval, what it is of, and why it is in doubt.

    Figures can be held against each other where `of` is the same: a shape, a data set, a reference. Where several
    `ways` led to one (batch sizes), the best counts. `weight` says which of several `of` is told rather.
    """

    value: float
    low: float | None = None
    high: float | None = None
    of: str = ""
    way: str = ""
    weight: float = 0
    doubt: str | None = None
    log: str = ""
    at: float = 0.0  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of the record table: its key, heading and unit, how rows say it, and how it reads.

    `apart` columns stand once for each `of`: nDCG of two data sets are two figures.
    """

    key: str
    heading: str
    read: Callable[[Row], Finding | None]
    less_is_better: bool = False
    apart: bool = False
    text: Callable[[Finding], str] = plain_text


class Workload(ABC):
    """What is measured, and how its lines are read and shown. Pure functions over plain values."""

    name: ClassVar[str]
    columns: ClassVar[Sequence[Column]] = ()  # what its rows say of a configuration

    @abstractmethod
    def rows(self, run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
        """Yield what a run measured, a thing a row. `source` is what messages call its log."""

    @abstractmethod
    def tables(self, rows: Sequence[Row]) -> Sequence[Table]:
        """Return tables of some rows of this workload, each with a line a row that belongs in it."""

    def configuration(self, row: Row) -> Configuration | None:
        """Return what a row is of; None where its log does not say what computed it."""
        facts = row["environment"] or {}
        said = [*(text for text in row["opts"] if ":" in text), *filter(None, [row["overrides"]])]
        return Configuration.of(facts, row["model"], said) if facts.get("platform") else None

    def plots(self) -> Mapping[str, Plot]:
        """Return the pictures that `process --plots` draws of this workload's results, by name."""
        return {}


@cache
def installed() -> Mapping[str, Workload]:
    """Return all workloads by name, ours first. One that cannot be imported is a warning, and the others work."""
    found, warnings = plugins.discover(GROUP)
    workloads: dict[str, Workload] = {}
    for name in sorted(found, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name)):
        try:
            workloads[name] = found[name].load()()
        except plugins.BrokenPluginError as error:
            warnings.append(str(error))
    for text in warnings:
        warn(text)
    return workloads


def workload_of(row: Row) -> Workload:
    """Return the workload that a row is of."""
    for name in ("distillation", "retrieval", "fidelity"):
        if row.get(name) is not None:
            return installed()[name]
    return installed()["speed"]


def remembered(known: dict[tuple[object, ...], str | None], key: tuple[object, ...], row: Row) -> str | None:
    """Return the id of a row's configuration; of rows with the same key, it is made once."""
    if key not in known:
        configuration = workload_of(row).configuration(row)
        known[key] = None if configuration is None else configuration.id
    return known[key]
