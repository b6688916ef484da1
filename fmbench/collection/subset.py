"""Parts of a collection: queries that files name, and documents that a seed draws."""

import hashlib
import heapq
from collections.abc import Iterable, Sequence
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
    for number, line in full_lines_of(path):
        if "\t" in line:
            raise UsageError(f"{path}, line {number}: has a tab; name one id a line, or give JSON lines of queries")
    return [line for _, line in full_lines_of(path)]


def drawn(ids: Iterable[str], count: int, seed: int) -> frozenset[str]:
    """Return `count` of some ids, or all where there are fewer; each set of them is as likely as another.

    Those with the smallest hashes of (seed, id): the draw depends neither on the order of the files nor on the version
    of a random generator, and a larger one holds every smaller one.
    """
    return frozenset(heapq.nsmallest(count, ids, key=lambda name: hashlib.sha256(f"{seed}\0{name}".encode()).digest()))
