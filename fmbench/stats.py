"""Statistics of repeated measurements. Pure functions over sequences of numbers; the unit is the caller's."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


MANY = 200_000  # beyond, Python's own numbers take too much room and time


def dropped(count: int) -> int:
    """Return how many first repetitions the result leaves out: a fifth, at least one, none when only one ran."""
    return 0 if count <= 1 else max(1, math.floor(0.2 * count))


def settled(values: Sequence[float]) -> Sequence[float]:
    """Return the values after the first ones that the result leaves out."""
    return values[dropped(len(values)) :]


def quantile(ordered: "Sequence[float] | np.ndarray", share: float) -> float:
    """Return the quantile of ascending values, interpolated linearly (definition 7 of Hyndman and Fan, 1996)."""
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def median(values: Sequence[float]) -> float:
    """Return the middle value, or the mean of the two middle ones. Raises ValueError for no values."""
    if len(values) == 0:
        raise ValueError("no values")
    return quantile(sorted(values), 0.5)


def deviation(values: Sequence[float], centre: float) -> float:
    """Return the median absolute deviation from a centre, unscaled."""
    return median([abs(value - centre) for value in values])


@lru_cache(maxsize=4096)
def interval_ranks(count: int, confidence: float = 0.95) -> tuple[int, int]:
    """Return the zero-based ranks, among `count` ascending values, of the bootstrap interval of their median.

    The percentile bootstrap of a median needs no random resampling: a resampled order statistic m lies at or below
    the k-th smallest value with probability P(Binomial(n, k/n) >= m) (Efron, 1982, The Jackknife, the Bootstrap and
    Other Resampling Plans, section 10.3). For an even count the lower median gives the lower end and the upper
    median the upper one. Like every percentile bootstrap it is a little narrow for few values: near 92% for 13.
    """
    tail = (1 - confidence) / 2
    return (
        rank_reaching(count, (count + 1) // 2, tail),
        rank_reaching(count, count // 2 + 1, 1 - tail),
    )


def rank_reaching(count: int, middle: int, probability: float) -> int:
    """Return the least zero-based k with P(Binomial(count, (k+1)/count) >= middle) >= probability."""
    low, high = 0, count - 1
    while low < high:
        probe = (low + high) // 2
        if binomial_tail(count, (probe + 1) / count, middle) >= probability:
            high = probe
        else:
            low = probe + 1
    return low


def binomial_tail(count: int, share: float, least: int) -> float:
    """Return P(Binomial(count, share) >= least); of many, by the normal approximation, good to 1e-6 there."""
    import numpy as np

    if share >= 1:
        return 1.0
    if count > MANY:
        return math.erfc((least - 0.5 - count * share) / math.sqrt(2 * count * share * (1 - share))) / 2
    # Beyond ten standard deviations no term reaches the precision of a float.
    most = min(count, max(least, math.ceil(count * share)) + 10 * math.isqrt(count) + 10)
    successes = np.arange(least, most + 1)
    log_factorial = log_factorials(count)
    log_choose = log_factorial[count] - log_factorial[successes] - log_factorial[count - successes]
    return float(np.exp(log_choose + successes * math.log(share) + (count - successes) * math.log1p(-share)).sum())


@lru_cache(maxsize=8)
def log_factorials(count: int) -> "np.ndarray":
    """Return the logarithms of 0! to count!."""
    import numpy as np

    return np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, count + 1)))))


@dataclass(frozen=True, slots=True)
class Trend:
    """Whether values drift over their order: the change over the whole series as a share, and how sure that is."""

    change: float
    p: float


def trend(values: Sequence[float]) -> Trend:
    """Test for a monotone trend: Spearman's rank correlation with the order (Daniels, 1950).

    `change` compares the median of the last third with that of the first; `p` is two-sided, from the normal
    approximation, and 1 for fewer than 8 values, of which no order says anything.
    """
    import numpy as np

    count = len(values)
    third = count // 3
    if count < 8:
        return Trend(0.0, 1.0)
    first, last = median(values[:third]), median(values[-third:])
    order = np.arange(count) - (count - 1) / 2
    ranks = average_ranks(np.asarray(values, dtype=float)) - (count + 1) / 2
    scale = math.sqrt(float(ranks @ ranks) * float(order @ order))
    correlation = float(ranks @ order) / scale if scale else 0.0
    return Trend(last / first - 1 if first else 0.0, two_sided(correlation * math.sqrt(count - 1)))


def average_ranks(values: "np.ndarray") -> "np.ndarray":
    """Return the rank of each value from 1 on; equal values share the mean of their ranks."""
    import numpy as np

    ordered = np.sort(values)
    smaller, at_most = ordered.searchsorted(values, "left"), ordered.searchsorted(values, "right")
    return (smaller + at_most + 1) / 2


def two_sided(z: float) -> float:
    """Return the two-sided p of a standard normal deviate."""
    return math.erfc(abs(z) / math.sqrt(2))


def outliers(values: Sequence[float], centre: float, mad: float) -> int:
    """Count values whose modified z-score exceeds 3.5 (Iglewicz and Hoaglin, 1993, Detect and Handle Outliers)."""
    limit = 3.5 * mad / 0.6745
    return sum([abs(value - centre) > limit for value in values])  # a list: a generator takes twice as long
