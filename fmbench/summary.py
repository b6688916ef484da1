"""What is said of one shape's repetitions: figures, and how far to trust them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fmbench import stats
from fmbench.rank_tests import trend
from fmbench.resampling import median_interval

LEAST = 5  # fewer repetitions show no spread
SPREAD_LIMIT = 0.05  # a quiet machine's median absolute deviation stays below this share of the median
INTERVAL_LIMIT = 0.02  # half the interval's width, as a share of the median, where no --precision was asked for
DRIFT_LIMIT = 0.03  # change from the first third to the last
DRIFT_SURE = 0.01
IN_LINE_LIMIT = INTERVAL_LIMIT  # of the time that threads want a CPU: more is lost than the median may be unknown by
PREEMPTION_LIMIT = 100  # a second, where the kernel counts no time in line: of some kernels' housekeeping it is as many
WAITING_LIMIT = 0.2  # threads in line for a CPU, on average; of two threads on two idle CPUs it stays below a tenth
# Times the limit that CEIL measured, by what that is: above, not all was computed. No arithmetic can be left out, and
# the machine may have been slower for the ceiling: published logs have up to 1.34, and of an engine in int8 beside much
# other work it was 3.8. Bytes are counted as if none were fused or in a cache: there up to 3.4, and a cache may be
# several times as fast as memory once more.
BEYOND = {"compute": 10.0, "bandwidth": 30.0}
THROTTLE_LIMIT = 0.01  # of the periods of a CPU quota, usually of a tenth of a second each


@dataclass(frozen=True, slots=True)
class Summary:
    """Statistics of one shape. Times in the unit of the values; `n` counts the repetitions that were kept.

    `interval` is the 95% bootstrap interval of the median, as wide as correlation makes it: `effective` is how many
    independent repetitions these are worth. `drift` is the change over the run as a share, `drift_p` how likely chance
    makes such a trend. `recompiled` counts kept repetitions in which the compiler ran.
    `preemptions` is how often a second the system took a CPU away from the process; None where nobody counted.
    `in_line` is the share of the time that its threads wanted a CPU in which they stood in line; None where not known.
    `waiting` is how many threads stood in line for a CPU, on average; None where preemptions are counted instead.
    `throttled` is the share of the periods of a CPU quota in which it stopped the process; None without a quota.
    `interval_limit` is half the interval's width, as a share of the median, up to which the median counts as known.
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
    effective: float
    drift: float
    drift_p: float
    outliers: int
    recompiled: int
    preemptions: float | None
    throttled: float | None
    interval_limit: float
    waiting: float | None
    in_line: float | None
    stable: bool
    reason: str | None

    @classmethod
    def of(
        cls, values: Sequence[float], recompiled: Sequence[int] = (), preemptions: float | None = None,
        throttled: float | None = None, interval_limit: float = INTERVAL_LIMIT, waiting: float | None = None,
        in_line: float | None = None, share: float | None = None, bound: str | None = None,
    ) -> "Summary":  # fmt: skip
        """Summarise all repetitions of a shape, the first one (cold) included. Raises ValueError for none."""
        around = recompiled, preemptions, throttled, interval_limit, waiting, in_line
        return cls.around(figures_of(values), *around, share, bound)

    @classmethod
    def around(
        cls, figures: Mapping[str, Any], recompiled: Sequence[int], preemptions: float | None,
        throttled: float | None, interval_limit: float, waiting: float | None, in_line: float | None,
        share: float | None = None, bound: str | None = None,
    ) -> "Summary":  # fmt: skip
        """Say what happened around the repetitions beside their figures, and judge them by the limit of the interval.

        `recompiled` holds the zero-based positions of repetitions in which the compiler ran; `share` and `bound` are
        those of the roofline, where it is known.
        """
        again = sum(position >= max(figures["dropped"], 1) for position in recompiled)
        reason = why_impossible(share, bound) or outside_cause(again, preemptions, throttled, waiting, in_line)
        reason = reason or why_unstable(figures, interval_limit)
        return cls(**figures, recompiled=again, preemptions=preemptions, throttled=throttled, waiting=waiting,
                   in_line=in_line, interval_limit=interval_limit, stable=reason is None, reason=reason)  # fmt: skip


