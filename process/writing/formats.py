"""The formats that results are written in. Each writer takes rows as they come, and a text stream."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TextIO

from fmbench.markdown import fenced, markdown, plain, visible

from ..reading.row import Result
from ..workload import tables_of
from .columns import Table, text_of
from .html import write_html
from .openmetrics import write_openmetrics
from .parquet import write_parquet

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
    """Write tables for people: the figures that matter, with their units. Each workload has tables of its own."""
    parts: list[str] = []
    for found in tables_of(Result(row, "") for row in rows):
        parts += [f"#### {plain(found.title)}\n"] if found.title else []
        parts += [f"{plain(text)}\n" for text in found.lead]
        parts += [markdown(found.header, found.lines, found.right), *(f"{plain(note)}\n" for note in found.notes)]
        parts += [fenced(text) for text in found.code]
    stream.write("\n".join(parts))


WRITERS: Mapping[str, Writer] = {
    "json": write_json,
    "jsonl": write_jsonl,
    "csv": write_csv,
    "parquet": write_parquet,
    "markdown": write_markdown,
    "openmetrics": write_openmetrics,
    "html": write_html,
}
