"""How precision falls as k grows, and how much of that no retriever could avoid."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from fmbench.collection import Qrels
from fmbench.errors import UsageError
from fmbench.resampling import mean_intervals

from .order import Cutoffs, Run, cutoffs, depth_of, ordered, refuse_beyond
from .pages import NONE, Titles, normaliser

if TYPE_CHECKING:
    import numpy as np

K_VALUES = (1, 2, 3, 5, 10, 15, 20, 50, 100)
FIGURES = ("precision", "ceiling", "success", "recall")

Level = Literal["document", "page"]


@dataclass(frozen=True, slots=True)
class Curve:
    """Means over queries at each k, all of one ranking.

    `values[name]` and `intervals[name]` have one entry a k. For one query, with gold the distinct relevant items and
    hits those among the first k:

    - precision: hits / k
    - ceiling: min(k, gold) / k, the precision that a perfect retriever would have
    - success: whether there is a hit (the top-k accuracy of DPR)
    - recall: hits / gold; 0 for a query without gold

    `depth` is how many results were asked for; `shortest` is how many the query with the fewest has.
    """

    k: Cutoffs
    values: dict[str, list[float]]
    intervals: dict[str, list[tuple[float, float]]] | None
    queries: int
    without_gold: int
    depth: int
    shortest: int
    level: Level = "document"
    title_normalisation: str | None = None

    def row(self) -> dict[str, Any]:
        """Return what an IRM line says of it."""
        return {
            "k": list(self.k),
            **self.values,
            "intervals": self.intervals,
            "queries": self.queries,
            "without_gold": self.without_gold,
            "retrieved_depth": self.depth,
            "shortest": self.shortest,
            "level": self.level,
            "title_normalisation": self.title_normalisation,
        }


def document_curve(
    run: Run,
    qrels: Qrels,
    k_values: Sequence[int] = K_VALUES,
    *,
    threshold: float = 1.0,
    depth: int | None = None,
    seed: int = 0,
) -> Curve:
    """Return the curve over documents. Every query of the qrels counts; `depth`: None for the longest ranking's.

    Raises UsageError for a k beyond the depth.
    """
    relevant = qrels.relevant(threshold)
    retrieved = [ordered(run.get(query, {})) for query in sorted(relevant)]
    gold = [relevant[query] for query in sorted(relevant)]
    return precision_curve(retrieved, gold, k_values, depth=depth_of(run) if depth is None else depth, seed=seed)


def page_curve(
    predictions: Sequence[Titles],
    gold: Sequence[Titles],
    k_values: Sequence[int] = K_VALUES,
    *,
    normalisation: str = NONE,
    depth: int | None = None,
    seed: int = 0,
) -> Curve:
    """Return the curve over pages: several passages of one page are one hit, and still take a rank each.

    Titles are compared after the same normalisation on both sides; an empty one is no page. Raises UsageError for a k
    beyond the depth, and where gold and predictions are not of the same number of questions.
    """
    normalise = normaliser(normalisation)
    return precision_curve(
        [[normalise(title) for title in titles] for titles in predictions],
        [{normalise(title) for title in titles} - {""} for titles in gold],
        k_values,
        depth=depth,
        seed=seed,
        level="page",
        title_normalisation=normalisation,
    )


def precision_curve(
    retrieved: Sequence[Sequence[str]],
    gold: Sequence[Collection[str]],
    k_values: Sequence[int],
    *,
    depth: int | None = None,
    seed: int = 0,
    level: Level = "document",
    title_normalisation: str | None = None,
) -> Curve:
    """Return the curve of rankings, `retrieved[i]` beside the relevant items `gold[i]`. See `Curve`."""
    ks = cutoffs(k_values)
    if len(retrieved) != len(gold):
        raise UsageError(f"there are predictions for {len(retrieved):,} questions and gold for {len(gold):,}")
    if not gold:
        raise UsageError("there is no question to judge")
    lengths = [len(items) for items in retrieved]
    depth = max(lengths) if depth is None else depth
    refuse_beyond(ks, depth)
    figures = judged(retrieved, gold, ks)
    means = figures.mean(axis=0)
    found = mean_intervals(figures.reshape(len(gold), -1), seed)
    return Curve(
        ks,
        {name: means[place].tolist() for place, name in enumerate(FIGURES)},
        None if found is None else {name: found[place * len(ks) :][: len(ks)] for place, name in enumerate(FIGURES)},
        queries=len(gold),
        without_gold=sum(not items for items in gold),
        depth=depth,
        shortest=min(lengths),
        level=level,
        title_normalisation=title_normalisation,
    )


def judged(retrieved: Sequence[Sequence[str]], gold: Sequence[Collection[str]], ks: Cutoffs) -> "np.ndarray":
    """Return the FIGURES of each query at each k: shape (queries, figures, k)."""
    import numpy as np

    hits = np.array([hits_at(items, set(wanted), ks) for items, wanted in zip(retrieved, gold, strict=True)], float)
    sizes = np.array([[len(set(wanted))] for wanted in gold], float)
    k = np.array(ks, float)
    return np.stack([hits / k, np.minimum(k, sizes) / k, hits > 0, hits / np.maximum(sizes, 1)], axis=1)


def hits_at(items: Sequence[str], wanted: set[str], ks: Cutoffs) -> list[int]:
    """Return how many distinct wanted items are among the first k, for each k."""
    firsts: dict[str, int] = {}
    for place, item in enumerate(items):
        if item in wanted:
            firsts.setdefault(item, place)
    return [sum(place < k for place in firsts.values()) for k in ks]
