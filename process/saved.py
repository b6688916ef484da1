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

from . import fields
from .columns import OPEN, Kind, known_columns, objects
from .fields import LARGEST, is_number
from .results import SCHEMA_VERSION, machine, plainly_spelled

# A log may begin with any text of another program; this is how `process` begins.
BEGINNING = re.compile(rb'\s*(\[\s*(\{|\]|$)|\{"timestamp":.*"engine":)')
NAMES = re.compile(r"\.jsonl?(\.gz)?$")
LISTS = ("opts", "phases")
STATUSES = ("OK", "PARTIAL", "ERR", "SIMULATED")

FITS: dict[Kind, Callable[[Any], bool]] = {
    "truth": lambda value: isinstance(value, bool),
    "integer": lambda value: type(value) is int and abs(value) <= LARGEST,
    "number": is_number,
    "text": lambda value: isinstance(value, str),
    "numbers": lambda value: isinstance(value, list) and len(value) == 2 and all(map(is_number, value)),
    "texts": lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
}


def is_saved(name: str, first: bytes) -> bool:
    """Whether a file of this name that begins with this line holds results and is no log."""
    return NAMES.search(name) is not None or BEGINNING.match(first) is not None


def read_saved(lines: Iterable[bytes], name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a JSON list, or of an object a line. Raises UsageError for what is none of ours."""
    for number, row in enumerate(objects_of(lines, name), start=1):
        try:
            yield checked(row)
        except ValueError as error:
            raise UsageError(f"{name}: result {number}: {error}") from None


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
    for name in sorted(objects()):
        part = below(row, name)
        if part is not None and not isinstance(part, dict):
            raise ValueError(f"{name} is no object")
    for name, kind in known_columns().items():
        value = below(row, name)
        if value is not None and not (isinstance(value, list) if name == "phases" else FITS[kind](value)):
            raise ValueError(f"{name} is not what the schema says")
    check_parts(row)
    keys = [*OPEN, *(name.partition(".")[0] for name in known_columns())]
    missing: dict[str, Any] = {key: [] if key in LISTS else None for key in keys if row.get(key) is None}
    return completed({**row, **missing})


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


def check_parts(row: dict[str, Any]) -> None:
    """Raise ValueError for what is wrong below the keys whose objects differ from row to row."""
    for phase in row.get("phases") or ():
        if not isinstance(phase, dict):
            raise ValueError("phases: one is no object")
        fields.check(phase, fields.PHASE)
    fields.check(row.get("environment") or {}, fields.FACTS)
    if row.get("retrieval") is not None:
        fields.check(row["retrieval"], fields.RETRIEVAL)
    if row.get("distillation") is not None:
        fields.check(row["distillation"], fields.DISTILLATION)


def below(row: dict[str, Any], name: str) -> Any:
    """Return the value under a dotted key."""
    value: Any = row
    for key in name.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value
