"""What a row is, with the sections of every workload that is installed: as a check, and as the published schema."""

import json
from functools import cache

from ..workload import installed
from .fields import ROW
from .schema import Schema, part


@cache
def row_schema() -> Schema:
    """Return what a row is: the keys that all have, and the sections of every workload that is installed."""
    sections = {
        key: part(f"{one.means} Null in the rows of other workloads.", one)
        for workload in installed().values() for key, one in workload.sections.items()
    }  # fmt: skip
    own = {key: one or sections.pop(key) for key, one in ROW.items()}
    return Schema({**own, **sections})


def published_schema() -> str:
    """Return the JSON Schema of the list that `process` prints."""
    row = row_schema().published()
    failed = {"properties": {"status": {"const": "ERR"}}}
    without = {key: {"type": "null"} for key in ("itl", "thp")}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "fmbench results",
        "description": "What `process` prints: an object for each thing that a driver measured or failed to measure.",
        "type": "array",
        "items": {
            "title": "result",
            **row,
            "required": list(ROW),
            "additionalProperties": {"type": ["object", "null"]},  # sections of workloads that are not installed here
            "if": failed,
            "then": {"properties": {"error": {"type": "object"}, **without}},
            "else": {"properties": {"error": {"type": "null"}}},
        },
    }
    return json.dumps(schema, indent=2) + "\n"
