"""Results that `process` wrote as JSON, read again. What the published schema would refuse is refused here."""

import contextlib
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from fmbench.errors import UsageError
from fmbench.lines import finite
from fmbench.precision import spelled

from ..workload import installed, remembered, workload_of
from .fields import ROW, SCHEMA_VERSION, STATUSES
from .row import machine, plainly_spelled
from .row_schema import row_schema

# A log may begin with any text of another program; this is how `process` begins.
BEGINNING = re.compile(rb'\s*(\[\s*(\{|\]|$)|\{"timestamp":.*"engine":)')
NAMES = re.compile(r"\.jsonl?(\.gz)?$")
LISTS = ("opts", "phases")
SECTIONS = ("distillation", "retrieval", "fidelity")  # a row of distillation has two of them


def is_saved(name: str, first: bytes) -> bool:
    """Whether a file of this name that begins with this line holds results and is no log."""
    return NAMES.search(name) is not None or BEGINNING.match(first) is not None


def read_saved(lines: Iterable[bytes], name: str, warn: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a JSON list, or of an object a line. Raises UsageError for what is none of ours.

    Rows of a workload that is not installed are passed on, with a warning.
    """
    for called, rows in itertools.groupby(checked_rows(lines, name, warn), key=lambda row: row["workload"]):
        known = installed().get(called)
        if known is None or not known.answers:
            yield from ({**row, "doubt": row["doubt"] or workload_of(row).doubt(row)} for row in rows)
            continue
        together = list(rows)
        for row, doubt in zip(together, known.doubts(together), strict=True):
            yield {**row, "doubt": row["doubt"] or doubt}


def checked_rows(lines: Iterable[bytes], name: str, warn: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Yield the rows as the schema has them, each with its configuration."""
    strange: set[str] = set()
    known: dict[tuple[object, ...], str | None] = {}
    for number, found in enumerate(objects_of(lines, name), start=1):
        try:
            row = checked(found)
        except ValueError as error:
            raise UsageError(f"{name}: result {number}: {error}") from None
        if row["workload"] not in installed() and row["workload"] not in strange:
            strange.add(row["workload"])
            warn(f"{name}: no workload {row['workload']!r} is installed; its results are passed on as they are")
        key = row["variant"], row["model"], row["overrides"], repr(row["environment"])
        yield row | {"configuration": remembered(known, key, row)}


def objects_of(lines: Iterable[bytes], name: str) -> Iterator[Any]:
    """Yield what is in a list, or on each line."""
    try:
        lines = iter(lines)
        first = next(lines, b"")
        if first.lstrip().startswith(b"["):
            yield from elements(first, lines)
            return
        for line in itertools.chain([first], lines):
            if line.strip():
                yield parsed(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: no JSON ({error})") from None


def elements(first: bytes, lines: Iterator[bytes]) -> Iterator[Any]:
    """Yield what is in a list: one by one as long as each has a line of its own, as `process` writes it."""
    before, yielded = first, 0
    if first.strip() == b"[":
        for line in lines:
            element = line_of_list(line)
            if element is None:
                before += line
                break
            yield element
            before, yielded = b"[null,", 1  # in place of all that was yielded
    yield from parsed(before + b"".join(lines))[yielded:]


def line_of_list(line: bytes) -> Any:
    """Return the object of a line that holds one and the comma behind it, else None."""
    text = line.strip()
    if text.startswith(b"{") and text.endswith(b"},"):
        with contextlib.suppress(ValueError):  # an object may go on in the next line
            return parsed(text[:-1])
    return None


def parsed(text: bytes) -> Any:
    """Return what JSON says. Raises ValueError for what is none."""
    return json.loads(text, parse_float=finite, parse_constant=finite)


def check_version(data: Mapping[str, Any], key: str, known: int) -> None:
    """Raise ValueError where the version that `key` has is none, or not the one that is known here."""
    version = data.get(key)
    if type(version) is not int or version < 1:
        raise ValueError(f"{key} is no version")
    if version > known:
        raise ValueError(f"has {key} {version}, and this fmbench reads {known}; upgrade it")


def checked(row: Any) -> dict[str, Any]:
    """Return a row whose values are what the schema says; a key that is missing is null. Raises ValueError."""
    if not isinstance(row, dict) or row.get("status") not in STATUSES:
        raise ValueError("no result of fmbench")
    if row.get("schema") is not None:
        check_version(row, "schema", SCHEMA_VERSION)
    row = {**row, "workload": row.get("workload") or older_workload(row)}
    why = row_schema().complaint(row)
    if why is not None:
        raise ValueError(why)
    missing: dict[str, Any] = {key: [] if key in LISTS else None for key in ROW if row.get(key) is None}
    whole = {**row, **missing}
    return completed(
        {key: whole[key] for key in (*ROW, *(key for key in whole if key not in ROW))}
    )  # older versions had fewer keys


def older_workload(row: dict[str, Any]) -> str:
    """Return what a row is of that was written before rows said it."""
    return next((name for name in SECTIONS if row.get(name) is not None), "speed")


def completed(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with what results of today say and older ones left to be derived."""
    environment, pair = row["environment"] and plainly_spelled(row["environment"]), row["pair"] or {}
    return {
        **row,
        "precision": row["precision"] and spelled(row["precision"]),
        "environment": environment,
        "machine": row["machine"] or (machine([environment]) if environment else None),
        "overrides": pair.get("overrides") if row["overrides"] is None else row["overrides"],
    }
