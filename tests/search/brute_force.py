"""What a search must find, computed by other means: rational numbers, every pair, one sort."""

import math
from fractions import Fraction

import numpy as np


def exact(query, document, similarity):
    """Return the score that the definition asks for, by rational arithmetic."""
    score = float(inner(query, document))
    if similarity == "cosine":
        length = math.sqrt(float(inner(query, query))) * math.sqrt(float(inner(document, document)))
        score = score / length if length else 0.0
    return float(np.float32(score))


def inner(left, right):
    return sum(
        (Fraction(a) * Fraction(b) for a, b in zip(left.tolist(), right.tolist(), strict=True)), start=Fraction(0)
    )


def brute_force(queries, ids, documents, k, similarity):
    """Return for each query its best (score, id, position)."""
    return [
        sorted(
            (
                (exact(query, document, similarity), name, row)
                for row, (name, document) in enumerate(zip(ids, documents, strict=True))
            ),
            reverse=True,
        )[:k]
        for query in queries
    ]
