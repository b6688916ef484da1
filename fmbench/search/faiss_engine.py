"""Candidates by faiss, on the host's cores (extra `retrieval`)."""

from typing import Any

import numpy as np

from fmbench.distribution import to_install
from fmbench.errors import UsageError

from .engine import Engine, Picked, Placed, kth_at_least, least_score

MARGIN = 8  # documents beyond k that are asked for at first
GROWTH = 4  # times as many, where the margin does not hold all candidates


class FaissEngine(Engine):
    """Brute force in float32: `faiss.knn`, without an index that would hold the vectors once more."""

    name = "faiss"
    rows = 65_536

    def __init__(self) -> None:
        self._faiss = load_faiss()

    def place_queries(self, vectors: np.ndarray, lengths: np.ndarray, k: int) -> Placed:
        """Return the queries as they are."""
        return Placed.unchanged(vectors, lengths)

    def place_documents(self, vectors: np.ndarray, lengths: np.ndarray) -> Placed:
        """Return the documents as they are."""
        return Placed.unchanged(vectors, lengths)

    def _pick(self, queries: Placed, documents: Placed, k: int, floor: np.ndarray, error: np.ndarray) -> Picked:
        parts = []
        floor = floor.copy()
        asked, count, most = np.arange(len(queries.data)), k + MARGIN, len(documents.data)
        while len(asked):
            count = min(count, most)
            product = self._faiss.METRIC_INNER_PRODUCT
            scores, rows = self._faiss.knn(queries.data[asked], documents.data, count, metric=product)
            if count >= k:
                reached_by_k = kth_at_least(scores[:, k - 1], queries, error[asked])
                floor[asked] = np.maximum(floor[asked], reached_by_k)
            least = least_score(floor[asked], queries, error[asked])[:, None]
            whole = (scores[:, -1:] < least)[:, 0] | (count == most)  # what was left out is no better than the last
            chosen = (scores >= least) & whole[:, None]
            inside, _ = np.nonzero(chosen)
            parts.append((asked[inside], rows[chosen], scores[chosen]))
            asked = asked[~whole]
            count *= GROWTH
        query, row, score = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return query, row, score, floor


def load_faiss() -> Any:
    """Return the faiss module. Raises UsageError where it is not installed."""
    try:
        import faiss
    except ImportError:
        raise UsageError(f"the search engine faiss needs faiss-cpu: {to_install('retrieval')}") from None
    return faiss
