"""Metrics of a run, through ir_measures (extra `retrieval`)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fmbench.collection import Qrels
from fmbench.distribution import to_install
from fmbench.errors import UsageError

from .evaluation import Evaluation
from .order import Cutoffs, Run, cutoffs, ordered, refuse_beyond

K_VALUES = (1, 3, 5, 10, 100)
# What ir_measures calls it, and what Trove does: trec_eval's name without the cutoff.
BINARY = {"AP": "map_cut", "R": "recall", "P": "P", "RR": "mrr_cut", "Success": "success"}
NDCG = "ndcg_cut"
R_PRECISION = "Rprec"
MOST = 1000  # pytrec_eval takes whole gains only, and its time grows with the greatest one

Values = dict[tuple[str, str], float]  # by query and metric


def evaluate(
    run: Run,
    qrels: Qrels,
    k_values: Sequence[int] = K_VALUES,
    *,
    threshold: float = 1.0,
    depth: int | None = None,
    seed: int = 0,
) -> Evaluation:
    """Judge a run: nDCG, MAP, recall, precision, MRR and success at each k, and R-precision.

    Every query of the qrels counts; one without results, or without a relevant document, is zero throughout. A
    document is relevant with a gain of at least `threshold`; nDCG takes gains as they are, fractions too. `depth` is
    how many documents were asked for. Raises UsageError for a k beyond it, for a threshold that is not above zero,
    for scores that are NaN, and where ir_measures is missing.
    """
    import numpy as np

    check()
    ks = cutoffs(k_values)
    if depth is not None:
        refuse_beyond(ks, depth)
    if not (threshold > 0 and math.isfinite(threshold)):
        raise UsageError(f"the relevance threshold is {threshold}; it must be a number above zero")
    if not qrels.gains:
        raise UsageError("there are no judgements; metrics need qrels")
    queries = tuple(sorted(qrels.gains))
    rankings = {query: ordered(run[query]) for query in queries if query in run}
    values = binary(rankings, qrels, threshold, ks) | graded(rankings, qrels, ks)
    names = [f"{name}_{k}" for name in (NDCG, *BINARY.values()) for k in ks] + [R_PRECISION]
    return Evaluation(
        queries,
        tuple(names),
        np.array([[values.get((query, name), 0.0) for name in names] for query in queries]),
        threshold,
        without_results=sum(not rankings.get(query) for query in queries),
        without_relevant=sum(not found for found in qrels.relevant(threshold).values()),
        unjudged=sum(query not in qrels.gains for query in run),
        seed=seed,
    )


def check() -> None:
    """Raise UsageError where a metric cannot be computed: ir_measures is missing, or does not know it with a cutoff."""
    ir_measures = imported()
    names = [NDCG, *BINARY.values(), R_PRECISION]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"metrics: two are called {', '.join(twice)}; give each a name of its own")
    for ours in BINARY:
        if "cutoff" not in getattr(getattr(ir_measures, ours, None), "SUPPORTED_PARAMS", ()):
            raise UsageError(f"metrics: ir_measures has no measure {ours} that takes a cutoff")


def binary(rankings: Mapping[str, Sequence[str]], qrels: Qrels, threshold: float, ks: Cutoffs) -> Values:
    """Return the metrics that only ask whether a document is relevant, or whether it is judged."""
    ir_measures = imported()
    names = {getattr(ir_measures, ours) @ k: f"{name}_{k}" for ours, name in BINARY.items() for k in ks}
    names[ir_measures.Rprec] = R_PRECISION
    judged = {query: {one: int(gain >= threshold) for one, gain in own.items()} for query, own in qrels.gains.items()}
    return calculated(names, judged, rankings)


def graded(rankings: Mapping[str, Sequence[str]], qrels: Qrels, ks: Cutoffs) -> Values:
    """Return nDCG: by ir_measures where pytrec_eval can take the gains, else by our own formula, which is the same."""
    if all(gain.is_integer() and gain <= MOST for gain in every_gain(qrels)):
        names = {imported().nDCG @ k: f"{NDCG}_{k}" for k in ks}
        whole = {  # a gain of -2 or less crashes pytrec_eval; below zero means zero
            query: {document: max(0, int(gain)) for document, gain in found.items()}
            for query, found in qrels.gains.items()
        }
        return calculated(names, whole, rankings)
    return {
        (query, f"{NDCG}_{k}"): value
        for query, ranking in rankings.items()
        for k, value in zip(ks, ndcg(ranking, qrels.gains[query], ks), strict=True)
    }


def every_gain(qrels: Qrels) -> Iterable[float]:
    """Yield all gains."""
    return (gain for found in qrels.gains.values() for gain in found.values())


def calculated(
    names: Mapping[Any, str], qrels: dict[str, dict[str, int]], rankings: Mapping[str, Sequence[str]]
) -> Values:
    """Return what ir_measures makes of rankings; `names` says what each of its measures is called.

    It is given ranks in place of scores: single precision, or another way to break ties, then changes nothing.
    """
    places = {
        query: {document: float(len(ranking) - place) for place, document in enumerate(ranking)}
        for query, ranking in rankings.items()
    }
    found = imported().iter_calc(list(names), qrels, places)
    return {(metric.query_id, names[metric.measure]): metric.value for metric in found}


def imported() -> Any:
    """Return ir_measures. Raises UsageError where it is missing."""
    try:
        import ir_measures
    except ImportError:
        raise UsageError(f"metrics need ir_measures: {to_install('retrieval')}") from None
    return ir_measures


def ndcg(ranking: Sequence[str], gains: Mapping[str, float], cutoffs: Sequence[int]) -> list[float]:
    """Return nDCG at each cutoff: the sum of gain / log2(rank + 1) over that of the best ranking there could be.

    Järvelin and Kekäläinen (2002), as trec_eval's ndcg_cut has it: the gain itself, not 2 to its power; a gain below
    zero, like none, is zero. A query without any gain has 0.
    """
    found = [max(0.0, gains.get(document, 0.0)) for document in ranking[: max(cutoffs)]]
    best = sorted((gain for gain in gains.values() if gain > 0), reverse=True)
    return [discounted(found[:k]) / discounted(best[:k]) if best else 0.0 for k in cutoffs]


def discounted(gains: Sequence[float]) -> float:
    """Return the sum of gains, each divided by log2(rank + 1)."""
    return math.fsum(gain / math.log2(place + 2) for place, gain in enumerate(gains))
