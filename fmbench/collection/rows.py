"""What a line of a file says: JSON objects, ids, and the names that columns go by."""

import json
import re
from typing import Any

from .document import Document
from .files import RowError

QUERY_IDS = ("qid", "query_id", "query-id")
DOCUMENT_IDS = ("docid", "passage_id", "passage-id", "corpus-id")
IDS = ("_id", *QUERY_IDS, *DOCUMENT_IDS)
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
    names = [name for name in IDS if name in row]
    if len(names) != 1:
        found = f"has {' and '.join(names)}" if names else "has no id"
        raise RowError(f"{found}; it must have exactly one of {', '.join(IDS)}")
    if "text" not in row:
        raise RowError(f"has no text, only {', '.join(row)[:80]}")
    return Document(id_of(row[names[0]]), text_of(row, "text"), text_of(row, "title") if "title" in row else "")
