"""Whether two sets of repetitions differ: the Mann-Whitney U test, and Holm's correction for many tests."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from fmbench import stats

EXACT = 400  # up to this product of the two counts, every order is counted


def mann_whitney_p(a: np.ndarray, b: np.ndarray) -> float:
    """Return the two-sided p of the U test (Mann and Whitney, 1947); 1 where one side is empty.

    Exact for few values without ties; else the normal approximation with continuity and the correction for ties.
    """
    count_a, count_b = len(a), len(b)
    if not count_a or not count_b:
        return 1.0
    ranks = stats.average_ranks(np.concatenate([a, b]).astype(float))
    u = float(ranks[:count_a].sum()) - count_a * (count_a + 1) / 2
    _, ties = np.unique(ranks, return_counts=True)
    if count_a * count_b <= EXACT and len(ties) == len(ranks):
        return exact_p(round(min(u, count_a * count_b - u)), count_a, count_b)
    total = count_a + count_b
    tied = float((ties.astype(float) ** 3 - ties).sum()) / (total * (total - 1))
    variance = count_a * count_b / 12 * (total + 1 - tied)
    distance = abs(u - count_a * count_b / 2) - 0.5
    return stats.two_sided(max(distance, 0.0) / variance**0.5) if variance > 0 else 1.0


def exact_p(smaller: int, count_a: int, count_b: int) -> float:
    """Return the two-sided p of the smaller U, over every order of the values."""
    orders = u_distribution(min(count_a, count_b), max(count_a, count_b))
    return float(min(1.0, 2 * orders[: smaller + 1].sum() / orders.sum()))


@lru_cache(maxsize=256)
def u_distribution(fewer: int, more: int) -> np.ndarray:
    """Return how many orders of the values have each U: the coefficients of the Gaussian binomial."""
    orders = np.zeros(fewer * more + 1, dtype=np.int64)
    orders[0] = 1
    for step in range(1, fewer + 1):
        orders[more + step :] -= orders[: len(orders) - more - step].copy()
        for first in range(step):  # divide by 1 - x**step: a running sum over every step-th coefficient
            orders[first::step] = np.cumsum(orders[first::step])
    return orders


def holm(values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number, in the same order (Holm, 1979)."""
    corrected = [1.0] * len(values)
    largest = 0.0
    for done, position in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - done) * values[position]))
        corrected[position] = largest
    return corrected
