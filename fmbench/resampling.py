"""How sure a median, a ratio of medians or a mean is: the bootstrap (Efron, 1979), and what correlation does to it.

Repetitions on a busy machine are correlated: a slow one is followed by a slow one, and a hundred of them say as much
as, perhaps, ten that are not. `widening` measures that, and every interval and test of repetitions is wider by it.
"""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from fmbench import stats

if TYPE_CHECKING:
    import numpy as np

RESAMPLES = 2000
BLOCK = 1_000_000  # values resampled at once
MANY = 200_000  # repetitions; beyond, the binomial distribution is normal to 1e-6
FEWEST = 16  # fewer values do not tell how they are correlated
FEW = 20  # items; an interval of percentiles over fewer is too narrow
BATCHES = 2**11
Z = 1.959964  # of 95%
FAR = 6.0  # standard errors: a ratio so far from 1 is no chance, whatever ranks can tell
POWER = 0.841621  # the normal quantile of 80%, the power that Cohen (1988) made the usual one

Interval = tuple[float, float]


def percentiles(samples: "np.ndarray") -> Interval:
    """Return the 95% percentile interval of bootstrap samples."""
    import numpy as np

    low, high = np.quantile(samples, [0.025, 0.975])
    return float(low), float(high)


def median_interval(values: "np.ndarray", ordered: "np.ndarray") -> tuple[Interval, float]:
    """Return the 95% interval of the median of values, and how many independent ones they are worth.

    `ordered` are the same values, sorted. A median moves as the share of values below it does (Sen, 1972, On the
    Bahadur representation of sample quantiles for sequences of phi-mixing random variables): its ranks spread with
    the correlation of the signs.
    """
    count = len(ordered)
    effective = effective_count(sides(values, stats.quantile(ordered, 0.5)))
    wider = widening(count, effective)
    low, high, middle = *interval_ranks(count), (count - 1) / 2
    low = max(0, math.floor(middle - wider * (middle - low)))
    high = min(count - 1, math.ceil(middle + wider * (high - middle)))
    return (float(ordered[low]), float(ordered[high])), effective


def sides(values: "np.ndarray", centre: float) -> "np.ndarray":
    """Return -1, 0 or 1 for each value: below, at or above a centre."""
    import numpy as np

    return np.subtract(values > centre, values < centre, dtype=np.int8)


