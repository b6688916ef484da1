"""Exact search of sparse vectors: inner products by scipy, in float64, over blocks that come one by one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fmbench.distribution import to_install
from fmbench.errors import UsageError

from .topk import Hit, TopK, best


class SparseSearcher:
    """The k best documents of every query. Scores are rounded to float32, and equal ones are ordered by id.

    Every product of two float32 numbers is exact in float64, and a pair's sum runs over the words in their order: it
    depends on nothing but the two vectors.
    """

    def __init__(self, queries: Any, query_ids: Sequence[str], k: int, ignore_identical_ids: bool) -> None:
        """Take the queries (m, words), an array or a sparse matrix."""
        self._queries = rows_of(queries)
        self._query_ids, self._k, self._others = tuple(query_ids), k, ignore_identical_ids
        self._hits: list[list[Hit]] = [[] for _ in query_ids]
        self._next = 0
        self.nonzeros = 0

    def add(self, ids: Sequence[str], documents: np.ndarray) -> None:
        """Search some more documents (n, words)."""
        found = rows_of(documents)
        self.nonzeros += int(found.nnz)
        scores = np.asarray((self._queries @ found.T).todense()).astype(np.float32) + np.float32(0)
        depth = self._k + self._others
        for query, row in enumerate(scores):
            least = np.partition(row, -depth)[-depth] if len(row) > depth else -np.inf
            chosen = np.flatnonzero(row >= least).tolist()
            new = [(float(row[place]), ids[place], self._next + place) for place in chosen]
            self._hits[query] = best([*self._hits[query], *new], depth)
        self._next += len(ids)

    def finish(self) -> TopK:
        """Return the best of all documents that were added."""
        found = TopK.of(self._query_ids, self._hits)
        return found.others(self._k) if self._others else found

    @property
    def nonzeros_per_document(self) -> float | None:
        """How many numbers of a document's vector are not zero, on average."""
        return self.nonzeros / self._next if self._next else None


def rows_of(vectors: Any) -> Any:
    """Return vectors (n, words), of NumPy or scipy, as a sparse matrix in float64. Raises UsageError without scipy."""
    try:
        from scipy.sparse import csr_array
    except ImportError:
        raise UsageError(f"sparse vectors are searched by scipy: {to_install('retrieval')}") from None
    return csr_array(vectors, dtype=np.float64)
