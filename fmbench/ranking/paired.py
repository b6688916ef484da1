"""Comparing two rankings of the same queries: by how much they differ, and whether by more than chance.

One test says both. If the two systems were alike, which is called A and which B would be a toss-up for every query
(Fisher, 1935; Smucker, Allan and Carterette, 2007, for retrieval). The same toss-ups ask of any change whether it could
be the true one, and the 95% interval holds every change that they do not refuse: p is below 5% exactly where the
interval leaves "no change" out. For a set of queries whose sign is flipped, a true change is as extreme as what was
observed where the set's own mean is beyond it, so that the ends are order statistics of the means of such sets
(Hartigan, 1969, Using subsample values as typical values).
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fmbench.errors import UsageError
from fmbench.resampling import BLOCK, Interval

from .evaluation import Evaluation

if TYPE_CHECKING:
    import numpy as np

FLIPS = 10_000
EXACT = 14  # up to so many queries that differ, the test counts every case
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Difference:
    """B against A in one metric, over n queries.

    `mean` is mean(B - A), `share` is mean(B) / mean(A), how much of A is kept. `p` is two-sided, of the randomisation
    test, and both 95% intervals are of that test: p is below 5% exactly where `interval` leaves 0 out, and then
    `share_interval` leaves 1 out. What cannot be known is None: an interval of fewer than six queries, which no test
    bounds, a share of zero.
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
    if a.shape != b.shape or len(a) == 0:
        raise ValueError(f"arrays of shape {a.shape} and {b.shape} are no pairs")
    before, after = a.mean(axis=0), b.mean(axis=0)
    sets = subsets(a, b, seed)
    return [
        Difference(
            n=len(a),
            mean=float((b - a)[:, column].mean()),
            interval=limits(sets.changes[:, column], sets.counts),
            p=two_sided(sets.changes[:, column]),
            share=float(after[column] / before[column]) if before[column] > 0 else None,
            share_interval=share_limits(sets, column) if before[column] > 0 else None,
        )
        for column in range(a.shape[1])
    ]


@dataclass(frozen=True, slots=True)
class Subsets:
    """Sums over sets of queries, each set beside its complement: `counts` (sets,), the others (sets, metrics).

    A sum of changes that is 0 but for rounding is 0.
    """

    counts: "np.ndarray"
    before: "np.ndarray"
    changes: "np.ndarray"


def subsets(a: "np.ndarray", b: "np.ndarray", seed: int) -> Subsets:
    """Return the sums of A and of B - A over sets of queries.

    Of few queries that differ, every set occurs equally often, so that p is exact; else FLIPS sets are drawn, and the
    empty one, which is what was observed, is among them, so that p is never 0.
    """
    import numpy as np

    changes = b - a
    differing = (changes != 0).any(axis=1)
    counts, before, sums = [], [], []
    for chosen in set_blocks(differing, seed):
        for members in (chosen, 1.0 - chosen):
            counts.append(members.sum(axis=1))
            before.append(members @ a)
            sums.append(members @ changes)
    found = np.concatenate(sums)
    found[np.abs(found) <= ROUNDING * np.abs(changes).sum(axis=0)] = 0.0
    return Subsets(np.concatenate(counts), np.concatenate(before), found)


def set_blocks(differing: "np.ndarray", seed: int) -> Iterator["np.ndarray"]:
    """Yield rows of 0.0 and 1.0, a query each: 1.0 for a query that is in the set."""
    import numpy as np

    few, count = int(differing.sum()), len(differing)
    generator = np.random.default_rng(seed)
    most = max(1, BLOCK // count)
    if few > EXACT:
        yield np.zeros((1, count))
        for start in range(0, FLIPS, most):
            yield generator.integers(0, 2, (min(most, FLIPS - start), count)).astype(float)
        return
    every = np.array(list(itertools.product((0.0, 1.0), repeat=few)))
    rounds = 1 if few == count else -(-FLIPS // len(every))
    for rows in np.array_split(np.tile(every, (rounds, 1)), -(-rounds * len(every) // most)):
        members = generator.integers(0, 2, (len(rows), count)).astype(float)
        members[:, differing] = rows
        yield members


def two_sided(sums: "np.ndarray") -> float:
    """Return p: how many of the sets are at least as extreme as what was observed."""
    fewer = min(int((sums <= 0).sum()), int((sums >= 0).sum()))
    return min(1.0, 2 * fewer / len(sums))


def limits(sums: "np.ndarray", sizes: "np.ndarray", offset: float = 0.0) -> Interval | None:
    """Return the 95% interval of a ratio of sums, given the sums of what it exceeds `offset` by; None without bounds.

    A set of size 0 says nothing, and is as extreme as what was observed whatever the true ratio is.
    """
    import numpy as np

    tail = -(-len(sums) // 40)  # 2.5%, rounded up
    ratios = offset + np.divide(sums, sizes, out=np.full(len(sums), np.nan), where=sizes > 0)
    silent = np.where(sums > 0, np.inf, np.where(sums < 0, -np.inf, np.nan))
    ratios = np.where(sizes > 0, ratios, silent)
    low = np.partition(np.where(np.isnan(ratios), -np.inf, ratios), tail - 1)[tail - 1]
    high = np.partition(np.where(np.isnan(ratios), np.inf, ratios), len(sums) - tail)[len(sums) - tail]
    return (float(low), float(high)) if np.isfinite(low) and np.isfinite(high) else None


def share_limits(sets: Subsets, column: int) -> Interval | None:
    """Return the 95% interval of mean(B) / mean(A): 1 where no query changed, also where most queries of A have 0."""
    if not sets.changes[:, column].any():
        return 1.0, 1.0
    return limits(sets.changes[:, column], sets.before[:, column], offset=1.0)
