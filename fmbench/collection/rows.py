"""What a line of a file says: JSON objects, ids, and the names that columns go by."""

import json
import re
from collections.abc import Sequence
from typing import Any

from .document import Document
from .files import RowError

QUERY_IDS = ("qid", "query_id", "query-id")
DOCUMENT_IDS = ("docid", "passage_id", "passage-id", "corpus-id")
IDS = ("_id", *QUERY_IDS, *DOCUMENT_IDS)
KEYS = {*IDS, "text", "title"}
FIELD = re.compile(r'"([^"]*(?:""[^"]*)*)"(?=\t|\Z)|((?:[^"\t][^\t]*)?)(?=\t|\Z)')
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def json_object(line: str) -> dict[str, Any]:
    """Return the JSON object that a line holds. Raises RowError."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RowError(f"is no JSON ({error})") from None
    if isinstance(row, list):
        raise RowError("is a JSON array; write one object a line")
    if not isinstance(row, dict):
        raise RowError("is no JSON object")
    if SURROGATE.search(line) and not encodable(row):
        raise RowError("holds half of a surrogate pair (\\ud800 to \\udfff), which is no character")
    return row


def column_names(fields: Sequence[str]) -> list[str]:
    """Return the fields of a header as columns are known by: in lower case, without blanks and quotes around them."""
    return [field.strip().removeprefix('"').removesuffix('"').casefold() for field in fields]


def quoted_fields(line: str) -> list[str]:
    """Return the fields of a line of a TSV as CSV quotes them (RFC 4180), the form of DPR's passages.

    A field that begins with a double quote ends with one, and has doubled ones inside; RowError where it has not.
    """
    if '"' not in line:
        return line.split("\t")
    fields, place = [], 0
    while place <= len(line):
        found = FIELD.match(line, place)
        if found is None:
            raise RowError(
                "has a field that begins with a double quote and does not end as CSV has it, in the same line and with "
                "the quotes inside doubled; quote it so, or write JSON lines"
            )
        fields.append(found[2] if found[1] is None else found[1].replace('""', '"'))
        place = found.end() + 1
    return fields


def encodable(row: dict[str, Any]) -> bool:
    """Say whether every text in a row has a UTF-8 form."""
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def id_of(value: Any) -> str:
    """Return an id as text; a whole number is its digits, as every text format holds it. Raises RowError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise RowError(f"an id is {json.dumps(value)[:40]}; it must be a string or a whole number")
    if not value:
        raise RowError("an id is empty")
    return value


def text_of(row: dict[str, Any], name: str) -> str:
    """Return a text of a row; null is an empty one. Raises RowError."""
    value = row[name]
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RowError(f"{name} is {json.dumps(value)[:40]}; it must be a string")
    return value


def json_document(line: str) -> Document:
    """Return the document of a line: exactly one of the id names, `text`, and `title` where there is one.

    Raises RowError.
    """
    row = json_object(line)
    for name in row.keys() - KEYS:
        if name.strip().casefold() in KEYS:
            raise RowError(f"has {name!r}, which is spelled {name.strip().casefold()}")
    names = [name for name in IDS if name in row]
    if len(names) != 1:
        found = f"has {' and '.join(names)}" if names else "has no id"
        raise RowError(f"{found}; it must have exactly one of {', '.join(IDS)}")
    if "text" not in row:
        raise RowError(f"has no text, only {', '.join(row)[:80]}")
    return Document(id_of(row[names[0]]), text_of(row, "text"), text_of(row, "title") if "title" in row else "")
