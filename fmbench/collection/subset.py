"""Files that name some queries."""

from collections.abc import Sequence
from pathlib import Path

from fmbench.errors import UsageError

from .files import full_lines_of
from .texts import documents_of


def read_ids(paths: Sequence[Path]) -> frozenset[str]:
    """Return the ids that files name: one a line, or JSON lines as a file of queries has them.

    Raises UsageError for a file without any.
    """
    return frozenset(identifier for path in paths for identifier in ids_in(path))


def ids_in(path: Path) -> list[str]:
    """Return the ids of one file."""
    first = next(full_lines_of(path), None)
    if first is None:
        raise UsageError(f"{path}: names no query")
    if first[1].lstrip().startswith("{"):
        return [document.id for _, document in documents_of(path)]
    return [line for _, line in full_lines_of(path)]
