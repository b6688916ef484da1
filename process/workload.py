"""The reading half of a workload: how the lines that its driver prints become rows, tables, pictures and gauges.

A workload is a class behind an entry point of the group `fmbench.workloads`. It imports no torch, and no driver.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from fmbench import plugins
from fmbench.console import warn

from .reading.row import Result
from .reading.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GROUP = "fmbench.workloads"
ORDER = ("speed", "retrieval", "distillation", "fidelity")  # in which tables stand; what others bring comes after

Row = Mapping[str, Any]
Plot = Callable[[Sequence[Result]], "Figure | str"]  # a picture, or why there is none


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as people read them: a header, a line a row, which columns are flush right, sentences that stand below.

    `sources` are the logs of the lines: `show` names them where there are several.
    """

    header: Sequence[str]
    lines: Sequence[Sequence[str]]
    right: Sequence[int] = ()
    sources: Sequence[str] = ()
    notes: Sequence[str] = ()
    title: str = ""


class Workload(ABC):
    """What is measured, and how its lines are read and shown. Pure functions over plain values."""

    name: ClassVar[str]

    @abstractmethod
    def rows(self, run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
        """Yield what a run measured, a thing a row. `source` is what messages call its log."""

    @abstractmethod
    def tables(self, results: Sequence[Result]) -> Sequence[Table]:
        """Return tables of results of this workload."""

    def plots(self) -> Mapping[str, Plot]:
        """Return the pictures that `process --plots` draws of this workload's results, by name."""
        return {}


def workload_name(row: Row) -> str:
    """Return the name of the workload that a row is of; rows of old say it by what they have."""
    return row.get("workload") or next((name for name in reversed(ORDER) if row.get(name) is not None), ORDER[0])


def by_workload(results: Iterable[Result]) -> list[tuple[Workload, list[Result]]]:
    """Return results by the workload that they are of, in the order of their tables."""
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(workload_name(result.row), []).append(result)
    return [(workload, found[name]) for name, workload in installed().items() if name in found]


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
