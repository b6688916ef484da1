"""How long one query waits for its answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fmbench.clock import Clock
from fmbench.measure import collector_paused
from fmbench.stats import quantile

WARM_UP = 3  # searches that are not counted


@dataclass(frozen=True)
class Latency:
    """Nanoseconds of each search of one query, in the order in which they ran."""

    durations: tuple[int, ...]

    def quantile(self, share: float) -> float:
        """Return the milliseconds that this share of the searches stays within."""
        return quantile(sorted(self.durations), share) / 1e6

    def facts(self) -> dict[str, float | int]:
        """Return n and percentiles as a FMWORK line has them, in milliseconds."""
        names = {"latency_p50_ms": 0.5, "latency_p95_ms": 0.95, "latency_p99_ms": 0.99}
        return {"latency_queries": len(self.durations), **{key: self.quantile(share) for key, share in names.items()}}


def measure_latency(
    search: Callable[[np.ndarray], object], queries: np.ndarray | Sequence[np.ndarray], clock: Clock | None = None
) -> Latency:
    """Time `search` on one query (1, d) after the other, after three that are not counted.

    The search returns a finished result. Raises ValueError for no queries.
    """
    if len(queries) == 0:
        raise ValueError("no queries")
    clock = clock or Clock()
    durations = []
    with collector_paused():
        for index in range(WARM_UP):
            search(queries[index % len(queries)][None])
        for query in queries:
            start = clock.now()
            search(query[None])
            durations.append(clock.now() - start)
    return Latency(tuple(durations))
