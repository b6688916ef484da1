"""The largest rate that a service keeps an SLO at: bisection, and then probes on both sides of where it ends."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fmbench.resampling import Z, effective_count, sides

if TYPE_CHECKING:
    import numpy as np

FIRST = 0.6  # of what clients got that wait for their answers
GROW, SHRINK = 1.3, 0.6
FEWEST, MOST = 8, 16  # probes
NEAR = 0.15  # a share of the rate, within which p99 grows as exp(rate)
KNOWN = 0.04  # half of the interval, as a share of the rate, that ends the search
STEPS = (1.04, 0.96, 1.08, 0.92)  # around the estimate, in turn
LATE = 0.01  # of the requests, where p99 is the SLO
LAG = 0.05  # of the SLO: a request that this client sent later than that says little of the service
HELD_UP = 10  # requests that one which was sent late makes late, at most
TRIES = 3  # of a rate that only this client's lateness missed
STEPS_OF_FIT, FARTHEST = 20, 30


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
    """One open run: its rate a second, how many requests it had, and how many of these were `late` or failed.

    These come together: their number varies `dispersion` times as much as independent ones would. And its p99 in
    milliseconds with the interval, and the share that failed. `p99` is None where it falls among requests that failed;
    `high` where the interval has no end. `lagged` are those that this client itself sent late.
    """

    rate: float
    count: int
    late: int
    dispersion: float
    p99: float | None
    low: float | None
    high: float | None
    failed: float
    lagged: int

    @classmethod
    def of(
        cls, rate: float, latencies: "np.ndarray", lag: "np.ndarray", said: Mapping[str, Any], goal: Goal
    ) -> "Probe":
        """Return what the latencies of a run and our own lateness say, in milliseconds, and its LOAD line."""
        import numpy as np

        count, lost = said["requests"] + said["unsent"], said["failed"] + said["unsent"]
        late = int(np.count_nonzero(latencies > goal.slo)) + said["unsent"]
        dispersion = len(latencies) / effective_count(sides(latencies, goal.slo)) if len(latencies) else 1.0
        low, high = said["intervals"].get("p99") or (None, None)
        return cls(
            rate, count, late, max(1.0, dispersion), said["latency_ms"].get("p99"), low, high, lost / max(1, count),
            int(np.count_nonzero(lag > LAG * goal.slo)),
        )  # fmt: skip

    @property
    def is_held_up(self) -> bool:
        """Whether this client's own lateness may be all that made requests late."""
        return self.lagged * HELD_UP >= max(self.late, LATE * self.count)

    def is_spoiled(self, goal: Goal) -> bool:
        """Whether it says nothing: this client may be why it did not keep the goal."""
        return self.is_held_up and not self.keeps(goal) and self.failed <= goal.errors and self.rate < goal.capacity

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
    """The answer: the rate, its 95% interval, whether the search was done or stopped, and what it is from.

    `bound` says that the rate is none but a bound, "at least" or "at most".
    """

    rate: float | None
    interval: tuple[float, float] | None
    bound: str | None
    ended: str
    probes: Sequence[Probe]


def search(probe: Callable[[float], Probe], goal: Goal) -> Limit:
    """Return the largest rate a second that keeps a goal."""
    probes: list[Probe] = []
    rate = FIRST * goal.capacity
    while len(probes) < MOST:
        probes.append(probe(rate))
        if probes[-1].is_spoiled(goal):
            if len(probes) >= TRIES and all(one.is_spoiled(goal) for one in probes[-TRIES:]):
                break
            continue
        kept, lost = bounds(probes, goal)
        if lost is None:
            rate = min(GROW * (kept or rate), goal.capacity)
        elif kept is None:
            rate = SHRINK * lost
            if rate < goal.capacity / 1000:
                return Limit(None, None, None, "never", probes)
        elif (found := crossing(probes, goal)) is not None:
            middle, half = found
            if len(probes) >= FEWEST and half <= KNOWN * middle:
                break
            rate = min(middle * STEPS[len(probes) % len(STEPS)], goal.capacity)
        elif is_known(probes, goal) and lost - kept <= KNOWN * kept:
            break
        else:  # where they contradict each other, at other rates around
            step = STEPS[len(probes) % len(STEPS)] if lost - kept <= KNOWN * kept else 1
            rate = min(math.sqrt(kept * lost) * step, goal.capacity)
    return answer(probes, goal)


def bounds(probes: Sequence[Probe], goal: Goal) -> tuple[float | None, float | None]:
    """Return the largest rate that kept a goal, and the least that did not."""
    kept = max((one.rate for one in probes if one.keeps(goal)), default=None)
    lost = (one.rate for one in probes if not (one.keeps(goal) or one.is_spoiled(goal)))
    return kept, min(lost, default=None)


