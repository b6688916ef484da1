"""What is said of one shape's repetitions: figures, and how far to trust them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fmbench import many, stats

LEAST = 5  # fewer repetitions show no spread
SPREAD_LIMIT = 0.05  # a quiet machine's median absolute deviation stays below this share of the median
INTERVAL_LIMIT = 0.02  # half the interval's width, as a share of the median
DRIFT_LIMIT = 0.03  # change from the first third to the last
DRIFT_SURE = 0.01
PREEMPTION_LIMIT = 100  # a second; a quiet machine's own housekeeping stays below 40


@dataclass(frozen=True, slots=True)
class Summary:
    """Statistics of one shape. Times in the unit of the values; `n` counts the repetitions that were kept.

    `interval` is the 95% bootstrap interval of the median. `drift` is the change over the run as a share, `drift_p`
    how likely chance makes such a trend. `recompiled` counts kept repetitions in which the compiler ran.
    `preemptions` is how often a second the system took a CPU away from the process; None where nobody counted.
    """

    n: int
    dropped: int
    cold: float
    min: float
    p50: float
    p90: float
    p95: float
    p99: float
    mean: float
    mad: float
    interval: tuple[float, float]
    drift: float
    drift_p: float
    outliers: int
    recompiled: int
    preemptions: float | None
    stable: bool
    reason: str | None

    @classmethod
    def of(cls, values: Sequence[float], recompiled: Sequence[int] = (), preemptions: float | None = None) -> "Summary":
        """Summarise all repetitions of a shape, the first one (cold) included. Raises ValueError for none.

        `recompiled` holds the zero-based positions of repetitions in which the compiler ran. Of very many values no
        more than slices are asked for, so that they need not be in memory.
        """
        figures = figures_of(values) if len(values) <= stats.MANY else many.figures_of(values)
        reason = why_unstable(**{name: figures[name] for name in ("n", "p50", "mad", "interval", "drift", "drift_p")})
        quiet = cls(**figures, recompiled=0, preemptions=None, stable=reason is None, reason=reason)
        return quiet.disturbed(recompiled, preemptions)

    def disturbed(self, recompiled: Sequence[int], preemptions: float | None) -> "Summary":
        """Return the summary of undisturbed repetitions with what happened around them."""
        if not recompiled and preemptions is None:
            return self
        again = sum(position >= max(self.dropped, 1) for position in recompiled)
        reason = outside_cause(again, preemptions) or self.reason
        return replace(self, recompiled=again, preemptions=preemptions, stable=reason is None, reason=reason)


def figures_of(values: Sequence[float]) -> dict[str, Any]:
    """Return what the values themselves say, by field."""
    dropped = stats.dropped(len(values))
    in_order = values[dropped:]
    kept = sorted(in_order)
    middle = stats.median(kept)
    mad = stats.deviation(kept, middle)
    low, high = stats.interval_ranks(len(kept))
    drift = stats.trend(in_order)
    return {
        "n": len(kept),
        "dropped": dropped,
        "cold": values[0],
        "min": kept[0],
        "p50": middle,
        "p90": stats.quantile(kept, 0.90),
        "p95": stats.quantile(kept, 0.95),
        "p99": stats.quantile(kept, 0.99),
        "mean": sum(kept) / len(kept),
        "mad": mad,
        "interval": (kept[low], kept[high]),
        "drift": drift.change,
        "drift_p": drift.p,
        "outliers": stats.outliers(kept, middle, mad),
    }


def outside_cause(recompiled: int, preemptions: float | None) -> str | None:
    """Return what happened around the repetitions that the figures need not show, or None."""
    if recompiled:
        return f"recompiled: the compiler ran in {recompiled} of the repetitions that count"
    if preemptions is not None and preemptions > PREEMPTION_LIMIT:
        return f"contended: the system took a CPU away {preemptions:.0f} times a second, for other work"
    return None


def why_unstable(
    n: int, p50: float, mad: float, interval: tuple[float, float], drift: float, drift_p: float
) -> str | None:
    """Return why a median should not be trusted yet, the weightiest cause first, or None."""
    if n < LEAST:
        return f"few: {n} repetition{'s' if n > 1 else ''} kept, and {LEAST} is the least that shows a spread"
    if p50 <= 0:
        return None
    if drift_p < DRIFT_SURE and abs(drift) > DRIFT_LIMIT:
        return f"drift: {drift:+.0%} from the first third to the last"
    if mad > SPREAD_LIMIT * p50:
        return f"spread: the median absolute deviation is {mad / p50:.0%} of the median"
    half = (interval[1] - interval[0]) / 2
    if half > INTERVAL_LIMIT * p50:
        return f"interval: the median is known to ±{half / p50:.0%} only"
    return None