def figures_of(values: Sequence[float]) -> dict[str, Any]:
    """Return what the values themselves say, by field. Of an array, room for two more of its size is needed."""
    import numpy as np

    dropped = stats.dropped(len(values))
    kept = np.asarray(values)[dropped:]
    ordered = stats.in_order(kept)
    middle = stats.quantile(ordered, 0.5)
    interval, effective = median_interval(kept, ordered)
    drift, drift_p = trend(kept, ordered)
    figures = {
        "n": len(kept),
        "dropped": dropped,
        "cold": values[0],
        "min": float(ordered[0]),
        "p50": middle,
        **{f"p{percent}": stats.quantile(ordered, percent / 100) for percent in (90, 95, 99)},
        "mean": float(ordered.sum()) / len(ordered),
        "interval": interval,
        "effective": effective,
        "drift": drift,
        "drift_p": drift_p,
    }
    ordered -= middle  # in place, as what follows
    np.abs(ordered, out=ordered).sort()
    mad = stats.quantile(ordered, 0.5)
    far = len(ordered) - int(ordered.searchsorted(stats.outlier_distance(mad), "right"))
    return {**figures, "mad": mad, "outliers": far}


def contended(reason: object) -> bool:
    """Whether a reason of a doubt is that other work disturbed the machine."""
    return str(reason).startswith("contended")


def why_impossible(share: float | None, bound: str | None) -> str | None:
    """Return why nothing that computes all of it is so fast, or None."""
    if share is None or bound not in BEYOND or share <= BEYOND[bound]:
        return None
    return f"impossible: {share:,.0f} times the limit of {bound} that CEIL measured; does each call compute its batch?"


def outside_cause(
    recompiled: int, preemptions: float | None, throttled: float | None, waiting: float | None, in_line: float | None
) -> str | None:
    """Return what happened around the repetitions that the figures need not show, or None."""
    if recompiled:
        return f"recompiled: the compiler ran in {recompiled} of the repetitions that count"
    if throttled is not None and throttled > THROTTLE_LIMIT:
        return f"throttled: the CPU quota stopped the process in {throttled:.0%} of its periods"
    if in_line is not None and in_line > IN_LINE_LIMIT:
        return f"contended: for {in_line:.1%} of the time that its threads wanted a CPU, other work had it"
    if in_line is None and preemptions is not None and preemptions > PREEMPTION_LIMIT:
        return f"contended: the system took a CPU away {preemptions:.0f} times a second, for other work"
    if waiting is not None and waiting > WAITING_LIMIT:
        return f"contended: {waiting:.1f} threads on average waited for a CPU that was busy"
    return None


def why_unstable(figures: Mapping[str, Any], interval_limit: float) -> str | None:
    """Return why a median should not be trusted yet, the weightiest cause first, or None."""
    n, p50, (low, high) = figures["n"], figures["p50"], figures["interval"]
    if n < LEAST:
        return f"few: {n} repetition{'s' if n > 1 else ''} kept, and {LEAST} is the least that shows a spread"
    if p50 <= 0:
        return None
    if figures["drift_p"] < DRIFT_SURE and abs(figures["drift"]) > DRIFT_LIMIT:
        return f"drift: {figures['drift']:+.0%} from the first third to the last"
    if figures["mad"] > SPREAD_LIMIT * p50:
        return f"spread: the median absolute deviation is {figures['mad'] / p50:.0%} of the median"
    half = (high - low) / 2
    if half > interval_limit * p50:
        return (
            f"interval: the median is known to ±{half / p50:{'.1%' if interval_limit < INTERVAL_LIMIT else '.0%'}} only"
        )
    return None
