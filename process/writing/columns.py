"""Results as a flat table: keys joined by dots (statistics.p50), and what kind of value each column holds."""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, TextIO

from fmbench.facts import flat
from fmbench.markdown import sayable

from ..reading.row_schema import row_schema
from ..reading.schema import LARGEST, Kind

Cells = dict[str, Any]


@cache
def known_columns() -> dict[str, Kind]:
    """Return the columns that every table has, with what they hold. What is below an open object is not among them."""
    return dict(row_schema().columns())


@cache
def objects() -> frozenset[str]:
    """Return the keys that hold an object or null, and so are no columns themselves."""
    return frozenset(row_schema().objects())


def cells(row: Mapping[str, Any]) -> Cells:
    """Return a result's values by column."""
    above = objects()
    return {sayable(name): value for name, value in flat(row).items() if name not in above}


def kind_of(value: object) -> Kind | None:
    """Return what kind of value this is; None for null and for an empty list, which fit any."""
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int):
        return "integer" if -LARGEST <= value <= LARGEST else "text"
    if isinstance(value, float):
        return "number"
    if isinstance(value, list):
        return kind_of_list(value)
    return None if value is None else "text"


def kind_of_list(values: list[Any]) -> Kind | None:
    """Return the kind of a list, by its values; a list of anything but numbers or texts is text."""
    inner = {kind_of(value) for value in values}
    if not inner:
        return None
    if inner <= {"integer", "number"}:
        return "numbers"
    return "texts" if all(isinstance(value, str) for value in values) else "text"


def common(one: Kind | None, other: Kind | None) -> Kind | None:
    """Return the kind that holds the values of both."""
    if one is None or other is None or one == other:
        return one or other
    return "number" if {one, other} == {"integer", "number"} else "text"


def text_of(value: Any) -> str:
    """Return any value as text: a text as it is, null as nothing, all else as JSON."""
    if isinstance(value, str):
        return sayable(value)
    return "" if value is None else json.dumps(value)


class Table:
    """Results as rows of cells. They wait in a temporary file, since the columns are known when all are read."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take every row in."""
        self.kinds: dict[str, Kind | None] = dict(known_columns())
        self.found: set[str] = set()  # the columns that a row has
        known = frozenset(self.kinds)
        self._file: TextIO = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 (lives as long as the table)
        for row in rows:
            found = cells(row)
            self._file.write(json.dumps(found) + "\n")
            self.found |= found.keys()
            for name in found.keys() - known:
                self.kinds[name] = common(self.kinds.get(name), kind_of(found[name]))
        self.columns = [*known_columns(), *sorted(self.kinds.keys() - known)]

    def __iter__(self) -> Iterator[Cells]:
        self._file.seek(0)
        return map(json.loads, self._file)

    def close(self) -> None:
        """Give the temporary file back."""
        self._file.close()

    def __enter__(self) -> "Table":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
