"""The score of a pair: one and the same on every engine, block size, machine and number of processes.

It is the inner product (or cosine) of the two stored vectors as if computed without error, rounded to float32. The
product of two float32 numbers is exact in float64; a float64 sum, in whatever order, is off by a known bound; where
that bound leaves two float32 numbers to choose from, the sum is done once more without error (`math.fsum`).
"""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np

Similarity = Literal["dot", "cosine"]
SIMILARITIES: tuple[Similarity, ...] = ("dot", "cosine")

UNIT = 2.0**-53  # relative error of one float64 operation
PAIRS = 128  # at once: their float64 rows stay in a core's own cache


class ExactScores:
    """The exact scores of pairs of m queries, of shape (m, d), with documents."""

    def __init__(self, queries: np.ndarray, similarity: Similarity) -> None:
        self._queries = queries.astype(np.float64)
        self._lengths = np.sqrt(dot(self._queries, self._queries))
        self._cosine = similarity == "cosine"

    def of(self, query: np.ndarray, documents: np.ndarray, row: np.ndarray, threads: int) -> np.ndarray:
        """Return the scores (p,) in float32 of p pairs: queries `query` with rows `row` of documents (n, d).

        Vectors must be finite. The cosine with a vector of length 0 is 0.
        """
        scores = np.empty(len(query), dtype=np.float32)

        def fill(start: int) -> None:
            part = slice(start, start + PAIRS)
            scores[part] = self._score(query[part], documents[row[part]].astype(np.float64))

        starts = range(0, len(query), PAIRS)
        if threads > 1 and len(starts) > threads:
            with ThreadPoolExecutor(threads) as pool:  # NumPy lets other threads run while it computes
                list(pool.map(fill, starts))
        else:
            for start in starts:
                fill(start)
        return scores

    def _score(self, query: np.ndarray, documents: np.ndarray) -> np.ndarray:
        queries = self._queries[query]
        scores = dot(queries, documents)
        size = self._lengths[query] * np.sqrt(dot(documents, documents))  # bounds the sum of absolute products
        if self._cosine:
            scores = np.divide(scores, size, out=np.zeros_like(scores), where=size > 0)
            size = (size > 0).astype(np.float64)
        error = (2 * documents.shape[1] + 8) * UNIT * size
        low, high = (scores - error).astype(np.float32), (scores + error).astype(np.float32)
        for index in np.flatnonzero(low != high):
            low[index] = self._without_error(queries[index], documents[index])
        return low + np.float32(0)  # one zero, not two

    def _without_error(self, query: np.ndarray, document: np.ndarray) -> float:
        product = math.fsum((query * document).tolist())
        if not self._cosine:
            return product
        squares = math.fsum((query * query).tolist()), math.fsum((document * document).tolist())
        length = math.sqrt(squares[0]) * math.sqrt(squares[1])
        return product / length if length else 0.0


def dot(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the inner products of corresponding rows."""
    return np.einsum("ij,ij->i", left, right)
