"""How one shape changed from a base to a new result, and what to call that."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fmbench.figures import significant
from fmbench.rank_tests import holm, mann_whitney_p
from fmbench.resampling import (
    Interval,
    beyond_ranks,
    detectable,
    effective_count,
    percentiles,
    resampled_medians,
    sides,
    widening,
)

from ..reading.doubts import is_sound
from ..reading.row import Result
from ..writing.view import median
from .runs import of_processes, of_repetitions
from .sides import Key

SIGNIFICANT = 0.05
THRESHOLD = 0.03  # the share of change that is no concern, unless somebody says another
FEW = 40  # repetitions; with more, any number of shapes can be told apart

Verdict = Literal["regression", "improvement", "no significant difference"]
NO_DIFFERENCE: Verdict = "no significant difference"


@dataclass(frozen=True, slots=True)
class Measured:
    """One side of a shape: median in milliseconds, repetitions that count (or processes), and its doubt."""

    itl: float | None
    n: int
    doubt: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """A shape in both sides. `ratio` is new over base: above 1, new is slower. None where there is no answer.

    `p` is of the Mann-Whitney test on what `compared` names; `p_holm` is corrected for the number of shapes.
    `detectable` is the smallest change, as a share, that would have been significant in 4 of 5 such comparisons.
    """

    key: Key
    base: Measured
    new: Measured
    compared: Literal["repetitions", "processes"] = "repetitions"
    ratio: float | None = None
    interval: Interval | None = None
    p: float | None = None
    p_holm: float | None = None
    detectable: float | None = None
    verdict: Verdict | None = None
    reason: str | None = None


def measure_change(
    key: Key, base: Result, new: Result, seeds: tuple[Sequence[int], Sequence[int]]
) -> tuple[Change, np.ndarray | None]:
    """Return how a shape changed, and the ratio's bootstrap, where there is enough for one.

    No verdict, which depends on the other shapes too.
    """
    several = bool(base.medians or new.medians)
    read = of_processes if several else of_repetitions
    kept = [np.asarray(read(result), dtype=float) for result in (base, new)]
    compared: Literal["repetitions", "processes"] = "processes" if several else "repetitions"
    change = Change(key, measured(base, kept[0]), measured(new, kept[1]), compared)
    hindrance = why_not(base, new, kept)
    if hindrance is not None:
        return replace(change, verdict="regression" if newly_failed(base, new) else None, reason=hindrance), None
    medians = [float(np.median(values)) for values in kept]
    effective = [effective_count(sides(values, centre)) for values, centre in zip(kept, medians, strict=True)]
    wider = [widening(len(values), worth) for values, worth in zip(kept, effective, strict=True)]
    old, new_ones = (resampled_medians(*one) for one in zip(kept, seeds, wider, strict=True))
    samples = new_ones / old
    ratio, interval = medians[1] / medians[0], percentiles(samples)
    p = mann_whitney_p(kept[0], kept[1], (wider[0], wider[1]))
    if max(wider) > 1:
        p = beyond_ranks(p, ratio, interval)
    if too_few(change, 1):  # resampled, they would be no more than the ratios of single ones
        return replace(change, ratio=ratio, p=p), None
    return replace(change, ratio=ratio, interval=interval, p=p), samples


def measured(result: Result, kept: np.ndarray) -> Measured:
    """Return one side of a shape."""
    statistics = result.row["statistics"] or {}
    doubt = statistics.get("reason") if statistics.get("stable") is False else None
    itl = median(result.row)
    return Measured(itl, len(kept), doubt)


def why_not(base: Result, new: Result, kept: Sequence[np.ndarray]) -> str | None:
    """Return why two results cannot be compared, or None."""
    for name, result, values in zip(("base", "new"), (base, new), kept, strict=True):
        if result.row["status"] == "ERR":
            error = result.row["error"] or {}
            return f"failed in {name}: {error.get('type')}"
        if len(values) == 0:
            return f"no repetitions in {name}: compare the log itself, which has them; its JSON does not"
        if values.min() <= 0:
            return f"a repetition in {name} took no time"
        if not is_sound(result.row["doubt"]):
            return f"not to be believed in {name}"
    return None


def newly_failed(base: Result, new: Result) -> bool:
    """Whether a shape that was measured fails now."""
    return new.row["status"] == "ERR" and base.row["status"] in ("OK", "SIMULATED")


def judge(changes: Sequence[Change], threshold: float) -> list[Change]:
    """Return the changes with their verdicts.

    A difference counts where its p, corrected over all these shapes, is below 5%, and the ratio (or its inverse,
    for an improvement) is beyond the threshold. Where the interval leaves 1 out all the same, the reason says so.
    """
    known = [change.p for change in changes if change.p is not None]
    corrected = iter(holm(known))
    return [
        change if change.p is None else with_verdict(change, next(corrected), threshold, len(known))
        for change in changes
    ]


def with_verdict(change: Change, p_holm: float, threshold: float, shapes: int) -> Change:
    """Return a change with its verdict."""
    ratio = change.ratio or 1.0
    verdict: Verdict = NO_DIFFERENCE
    reason: str | None = None
    few = too_few(change, shapes)
    seen = None if few or change.interval is None else max(threshold, detectable(change.interval, SIGNIFICANT / shapes))
    if p_holm >= SIGNIFICANT:
        if few:
            reason = f"{change.base.n} and {change.new.n} {change.compared} are too few to tell"
        elif change.interval is not None and not change.interval[0] <= 1 <= change.interval[1]:
            reason = f"the test decides, and its p is {p_holm:.2g} over all shapes"
        elif seen is not None and seen > threshold:
            reason = f"too noisy to see {100 * threshold:g}%; what can be seen: {significant(100 * seen, digits=2)}%"
    elif 1 / (1 + threshold) <= ratio <= 1 + threshold:
        reason = f"below the threshold of {100 * threshold:g}%"
    else:
        verdict = "regression" if ratio > 1 else "improvement"
    return replace(change, p_holm=p_holm, detectable=seen, verdict=verdict, reason=reason)


def too_few(change: Change, shapes: int) -> bool:
    """Whether even the clearest difference would not be significant."""
    total = change.base.n + change.new.n
    return total <= FEW and 2 * shapes / math.comb(total, change.new.n) >= SIGNIFICANT
