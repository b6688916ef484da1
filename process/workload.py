"""The reading half of a workload: how the lines that its driver prints become rows, tables, pictures and gauges.

A workload is a class behind an entry point of the group `fmbench.workloads`. It imports no torch, and no driver.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from fmbench import plugins
from fmbench.configuration import Configuration, options_of
from fmbench.console import warn
from fmbench.errors import one_line
from fmbench.facts import flat
from fmbench.figures import plus_minus, ratio_text, significant
from fmbench.lines import CORE, POSITIONAL, JsonLine

from .reading import schema
from .reading.fields import ROW
from .reading.row import Result, row_of
from .reading.run import MISREAD, Run
from .reading.schema import Schema
from .writing.view import CONFIGURATION, table_of, text, trust

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What a workload is written with.
__all__ = ["JsonLine", "Plot", "Result", "Row", "Run", "Schema", "Table", "Workload", "schema"]

GROUP = "fmbench.workloads"
ORDER = (
    "choice",
    "speed",
    "load",
    "retrieval",
    "quality",
    "distillation",
    "fidelity",
)  # in which tables stand; what others bring comes after

Row = Mapping[str, Any]
Plot = Callable[[Sequence[Result]], "Figure | str"]  # a picture, or why there is none


def plain_text(figure: "Finding") -> str:
    """Return a figure with half its interval, digits ending where doubt begins."""
    return interval_text(figure, plus_minus)


def times_text(figure: "Finding") -> str:
    """Return a ratio with both ends of its interval."""
    return interval_text(figure, ratio_text)


def interval_text(figure: "Finding", between: Callable[[float, float, float], str]) -> str:
    """Return a figure `between` the ends of its interval, or without one."""
    if figure.low is None or figure.high is None:
        return significant(figure.value)
    return between(figure.value, figure.low, figure.high)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as people read them: a header, a line a row, which columns are flush right, sentences that stand below.

    `sources` are the logs of the lines: `show` names them where there are several. `title` is a heading, `lead` are
    sentences right below it, above the lines. `code` are commands and programs to paste, which stand last.
    """

    header: Sequence[str]
    lines: Sequence[Sequence[str]]
    right: Sequence[int] = ()
    sources: Sequence[str] = ()
    notes: Sequence[str] = ()
    title: str = ""
    code: Sequence[str] = ()
    lead: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Gauge:
    """A figure of a row: its name below `fmbench_` in OpenMetrics, its unit, the column that it shows.

    `convert` makes what the column holds the unit's. `chart` is what experiment trackers call the column itself, its
    unit in its name; they are told of no gauge without one.
    """

    name: str
    unit: str
    help: str
    column: str
    convert: Callable[[Any], float] = float
    chart: str | None = None

    @property
    def family(self) -> str:
        """Its whole name in OpenMetrics."""
        return "_".join(part for part in ("fmbench", self.name, self.unit) if part)


def thousandth(milliseconds: float) -> float:
    """Return seconds."""
    return round(milliseconds / 1000, 12)


@dataclass(frozen=True, slots=True)
class Finding:
    """One figure of a configuration: its value and the 95% interval, what it is of, and why it is in doubt.

    Figures can be held against each other where `of` is the same (a shape, a data set), and `same`: a digest of what
    else must not differ, such as texts, judgements and prompts. Where several
    `ways` led to one (batch sizes), the best counts. `weight` says which of several `of` is told rather.
    """

    value: float
    low: float | None = None
    high: float | None = None
    of: str = ""
    way: str = ""
    weight: float = 0
    same: str = ""
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
    """What is measured, and how its lines are read and shown. Pure functions over plain values.

    What a row has of this workload alone stands below a key of the workload's name.
    """

    name: ClassVar[str]
    gauges: ClassVar[Sequence[Gauge]] = ()  # besides those of every row (openmetrics.COMMON)
    labels: ClassVar[Mapping[str, str]] = {}  # of gauges: the columns that tell the rows of one configuration apart
    charted: ClassVar[str | None] = None  # a column below which all numbers are told to trackers by their own names
    answers: ClassVar[bool] = False  # whether its tables open with what to run: then nothing else says it
    panel: ClassVar[str | None] = None  # JavaScript of the dashboard's panel
    columns: ClassVar[Sequence[Column]] = ()  # what its rows say of a configuration
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

    def doubt(self, row: Row) -> str | None:
        """Return why a row that JSON holds is not to be believed, by itself: its log is not at hand."""

    def doubts(self, rows: Sequence[Row]) -> Sequence[str | None]:
        """Return the same of each of the rows that JSON holds of what `answers`: they say one thing together."""
        return [self.doubt(row) for row in rows]

    def label(self, row: Row) -> str:
        """Return what a message or a chart calls a row of a run."""
        known = flat(row)
        return ", ".join(str(known[name]) for name in self.labels.values() if known.get(name) is not None) or self.name

    def answer(self, results: Sequence[Result]) -> Sequence[str]:
        """Return sentences that say what to run. By default there are none."""
        del results
        return ()

    def tables(self, results: Sequence[Result]) -> Sequence[Table]:
        """Return tables of results of this workload, a line a result. By default all that stands below its key."""
        return [own_table(results)]

    def configuration(self, row: Row) -> Configuration | None:
        """Return what a row is of; None where its log does not say what computed it."""
        facts = row["environment"] or {}
        said = [*options_of(row["opts"], facts), *filter(None, [row["overrides"]])]
        return Configuration.of(facts, row["model"], said) if facts.get("platform") else None

    def plots(self) -> Mapping[str, Plot]:
        """Return the pictures of this workload's results that `process --plots` draws, by name. Imports matplotlib."""
        return {}

    def news(self, kind: str, data: Row) -> str | None:
        """Return what `process --follow` prints of a line that was read, one row of text; of most lines nothing."""


