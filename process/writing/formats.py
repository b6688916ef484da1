"""The formats that results are written in. Each writer takes rows as they come, and a text stream."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TextIO

from fmbench.markdown import markdown, plain, visible

from ..reading.row import Result
from ..workloads.fidelity import Fidelity
from .columns import Table, text_of
from .html import write_html
from .openmetrics import write_openmetrics
from .parquet import write_parquet
from .tables import OTHERS, SHAPES, Maker, table_of
from .view import Fastest, by_speed, text

Rows = Iterable[dict[str, Any]]
Writer = Callable[[Rows, TextIO], None]

# One object a line, and not indented: Python's C encoder does only that, and is ten times as quick.
encode = json.JSONEncoder(allow_nan=False).encode


def write_json(rows: Rows, stream: TextIO) -> None:
    """Write a JSON list, an object a line, while the objects come."""
    separator = "[\n"
    for row in rows:
        stream.write(separator + encode(row))
        separator = ",\n"
    stream.write("\n]\n" if separator == ",\n" else "[]\n")


def write_jsonl(rows: Rows, stream: TextIO) -> None:
    """Write an object a line, while the objects come."""
    for row in rows:
        stream.write(encode(row) + "\n")


def write_csv(rows: Rows, stream: TextIO) -> None:
    """Write a header and a line a shape. Lists are JSON, null is empty. Any text stays as it is, but on a terminal."""
    shown = visible if stream.isatty() else str
    with Table(rows) as table:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(map(shown, table.columns))
        writer.writerows([shown(text_of(row.get(name))) for name in table.columns] for row in table)


def write_markdown(rows: Rows, stream: TextIO) -> None:
    """Write a table for people: the figures that matter, with their units. Each driver has a table of its own."""
    found: dict[Maker, list[dict[str, Any]]] = {make: [] for make in (SHAPES, *OTHERS)}
    fidelity: list[Result] = []
    for row in rows:
        make = table_of(row)
        if make is None:
            fidelity.append(Result(row, ""))
        else:
            found[make].append(row)
    fastest = Fastest()
    speed = fastest.watched(found[SHAPES], lambda row: row, lambda row: text(row["machine"]))
    shapes = list(by_speed(speed, lambda row: row))
    below = [markdown(*make(members)) for make, members in found.items() if members and make is not SHAPES]
    for table in Fidelity().tables(fidelity):
        title = [f"#### {table.title}\n"] if table.title else []
        said = [f"{plain(note)}\n" for note in table.notes]
        below.append("\n".join([*title, markdown(table.header, table.lines, table.right), *said]))
    above = [markdown(*SHAPES(shapes)), *(f"{plain(line)}\n" for line in fastest.lines())]
    stream.write("\n".join([*above, *below] if shapes or not below else below))


WRITERS: Mapping[str, Writer] = {
    "json": write_json,
    "jsonl": write_jsonl,
    "csv": write_csv,
    "parquet": write_parquet,
    "markdown": write_markdown,
    "openmetrics": write_openmetrics,
    "html": write_html,
}
