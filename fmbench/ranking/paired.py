"""Comparing two rankings of the same queries: by how much they differ, and whether by more than chance."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fmbench.errors import UsageError

from .evaluation import Evaluation
from .intervals import BLOCK, Interval, resamples

if TYPE_CHECKING:
    import numpy as np

FLIPS = 10_000
EXACT = 14  # up to so many queries that differ, the test counts every case
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Difference:
    """B against A in one metric, over n queries.

    `mean` is mean(B - A), `share` is mean(B) / mean(A), how much of A is kept; both with their 95% bootstrap interval
    over queries. `p` is two-sided, of the randomisation test. What cannot be known is None: an interval for one query
    alone, a share of zero.
    """

    n: int
    mean: float
    interval: Interval | None
    p: float
    share: float | None
    share_interval: Interval | None


def compare(a: Evaluation, b: Evaluation, seed: int = 0) -> dict[str, Difference]:
    """Return the difference in every metric that both have. Raises UsageError for different queries.

    Each p is of its own metric: among twenty metrics one is below 5% by chance.
    """
    if a.queries != b.queries:
        raise UsageError(
            f"the rankings judge {len(a.queries):,} and {len(b.queries):,} queries, and not the same ones: "
            "they cannot be compared query by query"
        )
    names = [name for name in a.names if name in b.names]
    columns = [evaluation.values[:, [evaluation.names.index(name) for name in names]] for evaluation in (a, b)]
    return dict(zip(names, differences(columns[0], columns[1], seed), strict=True))


def differences(a: "np.ndarray", b: "np.ndarray", seed: int = 0) -> list[Difference]:
    """Compare the columns of two arrays of shape (queries, metrics), `a[i]` beside `b[i]`.

    Raises ValueError for arrays of different shapes, or without a row.
    """
    import numpy as np

    if a.shape != b.shape or len(a) == 0:
        raise ValueError(f"arrays of shape {a.shape} and {b.shape} are no pairs")
    before, after = a.mean(axis=0), b.mean(axis=0)
    p = randomisation_p(b - a, seed)
    if len(a) > 1:
        resampled = np.concatenate([shares @ np.hstack([a, b]) for shares in resamples(len(a), seed)])
        old, new = np.split(resampled, 2, axis=1)
        intervals = np.quantile(new - old, [0.025, 0.975], axis=0).T
        positive = old.min(axis=0) > 0
        shares = np.quantile(new / np.where(old > 0, old, 1), [0.025, 0.975], axis=0).T
    return [
        Difference(
            n=len(a),
            mean=float((b - a)[:, column].mean()),
            interval=pair(intervals[column]) if len(a) > 1 else None,
            p=float(p[column]),
            share=float(after[column] / before[column]) if before[column] > 0 else None,
            share_interval=pair(shares[column]) if len(a) > 1 and positive[column] else None,
        )
        for column in range(a.shape[1])
    ]


def pair(row: "np.ndarray") -> Interval:
    """Return the two ends of an interval."""
    return float(row[0]), float(row[1])


def randomisation_p(changes: "np.ndarray", seed: int = 0) -> "np.ndarray":
    """Return the two-sided p of each column's mean change under random signs of the rows.

    If the two systems were alike, which is called A and which B would be a toss-up for every query (Fisher, 1935;
    Smucker, Allan and Carterette, 2007, for retrieval). `changes`: shape (queries, metrics). Every case is counted
    where few queries differ; else FLIPS of them are drawn, and the observed one is among them, so that p is never 0.
    """
    import numpy as np

    changes = changes[(changes != 0).any(axis=1)]
    limit = np.abs(changes.sum(axis=0)) - ROUNDING * np.abs(changes).sum(axis=0)
    extreme, cases = np.zeros(changes.shape[1]), 0
    for signs in sign_blocks(len(changes), seed):
        extreme += (np.abs(signs @ changes) >= limit).sum(axis=0)
        cases += len(signs)
    return extreme / cases if len(changes) <= EXACT else (extreme + 1) / (cases + 1)


def sign_blocks(count: int, seed: int) -> Iterator["np.ndarray"]:
    """Yield rows of `count` signs, 1.0 or -1.0: every one for a small count, else FLIPS that are drawn."""
    import numpy as np

    if count <= EXACT:
        yield np.array(list(itertools.product((1.0, -1.0), repeat=count)))
        return
    generator = np.random.default_rng(seed)
    most = max(1, BLOCK // count)
    for start in range(0, FLIPS, most):
        yield 1.0 - 2.0 * generator.integers(0, 2, (min(most, FLIPS - start), count), dtype=np.int8)
