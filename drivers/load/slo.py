"""The largest rate that a service keeps an SLO at: bisection, and then probes on both sides of where it ends."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fmbench.resampling import Z

FIRST = 0.6  # of what clients got that wait for their answers
GROW, SHRINK = 1.3, 0.6
FEWEST, MOST = 8, 16  # probes
NEAR = 0.15  # a share of the rate, within which p99 grows as exp(rate)
KNOWN = 0.04  # half of the interval, as a share of the rate, that ends the search
STEPS = (1.04, 0.96, 1.08, 0.92)  # around the estimate, in turn


@dataclass(frozen=True, slots=True)
class Goal:
    """What has to be kept: p99 within `slo` milliseconds, and no more than a share `errors` failed.

    Nothing is kept at `capacity`, a rate a second, or beyond: there a queue grows for as long as one looks, and a short
    run sees the beginning alone.
    """

    slo: float
    errors: float
    capacity: float


@dataclass(frozen=True, slots=True)
class Probe:
    """One open run: its rate a second, p99 in milliseconds with its interval, and the share that failed.

    `p99` is None where it falls among requests that failed; `high` where the interval has no end.
    """

    rate: float
    p99: float | None
    low: float | None
    high: float | None
    failed: float

    def keeps(self, goal: Goal) -> bool:
        """Whether it kept the goal, by its own p99."""
        within = self.p99 is not None and self.p99 <= goal.slo and self.failed <= goal.errors
        return within and self.rate < goal.capacity

    def is_sure(self, goal: Goal) -> bool:
        """Whether its interval leaves no doubt of that."""
        if self.failed > goal.errors or self.p99 is None or self.rate >= goal.capacity:
            return True
        return (self.high is not None and self.high <= goal.slo) or (self.low is not None and self.low > goal.slo)


@dataclass(frozen=True, slots=True)
class Limit:
    """The answer: the rate, its 95% interval, whether the search was done or stopped, and what it is from."""

    rate: float | None
    interval: tuple[float, float] | None
    ended: str
    probes: Sequence[Probe]


def search(probe: Callable[[float], Probe], goal: Goal) -> Limit:
    """Return the largest rate a second that keeps a goal."""
    probes: list[Probe] = []
    rate = FIRST * goal.capacity
    while len(probes) < MOST:
        probes.append(probe(rate))
        kept, lost = bounds(probes, goal)
        if lost is None:
            rate = min(GROW * (kept or rate), goal.capacity)
        elif kept is None:
            rate = SHRINK * lost
            if rate < goal.capacity / 1000:
                return Limit(None, None, "never", probes)
        elif (found := crossing(probes, goal)) is not None:
            middle, half = found
            if len(probes) >= FEWEST and half <= KNOWN * middle:
                break
            rate = min(middle * STEPS[len(probes) % len(STEPS)], goal.capacity)
        elif abs(lost - kept) <= KNOWN * kept:
            break
        else:
            rate = math.sqrt(kept * lost)
    return answer(probes, goal)


def bounds(probes: Sequence[Probe], goal: Goal) -> tuple[float | None, float | None]:
    """Return the largest rate that kept a goal, and the least that did not."""
    kept = max((one.rate for one in probes if one.keeps(goal)), default=None)
    return kept, min((one.rate for one in probes if not one.keeps(goal)), default=None)


def answer(probes: Sequence[Probe], goal: Goal) -> Limit:
    """Return what all probes say."""
    ended = "known" if len(probes) < MOST else "probes"
    kept, lost = bounds(probes, goal)
    if kept is None or lost is None:
        return Limit(None, None, "unknown", probes)
    found = crossing(probes, goal)
    if found is None:
        low, high = sorted((kept, lost))
        return Limit(kept, (low, high), ended, probes)
    middle, half = found
    return Limit(middle, (max(0.0, middle - half), middle + half), ended, probes)


def crossing(probes: Sequence[Probe], goal: Goal) -> tuple[float, float] | None:
    """Return the rate at which p99 is the SLO, and half of its 95% interval; None where too little is known nearby.

    The logarithm of p99 over the rate is a line nearby; where it meets the SLO is known as well as the line is
    (inverse regression: Draper and Smith, 1998, section 3.2), and no better than the probes say of themselves.
    """
    import numpy as np

    kept, lost = bounds(probes, goal)
    centre = ((kept or 0.0) + (lost or 0.0)) / 2
    near = [
        one
        for one in probes
        if one.p99 is not None and abs(one.rate - centre) <= NEAR * centre and one.rate < goal.capacity
    ]
    if len({one.rate for one in near}) < 3:
        return None
    rates, values = np.array([one.rate for one in near]), np.log([one.p99 or 0.0 for one in near])
    slope, level = np.polyfit(rates, values, 1)
    middle = float((math.log(goal.slo) - level) / slope) if slope > 0 else math.inf
    if not min(rates) * (1 - NEAR) <= middle <= min(max(rates) * (1 + NEAR), goal.capacity):
        return None
    free = len(near) - 2
    spread = max(float(np.sum((values - level - slope * rates) ** 2)) / free, sum(map(doubt, near)) / len(near))
    far = (middle - rates.mean()) ** 2 / float(np.sum((rates - rates.mean()) ** 2))
    student = Z + (Z**3 + Z) / (4 * free) + (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * free**2)
    return middle, student * math.sqrt(spread * (1 / len(near) + far)) / float(slope)


def doubt(probe: Probe) -> float:
    """Return the variance of the logarithm of a probe's p99, as its own interval says it; 0 where it says nothing."""
    if probe.p99 is None or probe.low is None:
        return 0.0
    halves = [math.log(probe.p99 / probe.low), math.log((probe.high or probe.p99) / probe.p99)]
    return (max(halves) / Z) ** 2


def line(limit: Limit, goal: Goal) -> dict[str, Any]:
    """Return what an SLO line says."""
    return {
        "slo_ms": goal.slo,
        "errors": goal.errors,
        "capacity": round(goal.capacity, 4),
        "rate": None if limit.rate is None else round(limit.rate, 4),
        "interval": None if limit.interval is None else [round(end, 4) for end in limit.interval],
        "ended": limit.ended,
        "probes": [
            {"rate": round(one.rate, 4), "p99_ms": one.p99, "failed": round(one.failed, 6),
             "keeps": one.keeps(goal), "sure": one.is_sure(goal)}
            for one in limit.probes
        ],
    }  # fmt: skip
