"""What the page opens with: what is known of each configuration of a model, as a table, a sentence and a picture."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..advice import advice_of
from ..reading.row import Result
from ..record import Key, Record, axes, columns, comparable, headed, table_of
from ..workload import Finding, Table

LATENCY, THROUGHPUT = ("latency_ms", ""), ("throughput", "")


def groups_of(records: Sequence[Record], results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return the records of results: those of each model on each machine, those of most configurations first."""
    groups = sorted(comparable(records).items(), key=lambda group: -len(group[1]))
    return [
        {"model": model, "machine": machine, "advice": advice_of(members, results), **table_and_picture(members)}
        for (model, machine), members in groups
    ]


def table_and_picture(records: Sequence[Record]) -> dict[str, Any]:
    """Return a line and a point a record; without a point where a record lacks one of the two figures."""
    table = table_of(records)
    known = {record.configuration.id: record for record in records}
    across, up = keys_of(records)
    ordered = [known[line[0]] for line in table.lines]
    return {
        "table": as_json(id_last(table)),
        "axes": [heading(key, records) for key in (across, up) if key is not None],
        "records": [
            {
                "id": record.configuration.id,
                "name": record.name,
                "logs": record.logs,
                "front": record.front,
                "point": [said(key, record.figures.get(key)) for key in (across, up) if key is not None],
            }
            for record in ordered
        ],
    }


def id_last(table: Table) -> Table:
    """Return a table that begins with names: the first column is the one that stays in view."""
    header, *lines = ([*line[1:], line[0]] for line in (table.header, *table.lines))
    return Table(header, lines, [column - 1 for column in table.right])


def keys_of(records: Sequence[Record]) -> tuple[Key | None, Key | None]:
    """Return the figures of a picture: speed and quality (else fidelity), or where none has both, speed alone."""
    for across, up in (axes(records), (THROUGHPUT, LATENCY)):
        if any(across in record.figures and up in record.figures for record in records):
            return across, up
    return None, None


def heading(key: Key, records: Sequence[Record]) -> str:
    """Return what an axis is called: the heading of the figure's column, with what it is of."""
    figures = [record.figures[key] for record in records if key in record.figures]
    return headed(columns()[key[0]], key, figures, Counter())


def said(key: Key, figure: Finding | None) -> dict[str, Any] | None:
    """Return a figure as the script reads it: its place, both ends of its interval, its text, and its doubt."""
    if figure is None:
        return None
    low, high = (figure.value if end is None else end for end in (figure.low, figure.high))
    text = columns()[key[0]].text(figure)
    return {"value": figure.value, "low": low, "high": high, "text": text, "doubt": figure.doubt}


def as_json(table: Table) -> dict[str, Any]:
    """Return a table as the script reads it. Where its lines are from several logs, the last column says which."""
    header, lines = list(table.header), [list(line) for line in table.lines]
    if len(set(table.sources)) > 1:
        header.append("log")
        lines = [[*line, source] for line, source in zip(lines, table.sources, strict=True)]
    said = {key: list(getattr(table, key)) for key in ("right", "lead", "notes", "code")}
    return {"header": header, "lines": lines, "title": table.title, **said}
