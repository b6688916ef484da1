"""Which documents may be among the best of a query, while only rough scores are known.

A rough score comes with an interval that holds the exact one. A document whose interval ends below the query's floor
(a score that k documents reach for certain) is out; so is none that ties with the k-th.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Found:
    """Pairs of query and document, as arrays of one length: numbers of queries, positions, ends of the intervals."""

    query: np.ndarray  # int32
    position: np.ndarray  # int64
    low: np.ndarray  # float32
    high: np.ndarray  # float32

    def __len__(self) -> int:
        return len(self.query)

    def only(self, chosen: np.ndarray) -> "Found":
        """Return the pairs that a mask or an index chooses."""
        return Found(self.query[chosen], self.position[chosen], self.low[chosen], self.high[chosen])

    @classmethod
    def joined(cls, parts: "list[Found]") -> "Found":
        """Return all pairs of some parts."""
        names = ("query", "position", "low", "high")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    @classmethod
    def none(cls) -> "Found":
        """Return no pairs."""
        return cls(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.float32))


class Candidates:
    """The candidates of some queries. `floor` (m,) in float32: what the k-th best of each query reaches at least."""

    def __init__(self, queries: int, k: int) -> None:
        self._k = k
        self._parts = [Found.none()]
        self._after_last = 0  # how many were left when the floor was raised last
        self.count = 0
        self.floor = np.full(queries, -np.inf, dtype=np.float32)

    def add(self, found: Found) -> None:
        """Take pairs in; drop what is out as soon as the number has doubled."""
        self._parts.append(found)
        self.count += len(found)
        if self.count > 2 * max(self._after_last, self._k * len(self.floor)):
            self.raise_floor()

    def raise_floor(self) -> None:
        """Raise the floors to what the candidates show, and drop those below."""
        found = Found.joined(self._parts)
        self.raise_to(kth_best(found.query, found.low, len(self.floor), self._k))
        found = found.only(found.high >= self.floor[found.query])
        self._parts = [found]
        self.count = self._after_last = len(found)

    def raise_to(self, floor: np.ndarray) -> None:
        """Raise the floors where these are higher."""
        self.floor = np.maximum(self.floor, floor)

    def take(self) -> Found:
        """Return the candidates and forget them; the floors stay."""
        self.raise_floor()
        found, self._parts = self._parts[0], [Found.none()]
        self.count = self._after_last = 0
        return found


def kth_best(query: np.ndarray, score: np.ndarray, queries: int, k: int) -> np.ndarray:
    """Return the k-th greatest score (queries,) of each query, -inf where it has fewer."""
    order, counts = grouped(query, queries)
    widest = int(counts.max(initial=0))
    if widest < k:
        return np.full(queries, -np.inf, dtype=np.float32)
    if queries > 1 and queries * widest > 4 * len(query):  # a table of all would be mostly empty
        middle = queries // 2
        left, right = query < middle, query >= middle
        return np.concatenate(
            [
                kth_best(query[left], score[left], middle, k),
                kth_best(query[right] - middle, score[right], queries - middle, k),
            ]
        )
    table = np.full((queries, widest), -np.inf, dtype=np.float32)
    table[query[order], np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)] = score[order]
    return np.partition(table, widest - k, axis=1)[:, widest - k]


def grouped(query: np.ndarray, queries: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an order in which each query's pairs stand together, and how many each query has."""
    kind = np.uint16 if queries <= np.iinfo(np.uint16).max else np.int64  # NumPy sorts 16 bits by their digits
    return np.argsort(query.astype(kind), kind="stable"), np.bincount(query, minlength=queries)
