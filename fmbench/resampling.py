"""Bootstrap medians of repetitions, and intervals of what follows from them."""

from collections.abc import Sequence

import numpy as np

RESAMPLES = 2000
Interval = tuple[float, float]


def resampled_medians(values: np.ndarray, seed: Sequence[int]) -> np.ndarray:
    """Return the medians of RESAMPLES bootstrap samples of the values.

    No sample is drawn. A sample of n values takes those at the ranks floor(n U) of n uniform numbers U, so its
    median needs only the middle one or two of these in order: the m-th smallest of n is Beta(m, n - m + 1), and
    the one after it is the least of n - m more above it (David and Nagaraja, 2003, Order Statistics, chapter 2).
    """
    ordered = np.sort(values)
    count = len(ordered)
    middle = (count + 1) // 2
    generator = np.random.default_rng(list(seed))
    lower = generator.beta(middle, count - middle + 1, RESAMPLES)
    below = ordered[ranks(lower, count)]
    if count % 2:
        return below
    least = 1 - generator.random(RESAMPLES) ** (1 / (count - middle))
    return (below + ordered[ranks(lower + (1 - lower) * least, count)]) / 2


def ranks(uniform: np.ndarray, count: int) -> np.ndarray:
    """Return the zero-based ranks that uniform numbers draw."""
    return np.minimum((uniform * count).astype(int), count - 1)


def interval(samples: np.ndarray) -> Interval:
    """Return the 95% percentile interval."""
    low, high = np.quantile(samples, [0.025, 0.975])
    return float(low), float(high)


class GeometricMean:
    """The geometric mean of ratios over shapes, with its interval."""

    def __init__(self) -> None:
        self.count = 0
        self._log = 0.0
        self._logs = np.zeros(RESAMPLES)

    def add(self, ratio: float, samples: np.ndarray) -> None:
        """Take in one shape: its ratio, and what resampling made of it."""
        self.count += 1
        self._log += float(np.log(ratio))
        self._logs += np.log(samples)

    @property
    def value(self) -> float | None:
        """The mean; None where no shape was taken in."""
        return float(np.exp(self._log / self.count)) if self.count else None

    @property
    def interval(self) -> Interval | None:
        """Its 95% interval."""
        return interval(np.exp(self._logs / self.count)) if self.count else None
