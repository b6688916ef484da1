"""How sure a mean over queries is: the percentile bootstrap (Efron, 1979), resampling queries."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

RESAMPLES = 2000
BLOCK = 1_000_000  # counts in memory at once

Interval = tuple[float, float]


def mean_intervals(values: "np.ndarray", seed: int = 0) -> list[Interval] | None:
    """Return the 95% interval of each column's mean, within what its queries have.

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
