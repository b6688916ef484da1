"""Tests on ranks: whether values drift, whether two sets of them differ, and Holm's correction for many tests.

Tests count repetitions as if each were news. Where they are correlated, `widening` (see resampling.py) says how much
wider their rank sum spreads than that; then the normal approximation is used, however few they are.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from fmbench import stats

if TYPE_CHECKING:
    import numpy as np

EXACT_PAIRS = 25  # up to so many pairs the signed-rank test counts every case
EXACT_ORDERS = 400  # up to this product of the two counts the U test does
FEWEST = 8  # of fewer values no order says anything
FINEST = 1e-9  # no shift of logarithms of durations is told more finely
BLOCK = 2**18  # values ranked at once


def two_sided(z: float) -> float:
    """Return the two-sided p of a standard normal deviate."""
    return math.erfc(abs(z) / math.sqrt(2))


def ranks_among(ordered: "np.ndarray", values: "np.ndarray") -> "np.ndarray":
    """Return the rank, from 1 on, of values among ascending ones; equal ones share the mean of their ranks."""
    return (ordered.searchsorted(values, "left") + ordered.searchsorted(values, "right") + 1) / 2


def average_ranks(values: "np.ndarray") -> "np.ndarray":
    """Return the rank of each value from 1 on; equal values share the mean of their ranks."""
    return ranks_among(stats.in_order(values), values)


def trend(values: "np.ndarray", ordered: "np.ndarray") -> tuple[float, float]:
    """Return how much values change over their order, as a share, and how likely chance makes such a trend.

    `ordered` are the same values, sorted. The change is from the median of the first third to that of the last; p is
    two-sided, of Spearman's rank correlation with the order (Daniels, 1950), by the normal approximation. Of fewer
    than 8 values: 0 and 1.
    """
    count = len(values)
    if count < FEWEST:
        return 0.0, 1.0
    first, last = stats.median(values[: count // 3]), stats.median(values[-(count // 3) :])
    p = two_sided(rank_correlation(values, ordered) * math.sqrt(count - 1))
    return (last / first - 1 if first else 0.0), p


def rank_correlation(values: "np.ndarray", ordered: "np.ndarray") -> float:
    """Return Spearman's rank correlation of values with their order; 0 where all are alike."""
    count = len(values)
    squares, products = 0.0, 0.0
    for start in range(0, count, BLOCK):
        block = values[start : start + BLOCK]
        places = block.argsort()  # searching in order is ten times as quick
        ranks = ranks_among(ordered, block[places]) - (count + 1) / 2
        squares += float(ranks @ ranks)
        products += float(ranks @ (places + (start - (count - 1) / 2)))
    scale = math.sqrt(squares * (count * (count * count - 1) / 12))
    return products / scale if scale else 0.0


def signed_rank_p(differences: "np.ndarray", widening: float = 1.0) -> float:
    """Return the two-sided p of the signed-rank test (Wilcoxon, 1945).

    Zero differences are left out (Wilcoxon's own rule); 1 where none is left. Exact for few differences, else the
    normal approximation with correction for ties. Correlated differences widen the sum's spread (Gastwirth and Rubin,
    1971, Effect of dependence on the level of some one-sample tests).
    """
    import numpy as np

    nonzero = differences[differences != 0]
    if 0 < len(nonzero) <= EXACT_PAIRS and widening == 1:
        ranks = average_ranks(np.abs(nonzero))
        return exact_signs(ranks, float(ranks[nonzero > 0].sum()))
    return two_sided(signed_rank_z(nonzero) / widening)


def signed_rank_z(nonzero: "np.ndarray") -> float:
    """Return how many standard deviations the sum of positive ranks is above its mean; 0 of none."""
    import numpy as np

    count = len(nonzero)
    if count == 0:
        return 0.0
    ranks = average_ranks(np.abs(nonzero))
    _, ties = np.unique(ranks, return_counts=True)
    variance = count * (count + 1) * (2 * count + 1) / 24 - float((ties**3 - ties).sum()) / 48
    return (float(ranks[nonzero > 0].sum()) - count * (count + 1) / 4) / math.sqrt(variance)


def shift_reaching(differences: "np.ndarray", z: float) -> float:
    """Return by how much differences like these, but around zero, have to shift until the signed-rank test says `z`.

    Where it cannot say so much, of few: until all are positive.
    """
    import numpy as np

    centred = differences - np.median(differences)
    low, high = 0.0, float(np.abs(centred).max())
    while high - low > max(high / 1000, FINEST):  # where any shift will do, high goes to 0
        middle = (low + high) / 2
        shifted = centred + middle
        low, high = (low, middle) if signed_rank_z(shifted[shifted != 0]) >= z else (middle, high)
    return high


def exact_signs(ranks: "np.ndarray", positive: float) -> float:
    """Return the two-sided p of a sum of positive ranks, over every way to give the ranks a sign.

    Ranks may be shared and so end in a half: they are counted in halves.
    """
    import numpy as np

    halves = np.rint(2 * ranks).astype(int)
    ways = np.zeros(int(halves.sum()) + 1)
    ways[0] = 1.0
    for rank in halves:
        ways[rank:] += ways[:-rank].copy()
    smaller = min(round(2 * positive), len(ways) - 1 - round(2 * positive))
    return float(min(1.0, 2 * ways[: smaller + 1].sum() / ways.sum()))


def mann_whitney_p(a: "np.ndarray", b: "np.ndarray", widenings: tuple[float, float] = (1.0, 1.0)) -> float:
    """Return the two-sided p of the U test (Mann and Whitney, 1947); 1 where one side is empty.

    Exact for few values without ties; else the normal approximation with continuity and the correction for ties. The
    ranks of each side add their own spread to U, and each is as much wider as that side's values are correlated
    (Serfling, 1968, The Wilcoxon two-sample statistic on strongly mixing processes).
    """
    import numpy as np

    count_a, count_b = len(a), len(b)
    if not count_a or not count_b:
        return 1.0
    ranks = average_ranks(np.concatenate([a, b]).astype(float))
    u = float(ranks[:count_a].sum()) - count_a * (count_a + 1) / 2
    _, ties = np.unique(ranks, return_counts=True)
    if count_a * count_b <= EXACT_ORDERS and len(ties) == len(ranks) and max(widenings) == 1:
        return exact_orders(round(min(u, count_a * count_b - u)), count_a, count_b)
    total = count_a + count_b
    tied = float((ties.astype(float) ** 3 - ties).sum()) / (total * (total - 1))
    variance = count_a * count_b / 12 * (total + 1 - tied)
    variance *= (count_b * widenings[0] ** 2 + count_a * widenings[1] ** 2) / total
    distance = abs(u - count_a * count_b / 2) - 0.5
    return two_sided(max(distance, 0.0) / math.sqrt(variance)) if variance > 0 else 1.0


def exact_orders(smaller: int, count_a: int, count_b: int) -> float:
    """Return the two-sided p of the smaller U, over every order of the values."""
    orders = u_distribution(min(count_a, count_b), max(count_a, count_b))
    return float(min(1.0, 2 * orders[: smaller + 1].sum() / orders.sum()))


@lru_cache(maxsize=256)
def u_distribution(fewer: int, more: int) -> "np.ndarray":
    """Return how many orders of the values have each U: the coefficients of the Gaussian binomial."""
    import numpy as np

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