def is_known(probes: Sequence[Probe], goal: Goal) -> bool:
    """Whether the limit is without doubt between the largest rate that kept a goal and the least that did not."""
    kept, lost = bounds(probes, goal)
    if kept is None or lost is None or kept >= lost:
        return False
    return all(one.is_sure(goal) for one in probes if one.rate in (kept, lost) and not one.is_spoiled(goal))


def answer(probes: Sequence[Probe], goal: Goal) -> Limit:
    """Return what all probes say."""
    ended = "late" if probes[-1].is_spoiled(goal) else "known" if len(probes) < MOST else "probes"
    kept, lost = bounds(probes, goal)
    if kept is None:
        return Limit(lost, None, None if lost is None else "at most", ended, probes)
    if (found := crossing(probes, goal)) is not None:
        middle, half = found
        return Limit(middle, (max(0.0, middle - half), middle + half), None, ended, probes)
    if lost is not None and is_known(probes, goal):
        return Limit(kept, (kept, lost), None, ended, probes)
    below = max((one.rate for one in probes if one.keeps(goal) and one.rate < (lost or math.inf)), default=None)
    if below is None:
        return Limit(None, None, None, "unknown", probes)
    return Limit(below, None, "at least", ended, probes)


def crossing(probes: Sequence[Probe], goal: Goal) -> tuple[float, float] | None:
    """Return the rate at which p99 is the SLO, and half of its 95% interval; None where too little is known nearby.

    There one request in a hundred is late. The logarithm of the share of late ones over the rate is a line nearby,
    which is fitted to their counts (Poisson regression, with the dispersion that they show: McCullagh and Nelder, 1989,
    section 6.2). A percentile of a short run is too low more often than not; a share is right on average.
    """
    import numpy as np

    kept, lost = bounds(probes, goal)
    centre = ((kept or 0.0) + (lost or 0.0)) / 2
    near = [one for one in probes if abs(one.rate - centre) <= NEAR * centre and one.rate < goal.capacity]
    near = [one for one in near if not one.is_held_up]
    if len({one.rate for one in near}) < 3 or not any(one.late for one in near):
        return None
    if any(one.failed > goal.errors for one in near):  # it is failures, and no latency, that end what is kept
        return None
    rates, counts, late = np.array([(one.rate, one.count, one.late) for one in near], dtype=float).T
    level, slope, expected, known = line_of(rates - rates.mean(), counts, late)
    middle = float(rates.mean() + (math.log(LATE) - level) / slope) if slope > 0 else math.inf
    if not min(rates) * (1 - NEAR) <= middle <= min(max(rates) * (1 + NEAR), goal.capacity):
        return None
    free = len(near) - 2
    spread = max(
        float(np.sum((late - expected) ** 2 / expected)) / free, sum(one.dispersion for one in near) / len(near)
    )
    far = np.array([1.0, middle - rates.mean()])
    student = Z + (Z**3 + Z) / (4 * free) + (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * free**2)
    return middle, student * math.sqrt(spread * float(far @ known @ far)) / slope


def line_of(
    rates: "np.ndarray", counts: "np.ndarray", late: "np.ndarray"
) -> "tuple[float, float, np.ndarray, np.ndarray]":
    """Return level and slope of the logarithm of the share of late requests, the counts that these expect, and how well
    both are known: their covariance, but for the dispersion.
    """
    import numpy as np

    design = np.stack([np.ones_like(rates), rates], axis=1)
    share = np.log((late + 0.5) / counts)
    for _ in range(STEPS_OF_FIT):
        expected = counts * np.exp(np.clip(share, -FARTHEST, 0))
        known = np.linalg.pinv(design.T @ (expected[:, None] * design))
        found = known @ design.T @ (expected * share + late - expected)
        share = design @ found
    return float(found[0]), float(found[1]), counts * np.exp(np.clip(share, -FARTHEST, 0)), known


def line(limit: Limit, goal: Goal) -> dict[str, Any]:
    """Return what an SLO line says."""
    return {
        "slo_ms": goal.slo,
        "errors": goal.errors,
        "capacity": round(goal.capacity, 4),
        "rate": None if limit.rate is None else round(limit.rate, 4),
        "interval": None if limit.interval is None else [round(end, 4) for end in limit.interval],
        "bound": limit.bound,
        "ended": limit.ended,
        "probes": [
            {"rate": round(one.rate, 4), "requests": one.count, "late": one.late, "lagged": one.lagged,
             "p99_ms": one.p99, "failed": round(one.failed, 6), "keeps": one.keeps(goal),
             "sure": one.is_sure(goal) and not one.is_spoiled(goal)}
            for one in limit.probes
        ],
    }  # fmt: skip
