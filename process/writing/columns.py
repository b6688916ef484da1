"""Results as a flat table: keys joined by dots (statistics.p50), and what kind of value each column holds."""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Literal, TextIO

from fmbench.facts import flat
from fmbench.markdown import sayable

from ..reading.row import schema_text

Kind = Literal["truth", "integer", "number", "text", "numbers", "texts"]
Cells = dict[str, Any]

OF_SCHEMA: dict[str, Kind] = {
    "boolean": "truth", "integer": "integer", "number": "number", "string": "text", "null": "number",
}  # fmt: skip
OPEN = ("environment", "retrieval", "distillation", "fidelity")  # objects whose keys differ from row to row
LARGEST = 2**63 - 1


@cache
def known_columns() -> dict[str, Kind]:
    """Return the columns that every table has, with their kinds, in the order of results.schema.json.

    What is below environment, retrieval, distillation and fidelity differs from row to row, and is not among them.
    """
    schema = json.loads(schema_text())
    return dict(columns_below(schema["$defs"]["result"], schema["$defs"]))


def columns_below(node: dict[str, Any], definitions: dict[str, Any], above: str = "") -> Iterator[tuple[str, Kind]]:
    """Yield the columns of an object that the schema describes."""
    for key, entry in node["properties"].items():
        leaf = resolved(entry, definitions)
        if "properties" in leaf:
            yield from columns_below(leaf, definitions, f"{above}{key}.")
        elif leaf.get("type") not in ("object", ["object", "null"]):
            yield above + key, kind_in_schema(leaf, definitions)


def resolved(entry: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return what an entry of the schema stands for, "or null" left out."""
    entry = entry.get("anyOf", [entry])[-1]
    reference = entry.get("$ref")
    return definitions[reference.rpartition("/")[2]] if reference else entry


def kind_in_schema(leaf: dict[str, Any], definitions: dict[str, Any]) -> Kind:
    """Return the kind of value that a leaf of the schema allows."""
    if "const" in leaf or "enum" in leaf:
        return kind_of(leaf.get("const", leaf.get("enum", [""])[0])) or "text"
    names = leaf["type"] if isinstance(leaf["type"], list) else [leaf["type"]]
    if names[0] != "array":
        return OF_SCHEMA[names[0]]
    items = resolved(leaf["items"], definitions)["type"]
    return "numbers" if items == "number" else "texts" if items == "string" else "text"


@cache
def objects() -> frozenset[str]:
    """Return the keys that hold an object or null, and so are no columns themselves."""
    parents = {name.rpartition(".")[0] for name in known_columns()}
    return frozenset({*OPEN, *parents} - {""})


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
