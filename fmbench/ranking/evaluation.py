"""The metrics of a ranking, query by query."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fmbench.resampling import Interval, mean_intervals

if TYPE_CHECKING:
    import numpy as np

COMPARED = ("ndcg_cut_10", "recall_100")
DECIMALS = 6


@dataclass(frozen=True)
class Evaluation:
    """Every metric of every judged query.

    `values` has shape (queries, metrics); `names` are Trove's, such as ndcg_cut_10, P_10, mrr_cut_10. The counts say
    which zeros mean something else than a bad ranking.
    """

    queries: tuple[str, ...]
    names: tuple[str, ...]
    values: "np.ndarray"
    threshold: float
    without_results: int = 0
    without_relevant: int = 0
    unjudged: int = 0
    seed: int = 0

    def means(self) -> dict[str, float]:
        """Return the mean of each metric over all judged queries: what metrics.json holds."""
        return {name: float(mean) for name, mean in zip(self.names, self.values.mean(axis=0), strict=True)}

    @cached_property
    def intervals(self) -> dict[str, Interval] | None:
        """The 95% bootstrap interval of each mean; None for one query alone."""
        found = mean_intervals(self.values, self.seed)
        return None if found is None else dict(zip(self.names, found, strict=True))

    def by_query(self) -> dict[str, dict[str, float]]:
        """Return the metrics of each query."""
        return {
            query: dict(zip(self.names, row, strict=True))
            for query, row in zip(self.queries, self.values.tolist(), strict=True)
        }

    def query_row(self) -> dict[str, Any]:
        """Return what an IRQ line says: the metrics that two runs are compared by, which of all take a tenth."""
        places = {name: place for place, name in enumerate(self.names) if name in COMPARED}
        columns = self.values.T.round(DECIMALS)
        return {
            "queries": list(self.queries),
            "metrics": {name: columns[place].tolist() for name, place in (places or {self.names[0]: 0}).items()},
        }

    def row(self) -> dict[str, Any]:
        """Return what an IRM line says of it."""
        return {
            "queries": len(self.queries),
            "without_results": self.without_results,
            "without_relevant": self.without_relevant,
            "unjudged": self.unjudged,
            "relevance_threshold": self.threshold,
            "metrics": self.means(),
            "intervals": self.intervals,
        }
