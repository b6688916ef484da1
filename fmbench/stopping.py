"""When to stop repeating: the interval is narrow enough, the repetitions are used up, or the time is."""

from collections.abc import Sequence
from dataclasses import dataclass

from fmbench import stats
from fmbench.resampling import median_interval

LEAST = 10  # repetitions before a precision may end a shape


@dataclass(frozen=True, slots=True)
class Rule:
    """At most `reps` repetitions; `precision` is a share of the median, `max_seconds` bounds a shape."""

    reps: int
    precision: float | None = None
    max_seconds: float | None = None


def half_width(durations: Sequence[float]) -> float:
    """Return half the interval's width as a share of the median; infinite where the median is zero."""
    import numpy as np

    kept = np.asarray(stats.settled(durations))
    ordered = stats.in_order(kept)
    (low, high), _ = median_interval(kept, ordered)
    middle = stats.quantile(ordered, 0.5)
    return (high - low) / 2 / middle if middle else float("inf")


class Stopping:
    """Applies a rule to one shape, whose variants all have to be known well enough."""

    def __init__(self, rule: Rule, variants: int) -> None:
        self._rule = rule
        self._durations: list[list[float]] = [[] for _ in range(variants)]
        self._count = 0
        self._next_look = LEAST

    def add(self, durations: list[float], elapsed: float) -> str | None:
        """Take one repetition of every variant (seconds); return what ends the shape, or None."""
        self._count += 1
        if self._rule.precision is not None and self._precise(durations, self._rule.precision):
            return "precision"
        if self._count >= self._rule.reps:
            return "reps"
        if self._rule.max_seconds is not None and elapsed >= self._rule.max_seconds:
            return "seconds"
        return None

    def _precise(self, durations: list[float], precision: float) -> bool:
        """Whether every variant's median is known well enough.

        The interval is looked at after every tenth more repetitions only: a look costs far more than a repetition's
        bookkeeping, and a rule that peeks less is fooled less.
        """
        for series, duration in zip(self._durations, durations, strict=True):
            series.append(duration)
        if self._count < self._next_look:
            return False
        self._next_look = self._count + max(1, self._count // 10)
        return all(half_width(series) <= precision for series in self._durations)
