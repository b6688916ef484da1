"""What a sweep file may say: one JSON Schema, which is published, and which files are checked by."""

import json
from typing import Any

Schema = dict[str, Any]

SCALAR = ["string", "number", "boolean"]
VALUE: Schema = {
    "description": "A value as on the command line. true is a flag that is given, false one that is left out; a list "
    "is one value, joined by commas (of `vs`, `with` and `without`, several values).",
    "type": [*SCALAR, "array"],
    "items": {"type": SCALAR},
    "minItems": 1,
}
ARGUMENTS: Schema = {
    "description": "Arguments by name, as on the command line without the dashes: `reps`, `model:dtype`.",
    "type": "object",
    "additionalProperties": VALUE,
}
CELLS: Schema = {"type": "array", "minItems": 1, "items": {**ARGUMENTS, "minProperties": 1}}
COMMON: Schema = {
    "run": {
        "description": "The command of fmbench: `driver`, `retrieve evaluate`, ...; behind it, words that are no "
        "arguments by name: `fidelity compare before after`.",
        "type": "string",
    },
    "with": {**ARGUMENTS, "description": "Arguments that every cell has."},
    "needs": {
        "description": "How many of each resource a cell takes: `cpu`, `gpu`, or what a cluster names. By default one "
        "of the platform's own.",
        "type": "object",
        "additionalProperties": {"type": "integer", "minimum": 1},
    },
}
BLOCK: Schema = {
    **COMMON,
    "matrix": {
        "description": "Arguments that vary, each with its values: every combination is a cell. The last varies first.",
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"type": "array", "minItems": 1, "items": VALUE},
    },
    "exclude": {**CELLS, "description": "Combinations of the matrix that are left out: those that have all of this."},
    "include": {
        **CELLS,
        "description": "Where all that an entry says of the matrix is in it, its further arguments are added to the "
        "cells that it fits. Else it adds cells, crossed with whatever of the matrix it does not name. Without a "
        "matrix, each entry is a cell.",
    },
}
FILE: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "A sweep of fmbench",
    "type": "object",
    "additionalProperties": False,
    "required": ["sweep"],
    "properties": {
        "sweep": {"description": "Its name.", "type": "string"},
        "store": {"description": "Where results go: a folder or a URL (default: results).", "type": "string"},
        **BLOCK,
        "runs": {
            "description": "Several blocks; `run`, `with` and `needs` above them hold for each that says no other.",
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "additionalProperties": False, "properties": BLOCK},
        },
    },
}


def published_schema() -> str:
    """Return the JSON Schema of a sweep file."""
    return json.dumps(FILE, indent=2) + "\n"
