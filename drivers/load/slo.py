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
class Probe:
    """One open run: its rate a second, p99 in milliseconds with its interval, and the share that failed.

    `p99` is None where it falls among requests that failed; `high` where the interval has no end.
    """

    rate: float
    p99: float | None
    low: float | None
    high: float | None
    failed: float

    def keeps(self, slo: float, errors: float) -> bool:
        """Whether it was within the SLO, in milliseconds, by its own p99."""
        return self.failed <= errors and self.p99 is not None and self.p99 <= slo

    def is_sure(self, slo: float, errors: float) -> bool:
        """Whether its interval leaves no doubt of that."""
        if self.failed > errors or self.p99 is None:
            return True
        return (self.high is not None and self.high <= slo) or (self.low is not None and self.low > slo)


@dataclass(frozen=True, slots=True)
class Limit:
    """The answer: the rate, its 95% interval, whether the search was done or stopped, and what it is from."""

    rate: float | None
    interval: tuple[float, float] | None
    ended: str
    probes: Sequence[Probe]


def search(probe: Callable[[float], Probe], capacity: float, slo: float, errors: float) -> Limit:
    """Return the largest rate a second at which p99 is within `slo` milliseconds and no more than `errors` fail."""
    probes: list[Probe] = []
    rate = FIRST * capacity
    while len(probes) < MOST:
        probes.append(probe(rate))
        kept = [one.rate for one in probes if one.keeps(slo, errors)]
        lost = [one.rate for one in probes if not one.keeps(slo, errors)]
        if not lost:
            rate = GROW * max(kept)
            continue
        if not kept:
            rate = SHRINK * min(lost)
            if rate < capacity / 1000:
                return Limit(None, None, "never", probes)
            continue
        found = crossing(probes, slo, errors)
        if found is None:
            low, high = sorted((max(kept), min(lost)))
            if high - low <= KNOWN * low:
                return Limit(max(kept), (low, high), "known", probes)
            rate = math.sqrt(low * high)
            continue
        middle, half = found
        if len(probes) >= FEWEST and half <= KNOWN * middle:
            return Limit(middle, (middle - half, middle + half), "known", probes)
        rate = middle * STEPS[len(probes) % len(STEPS)]
    found = crossing(probes, slo, errors)
    if found is not None:
        return Limit(found[0], (max(0.0, found[0] - found[1]), found[0] + found[1]), "probes", probes)
    kept = [one.rate for one in probes if one.keeps(slo, errors)]
    lost = [one.rate for one in probes if not one.keeps(slo, errors)]
    if not kept or not lost:
        return Limit(None, None, "unknown", probes)
    low, high = sorted((max(kept), min(lost)))
    return Limit(max(kept), (low, high), "probes", probes)


def crossing(probes: Sequence[Probe], slo: float, errors: float) -> tuple[float, float] | None:
    """Return the rate at which p99 is the SLO, and half of its 95% interval; None where too little is known nearby.

    The logarithm of p99 over the rate is a line nearby; where it meets the SLO is known as well as the line is
    (inverse regression: Draper and Smith, 1998, section 3.2), and no better than the probes say of themselves.
    Errors beyond their share bound the rate from above.
    """
    import numpy as np

    kept = [one.rate for one in probes if one.keeps(slo, errors)]
    lost = [one.rate for one in probes if not one.keeps(slo, errors)]
    centre = (max(kept) + min(lost)) / 2
    near = [one for one in probes if one.p99 is not None and abs(one.rate - centre) <= NEAR * centre]
    if len(near) < 3 or len({one.rate for one in near}) < 3:
        return None
    rates, values = np.array([one.rate for one in near]), np.log([one.p99 or 0.0 for one in near])
    slope, level = np.polyfit(rates, values, 1)
    if slope <= 0:
        return None
    middle = float((math.log(slo) - level) / slope)
    if not min(rates) * (1 - NEAR) <= middle <= max(rates) * (1 + NEAR):
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


def line(limit: Limit, slo: float, errors: float) -> dict[str, Any]:
    """Return what an SLO line says; `slo` in milliseconds."""
    return {
        "slo_ms": slo,
        "errors": errors,
        "rate": None if limit.rate is None else round(limit.rate, 4),
        "interval": None if limit.interval is None else [round(end, 4) for end in limit.interval],
        "ended": limit.ended,
        "probes": [
            {"rate": round(one.rate, 4), "p99_ms": one.p99, "failed": round(one.failed, 6),
             "keeps": one.keeps(slo, errors), "sure": one.is_sure(slo, errors)}
            for one in limit.probes
        ],
    }  # fmt: skip
