"""A workload held apart: what fails in it, or on one damaged log, is a warning, and all other output goes on."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from fmbench.configuration import Configuration
from fmbench.console import warn
from fmbench.errors import one_line
from fmbench.lines import JsonLine

from .reading.row import Result
from .reading.run import Run
from .reading.schema import Schema
from .workload import Column, Finding, Plot, Row, Table, Workload

KIND = re.compile("[A-Z][A-Z0-9]*")
Value = TypeVar("Value")


def fault_of(found: object, name: str) -> str | None:
    """Return why an object cannot be the workload of a name, or None."""
    if not isinstance(found, Workload):
        return "is no Workload"
    if getattr(found, "name", None) != name:
        return f"needs the name {name!r}, as its entry point says"
    for part in ("kinds", "sections"):
        schemas = getattr(found, part, None)
        if not isinstance(schemas, Mapping) or not all(isinstance(one, Schema) for one in schemas.values()):
            return f"has {part} that are no Schemas by name"
    odd = [kind for kind in found.kinds if not (isinstance(kind, str) and KIND.fullmatch(kind))]
    return f"has a kind that is no word in capitals: {odd[0]!r}" if odd else None


class Guarded(Workload):
    """A workload whose faults stay its own. `called` is what warnings call it; rows of a `stranger` are checked."""

    def __init__(self, inner: Workload, called: str, stranger: bool) -> None:
        self._inner, self._called, self._stranger, self._told = inner, called, stranger, set[str]()
        for name in Workload.__annotations__:  # of the class, in others
            setattr(self, name, getattr(inner, name))
        self.columns = [self._column(column) for column in inner.columns]  # type: ignore[misc]

    def collect(self, run: Run, line: JsonLine) -> None:
        """Take one line in."""
        self._tried("collect", lambda: self._inner.collect(run, line), None)

    def blame(self, run: Run, line: JsonLine, reason: str) -> None:
        """Say in its rows that something of a line was refused."""
        self._tried("blame", lambda: self._inner.blame(run, line, reason), None)

    def rows(self, run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
        """Yield its rows as far as they are rows: those from the first fault on are left out."""
        found: Iterator[Result] = self._tried(
            "rows", lambda: iter(self._inner.rows(run, source, metadata_id)), iter(())
        )
        while (result := self._tried("rows", lambda: self._checked(next(found, None)), None)) is not None:
            yield result

    def doubt(self, row: Row) -> str | None:
        """Return why a row of JSON is not to be believed."""
        return self._tried("doubt", lambda: self._inner.doubt(row), None)

    def doubts(self, rows: Sequence[Row]) -> Sequence[str | None]:
        """Return why each row of JSON is not to be believed."""
        return self._tried("doubts", lambda: list(self._inner.doubts(rows)), [None] * len(rows))

    def label(self, row: Row) -> str:
        """Return what a message calls a row."""
        return self._tried("label", lambda: str(self._inner.label(row)), self.name)

    def answer(self, results: Sequence[Result]) -> Sequence[str]:
        """Return its sentences."""
        return self._shown("answer", lambda some: list(self._inner.answer(some)), results, [])

    def tables(self, results: Sequence[Result]) -> Sequence[Table]:
        """Return its tables."""
        return self._shown("tables", lambda some: list(self._inner.tables(some)), results, [])

    def configuration(self, row: Row) -> Configuration | None:
        """Return what a row is of."""
        return self._tried("configuration", lambda: self._inner.configuration(row), None)

    def plots(self) -> Mapping[str, Plot]:
        """Return its pictures; one that fails is none."""
        made: Mapping[str, Plot] = self._tried("plots", self._inner.plots, {})
        return {
            name: lambda results, plot=plot, name=name: self._shown(  # type: ignore[misc]
                f"plot {name}", plot, results, "it failed, as the warning says"
            )
            for name, plot in made.items()
        }

    def news(self, kind: str, data: Row) -> str | None:
        """Return what `--follow` prints of a line."""
        return self._tried("news", lambda: self._inner.news(kind, data), None)

    def _column(self, column: Column) -> Column:
        def read(row: Row) -> Finding | None:
            return self._tried(f"column {column.key}", lambda: column.read(row), None)

        return replace(column, read=read)

    def _checked(self, result: Result | None) -> Result | None:
        """Return a result that every format can write. Raises ValueError for another."""
        from .reading.row_schema import row_schema

        if result is not None and self._stranger:
            json.dumps(result.row, allow_nan=False)
            if (why := row_schema().complaint(result.row)) is not None:
                raise ValueError(why)
        return result

    def _shown(
        self, what: str, show: Callable[[Sequence[Result]], Value], results: Sequence[Result], otherwise: Value
    ) -> Value:
        """Return what is shown of results; where that fails, of those that can be shown alone, the others named."""
        try:
            return show(results)
        except Exception:  # which log it is of has to be found
            kept = [one for one in results if self._can_show(what, show, one)]
        return self._tried(what, lambda: show(kept), otherwise)

    def _can_show(self, what: str, show: Callable[[Sequence[Result]], object], result: Result) -> bool:
        """Return whether one result can be shown alone; one that cannot is a warning that names its log."""

        def alone() -> bool:
            show([result])
            return True

        return self._tried(f"{what} of {result.origin}", alone, False)

    def _tried(self, what: str, call: Callable[[], Value], otherwise: Value) -> Value:
        """Return what a call returns; where it fails, something else, with one warning for each thing that fails."""
        try:
            return call()
        except Exception as error:  # a stranger's code may raise anything; it must not stop the others
            if what not in self._told:
                self._told.add(what)
                warn(f"{self._called}: {what} failed ({one_line(error)}); what it would have said is left out")
            return otherwise
