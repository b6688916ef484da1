"""JSON objects of a model's folder, read through types: a file that says what it cannot mean is one line."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmbench.console import warn
from fmbench.errors import UsageError, first_line

LARGEST = 2**31 - 1  # of anything counted; far beyond every model


@dataclass(frozen=True)
class JsonFile:
    """A JSON object and the file that it is of. A value that is missing or null is None.

    Every method raises UsageError, with file, key and what is expected, for a value of another type.
    """

    path: Path
    values: Mapping[str, Any]

    def text(self, key: str) -> str | None:
        """Return a text."""
        return self._of(key, str, "a text")

    def flag(self, key: str) -> bool | None:
        """Return true or false; null is neither."""
        if key in self.values and not isinstance(self.values[key], bool):
            raise self.wrong(key, "true or false")
        return self.values.get(key)

    def count(self, key: str) -> int | None:
        """Return a whole number from 1 on."""
        value = self.values.get(key)
        if value is not None and (type(value) is not int or not 1 <= value <= LARGEST):
            raise self.wrong(key, "a whole number from 1 on")
        return value

    def integer(self, key: str) -> int | None:
        """Return a whole number, which may be below 0 (-1 often says that there is none)."""
        value = self.values.get(key)
        if value is not None and (type(value) is not int or abs(value) > LARGEST):
            raise self.wrong(key, "a whole number")
        return value

    def texts(self, key: str) -> list[str]:
        """Return a list of texts; a text alone is a list of one, and a missing one of none."""
        value = self.values.get(key)
        found = [] if value is None else [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise self.wrong(key, "a text, or a list of texts")
        return found

    def object(self, key: str) -> "JsonFile":
        """Return an object below, which is empty where it is missing."""
        return JsonFile(self.path, self._of(key, dict, "an object") or {})

    def known_count(self, *keys: str) -> int:
        """Return the whole number of the first of some names that is there; one of them must be."""
        found = next((number for number in map(self.count, keys) if number is not None), None)
        if found is None:
            raise UsageError(f"{self.path}: has no {' or '.join(keys)}; the folder is not complete")
        return found

    def check_keys(self, known: Collection[str]) -> None:
        """Raise UsageError for a key that is not known: it may change what comes out."""
        unknown = sorted(self.values.keys() - set(known))
        if unknown:
            raise UsageError(f"{self.path}: {unknown[0]} is not known here (known: {', '.join(sorted(known))})")

    def note_keys(self, known: Collection[str]) -> None:
        """Warn of keys that are not known, and that sentence-transformers passes over too."""
        unknown = sorted(self.values.keys() - set(known))
        if unknown:
            warn(f"{self.path}: {', '.join(unknown)} is not known, and passed over")

    def wrong(self, key: str, expected: str) -> UsageError:
        """Return the error of a value that is none of what is expected."""
        said = json.dumps(self.values.get(key))
        return UsageError(
            f"{self.path}: {key} is {said if len(said) <= 40 else said[:37] + '...'}; expected {expected}"
        )

    def _of(self, key: str, kind: type, expected: str) -> Any:
        """Return a value of a type, or None."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, kind):
            raise self.wrong(key, expected)
        return value


def read_required(path: Path) -> JsonFile:
    """Read the JSON object of a file that must be there. Raises UsageError."""
    if not path.is_file():
        raise UsageError(f"{path} is missing; the folder is not complete")
    return read_optional(path)


def read_optional(path: Path) -> JsonFile:
    """Read a JSON object; an empty one where there is no file. Raises UsageError for a damaged file."""
    if not path.is_file():
        return JsonFile(path, {})
    found = read_any(path)
    if not isinstance(found, dict):
        raise UsageError(f"{path}: holds no JSON object")
    return JsonFile(path, found)


def read_any(path: Path) -> Any:
    """Read JSON of any kind. Raises UsageError for a damaged file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not readable as JSON ({first_line(error)})") from None
