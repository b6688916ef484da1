"""How long one query waits for its answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fmbench.measure import Clock, collector_paused
from fmbench.stats import quantile

WARM_UP = 3  # searches that are not counted


@dataclass(frozen=True)
class Latency:
    """Nanoseconds of each search of one query, in the order in which they ran."""

    durations: tuple[int, ...]

    def quantile(self, share: float) -> float:
        """Return the milliseconds that this share of the searches stays within."""
        return quantile(sorted(self.durations), share) / 1e6

    def percentiles(self) -> dict[str, float]:
        """Return how many there are as n, and p50, p95 and p99 in milliseconds, as a FMWORK line has them."""
        shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
        return {"n": len(self.durations), **{name: round(self.quantile(share), 6) for name, share in shares.items()}}


def measure_latency(answer: Callable[[Any], object], queries: Sequence[Any], clock: Clock | None = None) -> Latency:
    """Time `answer` on one query after the other, after three that are not counted.

    What it returns is finished. Raises ValueError for no queries.
    """
    if len(queries) == 0:
        raise ValueError("no queries")
    clock = clock or Clock()
    durations = []
    with collector_paused():
        for index in range(WARM_UP):
            answer(queries[index % len(queries)])
        for query in queries:
            start = clock.now()
            answer(query)
            durations.append(clock.now() - start)
    return Latency(tuple(durations))
