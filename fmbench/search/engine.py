"""What multiplies: an engine finds a search's candidates fast, with scores that are rough by a known bound."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np

from .candidates import Found

SINGLE = 2.0**-24  # relative error of one float32 operation
SMALLEST = 2.0**-126  # what is smaller may count as zero

Item = TypeVar("Item")
Picked = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Placed:
    """Vectors (n, d) where an engine wants them, as `data`; what it remembers of a search, as queries' `state`.

    In float64: `lengths` (n,) bound the vectors' lengths, `errors` (n,) the lengths of what was rounded away.
    `storing` is the relative error of the type in which scores are stored.
    """

    data: Any
    lengths: np.ndarray
    errors: np.ndarray
    storing: float = 0.0
    state: list[Any] = field(default_factory=list)

    @classmethod
    def unchanged(cls, data: Any, lengths: np.ndarray, state: list[Any] | None = None) -> "Placed":
        """Return vectors that were not rounded."""
        return cls(data, lengths, np.zeros_like(lengths), state=state or [])


class Engine(ABC):
    """Multiplies queries (m, d) with documents (n, d), both float32 and finite."""

    name: ClassVar[str]
    queries_at_once = 1024
    rows: int = 4096  # documents at once
    workers = 1  # groups of queries that are searched for at the same time, each by a thread of its own

    def each(self, work: Callable[[Item], None], groups: Sequence[Item]) -> None:
        """Do some work for every group of queries."""
        for group in groups:
            work(group)

    @abstractmethod
    def place_queries(self, vectors: np.ndarray, lengths: np.ndarray, k: int) -> Placed:
        """Return the queries of a search for k documents where this engine wants them."""

    @abstractmethod
    def place_documents(self, vectors: np.ndarray, lengths: np.ndarray) -> Placed:
        """Return documents where this engine wants them."""

    def kept(self, documents: Placed) -> Placed:
        """Return placed documents as an index keeps them, for many searches."""
        return documents

    def scan(self, queries: Placed, documents: Placed, k: int, floor: np.ndarray) -> tuple[Found, np.ndarray]:
        """Return every pair that may reach its query's floor (and some others), and floors (m,), the same or higher.

        The floors rise to what the k best of these documents reach. Positions count from the first of the documents.
        """
        error = error_bound(queries, documents)
        query, row, score, floor = self._pick(queries, documents, k, floor, error)
        margin = error[query] + queries.storing * np.abs(score)
        low, high = (score - margin).astype(np.float32), (score + margin).astype(np.float32)
        return Found(query.astype(np.int32), row.astype(np.int64), low, high), floor

    @abstractmethod
    def _pick(self, queries: Placed, documents: Placed, k: int, floor: np.ndarray, error: np.ndarray) -> Picked:
        """Return numbers of queries, rows, rough scores, and floors. More pairs than necessary do no harm."""


def error_bound(queries: Placed, documents: Placed) -> np.ndarray:
    """Return how far a score (m,) is at most from the exact one, before it is stored.

    A sum of d products in float32, in any order, is off by less than d units times the sum of their absolute values
    (Higham, 2002, Accuracy and Stability of Numerical Algorithms, section 3.1), which Cauchy and Schwarz bound by the
    vectors' lengths. Scaling to unit length and the arithmetic on intervals stay within as much again.
    """
    dimensions = documents.data.shape[-1]
    longest, lost = float(documents.lengths.max(initial=0)), float(documents.errors.max(initial=0))
    sums = 2 * (dimensions + 8) * SINGLE * queries.lengths * longest
    rounding = queries.errors * (longest + lost) + queries.lengths * lost
    return sums + rounding + SMALLEST * dimensions * (1 + queries.lengths + longest)


def kth_at_least(kth: np.ndarray, queries: Placed, error: np.ndarray) -> np.ndarray:
    """Return what the exact k-th best (m,) is at least, where a rough k-th best is known, in float32."""
    return (kth - error - queries.storing * np.abs(kth)).astype(np.float32)


def least_score(floor: np.ndarray, queries: Placed, error: np.ndarray) -> np.ndarray:
    """Return the least rough score (m,), in float32, whose interval may reach a floor."""
    bare = floor - error
    return (bare / np.where(bare > 0, 1 + queries.storing, 1 - queries.storing)).astype(np.float32)