class Unknown(Workload):
    """Any workload that is not installed here: of its results, as JSON has them, there is a table at least."""

    name: ClassVar[str] = "unknown"

    def rows(self, run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
        """Yield nothing: nobody knows its lines."""
        return iter(())


def own_table(results: Sequence[Result]) -> Table:
    """Return the configuration of results and every text, number and truth below the key of their workload."""
    rows = [result.row for result in results]
    found = [flat(row.get(row["workload"]) or {}) for row in rows]
    names = list(dict.fromkeys(name for one in found for name, value in one.items() if not isinstance(value, list)))
    lines = [
        [*(read(row) for read in CONFIGURATION.values()), *(cell(one.get(name)) for name in names), trust(row)]
        for row, one in zip(rows, found, strict=True)
    ]
    numbers = [name for name in names if all(isinstance(one.get(name), int | float | None) for one in found)]
    header = (*CONFIGURATION, *names, "trust")
    return Table(*table_of(header, lines, names, {"threads", *numbers}), [result.source for result in results])


def cell(value: Any) -> str:
    """Return a value as a table has it."""
    return significant(value) if isinstance(value, float) else text(value)


def workload_of(row: Row) -> Workload:
    """Return the workload that a row is of."""
    return installed().get(row["workload"]) or Unknown()


def by_workload(results: Iterable[Result]) -> list[tuple[Workload, list[Result]]]:
    """Return results by the workload that they are of, in the order of their tables."""
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.row["workload"], []).append(result)
    names = sorted(found, key=place)
    return [(workload_of(found[name][0].row), found[name]) for name in names]


def place(name: str) -> tuple[int, str]:
    """Return where a workload stands among others: ours first."""
    return ORDER.index(name) if name in ORDER else len(ORDER), name


def tables_of(results: Iterable[Result]) -> list[Table]:
    """Return the tables of results, those of each workload together; of no results, an empty one of speed."""
    found = by_workload(results) or [(installed()["speed"], [])]
    return [table for workload, members in found for table in workload.tables(members)]


@cache
def installed() -> Mapping[str, Workload]:
    """Return all workloads by name, ours first.

    One that cannot be imported, is no workload, or has a kind of line or a section that is another's, is a warning;
    the others work. Each is guarded: what fails in it, or on a damaged log, stays its own.
    """
    from .guard import Guarded, fault_of

    found, warnings = plugins.discover(GROUP)
    workloads: dict[str, Workload] = {}
    taken = {*CORE, *POSITIONAL, *(key for key, one in ROW.items() if one is not None)}
    for name in sorted(found, key=place):
        called = f"workload {name!r} of {found[name].distribution}"
        try:
            workload: Workload = found[name].load()()
        except plugins.BrokenPluginError as error:
            warnings.append(str(error))
            continue
        except Exception as error:  # a stranger's class may raise anything
            warnings.append(f"{called} is ignored: {one_line(error)}")
            continue
        if (why := fault_of(workload, name)) is not None:
            warnings.append(f"{called} is ignored: it {why}")
            continue
        if shared := sorted(taken & {*workload.kinds, *workload.sections}):
            warnings.append(f"{called} is ignored: {', '.join(shared)} is another's")
            continue
        taken |= {*workload.kinds, *workload.sections}
        workloads[name] = Guarded(workload, called, stranger=not plugins.is_ours(found[name]))
    for warning in warnings:
        warn(warning)
    return workloads


def remembered(known: dict[tuple[object, ...], str | None], key: tuple[object, ...], row: Row) -> str | None:
    """Return the id of a row's configuration, if facts could be read; of rows with the same key, it is made once."""
    if (row["doubt"] or "").startswith(MISREAD):
        return None
    if key not in known:
        configuration = workload_of(row).configuration(row)
        known[key] = None if configuration is None else configuration.id
    return known[key]
