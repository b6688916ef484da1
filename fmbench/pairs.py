"""Comparing two variants whose repetitions were measured in pairs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fmbench import stats

if TYPE_CHECKING:
    import numpy as np

RESAMPLES = 2000
SURE = 0.01
NEGLIGIBLE = 0.005  # as much comes from where in memory two copies of one model lie
EXACT = 25  # up to so many pairs the test counts every case
BLOCK = 4_000_000  # values resampled at once

Verdict = Literal["faster", "slower", "no significant difference"]
NO_DIFFERENCE: Verdict = "no significant difference"
LEAST = 8  # with fewer pairs the test cannot reach that p, whatever they are


@dataclass(frozen=True, slots=True)
class Pair:
    """B against A: `ratio` of the median durations (below 1: B is faster), its 95% interval, and the verdict."""

    n: int
    ratio: float
    interval: tuple[float, float]
    p: float
    verdict: Verdict | None  # None: too few pairs to tell

    @property
    def reason(self) -> str | None:
        """What keeps the verdict from being what the interval says; None where they agree."""
        if self.verdict != NO_DIFFERENCE or self.interval[0] <= 1 <= self.interval[1]:
            return None
        if self.p >= SURE:
            return f"the test decides, and its p is {self.p:.2g}: not below {SURE:.0%}"
        return f"not above {NEGLIGIBLE:.1%}"

    @classmethod
    def of(cls, a: Sequence[float], b: Sequence[float], seed: int = 0) -> "Pair":
        """Compare durations that were taken in pairs, `a[i]` beside `b[i]`. Raises ValueError for none.

        The first fifth of the pairs is left out, as it is of every result. The interval is a bootstrap over pairs,
        so that what disturbed both of a pair cancels. The verdict asks for three things: an interval without 1, a
        Wilcoxon signed-rank test of the log ratios (Wilcoxon, 1945) with p below 1%, and a difference above 0.5%.
        Identical variants are called different in about 1 of 100 runs.
        """
        import numpy as np

        kept_a = np.asarray(stats.settled(a), dtype=float)
        kept_b = np.asarray(stats.settled(b), dtype=float)
        if len(kept_a) == 0 or len(kept_a) != len(kept_b):
            raise ValueError(f"{len(kept_a)} and {len(kept_b)} repetitions are no pairs")
        if not (kept_a.min() > 0 and kept_b.min() > 0):
            raise ValueError("a repetition took no time")
        low, high = bootstrap_ratio(kept_a, kept_b, seed)
        p = signed_rank_p(np.log(kept_b / kept_a))
        ratio = float(np.median(kept_b) / np.median(kept_a))
        verdict: Verdict | None = NO_DIFFERENCE if len(kept_a) >= LEAST else None
        if verdict and p < SURE and not low <= 1 <= high and abs(ratio - 1) > NEGLIGIBLE:
            verdict = "faster" if ratio < 1 else "slower"
        return cls(len(kept_a), ratio, (low, high), p, verdict)


def bootstrap_ratio(a: "np.ndarray", b: "np.ndarray", seed: int) -> tuple[float, float]:
    """Return the 95% percentile interval of median(b) / median(a), resampling pairs."""
    import numpy as np

    generator = np.random.default_rng(seed)
    rows = max(1, min(RESAMPLES, BLOCK // len(a)))
    ratios: list[np.ndarray] = []
    for start in range(0, RESAMPLES, rows):
        picks = generator.integers(0, len(a), (min(rows, RESAMPLES - start), len(a)))
        ratios.append(np.median(b[picks], axis=1) / np.median(a[picks], axis=1))
    low, high = np.quantile(np.concatenate(ratios), [0.025, 0.975])
    return float(low), float(high)


def signed_rank_p(differences: "np.ndarray") -> float:
    """Return the two-sided p of the Wilcoxon signed-rank test.

    Zero differences are left out (Wilcoxon's own rule); 1 where none is left. Exact for few differences, else the
    normal approximation with correction for ties.
    """
    import numpy as np

    nonzero = differences[differences != 0]
    count = len(nonzero)
    if count == 0:
        return 1.0
    ranks = stats.average_ranks(np.abs(nonzero))
    positive = float(ranks[nonzero > 0].sum())
    if count <= EXACT:
        return exact_p(ranks, positive)
    _, ties = np.unique(ranks, return_counts=True)
    variance = count * (count + 1) * (2 * count + 1) / 24 - float((ties**3 - ties).sum()) / 48
    return stats.two_sided((positive - count * (count + 1) / 4) / float(np.sqrt(variance)))


def exact_p(ranks: "np.ndarray", positive: float) -> float:
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
