"""Comparing two variants whose repetitions were measured in pairs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fmbench import stats
from fmbench.rank_tests import shift_reaching, signed_rank_p
from fmbench.resampling import (
    Interval,
    beyond_ranks,
    detectable,
    effective_count,
    paired_ratio_interval,
    required,
    sides,
    widening,
)

SURE = 0.01
NEGLIGIBLE = 0.005  # as much comes from where in memory two copies of one model lie

Verdict = Literal["faster", "slower", "no significant difference"]
NO_DIFFERENCE: Verdict = "no significant difference"
LEAST = 8  # with fewer pairs the test cannot reach that p, whatever they are


@dataclass(frozen=True, slots=True)
class Pair:
    """B against A: `ratio` of the median durations (below 1: B is faster), its 95% interval, and the verdict.

    `detectable` is the smallest difference, as a share, that these pairs would have shown in 4 of 5 runs.
    """

    n: int
    ratio: float
    interval: Interval
    p: float
    verdict: Verdict | None  # None: too few pairs to tell
    detectable: float

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
        so that what disturbed both of a pair cancels; where what is left goes from pair to pair, interval and test
        are wider by it. An order that is drawn for each pair keeps that from happening (Fisher, 1935). The verdict
        asks for three things: an interval without 1, a Wilcoxon signed-rank test of the log ratios with p below 1%,
        and a difference above 0.5%. Where pairs are correlated p is also what a ratio far from 1 says by itself
        (`beyond_ranks`). Identical variants are called different in about 1 of 100 runs.
        """
        import numpy as np

        kept_a = np.asarray(stats.settled(a), dtype=float)
        kept_b = np.asarray(stats.settled(b), dtype=float)
        if len(kept_a) == 0 or len(kept_a) != len(kept_b):
            raise ValueError(f"{len(kept_a)} and {len(kept_b)} repetitions are no pairs")
        if not (kept_a.min() > 0 and kept_b.min() > 0):
            raise ValueError("a repetition took no time")
        medians = float(np.median(kept_a)), float(np.median(kept_b))
        scores = sides(kept_b, medians[1]) - sides(kept_a, medians[0])
        wider = widening(len(scores), effective_count(scores))
        low, high = paired_ratio_interval(kept_a, kept_b, seed, wider)
        logs = np.log(kept_b / kept_a)
        ratio = medians[1] / medians[0]
        p = signed_rank_p(logs, wider)
        if wider > 1:
            p = beyond_ranks(p, ratio, (low, high))
        verdict: Verdict | None = NO_DIFFERENCE if len(kept_a) >= LEAST else None
        if verdict and p < SURE and not low <= 1 <= high and abs(ratio - 1) > NEGLIGIBLE:
            verdict = "faster" if ratio < 1 else "slower"
        shift = shift_reaching(logs, required(SURE) * wider)
        seen = max(detectable((low, high), SURE), math.expm1(shift), NEGLIGIBLE)  # all three have to show it
        return cls(len(kept_a), ratio, (low, high), p, verdict, seen)