def effective_count(scores: "np.ndarray") -> float:
    """Return how many independent scores know their mean as well as these do: their count over the correlation time.

    Fewer than 16 do not tell how they are correlated. Of very many, means of neighbours stand for them (batch means:
    Schmeiser, 1982, Batch size effects in the analysis of simulation output).
    """
    import numpy as np

    count = len(scores)
    if count < FEWEST:
        return count
    size = -(-count // BATCHES)
    if size == 1:
        return max(1.0, count / correlation_time(scores))
    batches = scores[: count // size * size].reshape(-1, size).mean(axis=1)
    spread = float(np.einsum("i,i->", scores, scores, dtype=float)) / count - float(batches.mean()) ** 2
    time = correlation_time(batches) * (size * float(batches.var()) / spread if spread > 0 else 1.0)
    return max(1.0, count / max(1.0, time))


def widening(count: int, effective: float) -> float:
    """Return how much wider an interval of so many values is where they are worth fewer independent ones.

    By the root of that, and by Student's quantile over the normal one (Abramowitz and Stegun, 1964, 26.7.5).
    """
    if effective >= count:
        return 1.0
    free = max(effective - 1, 1.0)
    student = 1 + (Z**2 + 1) / (4 * free) + (5 * Z**4 + 16 * Z**2 + 3) / (96 * free**2)
    return math.sqrt(count / effective) * student


def correlation_time(values: "np.ndarray") -> float:
    """Return the integrated autocorrelation time, in values: 1 where the first autocorrelation is within chance.

    Summed up by Geyer's initial monotone sequence (1992, Practical Markov chain Monte Carlo, section 3.3). Each
    autocorrelation about the values' own mean is too low by the time over the count (Marriott and Pope, 1954, Bias in
    the estimation of autocorrelations).
    """
    import numpy as np

    count = len(values)
    centred = values - values.sum() / count
    if float(centred[1:] @ centred[:-1]) * math.sqrt(count) <= float(centred @ centred):
        return 1.0
    covariances = np.correlate(centred, centred, "full")[count - 1 :][: count // 2 * 2]
    pairs = (covariances[::2] + covariances[1::2]) / covariances[0]
    ends = np.flatnonzero(pairs <= 0)
    positive = pairs[: ends[0]] if len(ends) else pairs
    time = 2 * float(np.minimum.accumulate(positive).sum()) - 1
    return max(1.0, time * (1 + (4 * len(positive) - 1) / count))


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


def resampled_medians(values: "np.ndarray", seed: Sequence[int], wider: float = 1.0) -> "np.ndarray":
    """Return the medians of RESAMPLES bootstrap samples of the values, spread `wider` times as far (see `widening`).

    No sample is drawn. A sample of n values takes those at the ranks floor(n U) of n uniform numbers U, so its
    median needs only the middle one or two of these in order: the m-th smallest of n is Beta(m, n - m + 1), and
    the one after it is the least of n - m more above it (David and Nagaraja, 2003, Order Statistics, chapter 2).
    """
    import numpy as np

    ordered = np.sort(values)
    count = len(ordered)
    middle = (count + 1) // 2

    def drawn(uniform: "np.ndarray") -> "np.ndarray":
        spread = uniform if wider == 1 else 0.5 + (uniform - 0.5) * wider
        return ordered[(spread * count).astype(int).clip(0, count - 1)]

    generator = np.random.default_rng(list(seed))
    lower = generator.beta(middle, count - middle + 1, RESAMPLES)
    if count % 2:
        return drawn(lower)
    least = 1 - generator.random(RESAMPLES) ** (1 / (count - middle))
    return (drawn(lower) + drawn(lower + (1 - lower) * least)) / 2


def paired_ratio_interval(a: "np.ndarray", b: "np.ndarray", seed: int, wider: float = 1.0) -> Interval:
    """Return the 95% percentile interval of median(b) / median(a), resampling pairs; of its logarithm, `wider`."""
    import numpy as np

    generator = np.random.default_rng(seed)
    rows = max(1, min(RESAMPLES, 4 * BLOCK // len(a)))
    ratios: list[np.ndarray] = []
    for start in range(0, RESAMPLES, rows):
        picks = generator.integers(0, len(a), (min(rows, RESAMPLES - start), len(a)))
        ratios.append(np.median(b[picks], axis=1) / np.median(a[picks], axis=1))
    low, high = percentiles(np.concatenate(ratios))
    if wider == 1:
        return low, high
    ratio = float(np.median(b) / np.median(a))
    return ratio * (low / ratio) ** wider, ratio * (high / ratio) ** wider


def mean_intervals(values: "np.ndarray", seed: int = 0) -> list[Interval] | None:
    """Return the 95% interval of each column's mean, within what its rows have.

    `values`: shape (queries, metrics). Every column sees the same resamples. None for fewer than two queries, of
    which no resample says anything.
    """
    import numpy as np

    if len(values) < 2:
        return None
    means = np.concatenate([shares @ values for shares in resamples(len(values), seed)])
    # Shares of many queries add up to a little more than 1 at times, and a mean of ones would seem to exceed it.
    limits = np.quantile(means, [0.025, 0.975], axis=0).clip(values.min(axis=0), values.max(axis=0))
    return [(float(low), float(high)) for low, high in limits.T]


def resamples(count: int, seed: int) -> Iterator["np.ndarray"]:
    """Yield, block by block, RESAMPLES rows: the share that each of `count` queries has in a bootstrap sample."""
    import numpy as np

    generator = np.random.default_rng(seed)
    most = max(1, BLOCK // count)
    for start in range(0, RESAMPLES, most):
        rows = min(most, RESAMPLES - start)
        picks = generator.integers(0, count, (rows, count)) + np.arange(rows)[:, None] * count
        yield np.bincount(picks.ravel(), minlength=rows * count).reshape(rows, count) / count


def beyond_ranks(p: float, ratio: float, interval: Interval) -> float:
    """Return the p of a rank test of correlated values, or a smaller one where the ratio leaves no room for chance.

    Thirty values that are worth 8 cannot get below 1% there, be one side five times the other: ranks know order, not
    size. By the ratio's 95% interval, six standard errors from 1 are p = 2e-9, which equal sides do not come near.
    """
    z = math.log(ratio) / (math.log(interval[1] / interval[0]) / (2 * Z)) if interval[0] < interval[1] else 0.0
    return min(p, math.erfc(abs(z) / math.sqrt(2))) if abs(z) > FAR else p


def required(significance: float) -> float:
    """Return by how many standard errors an effect must differ from none to be found in 4 of 5 runs.

    Those that the two-sided test at `significance` asks for, and those of the power (Bloom, 1995, Minimum detectable
    effects).
    """
    from statistics import NormalDist

    return POWER - NormalDist().inv_cdf(significance / 2)


def detectable(interval: Interval, significance: float) -> float:
    """Return the smallest change, as a share, that a ratio with this 95% interval shows in 4 of 5 runs."""
    return math.expm1(required(significance) * math.log(interval[1] / interval[0]) / (2 * Z))
