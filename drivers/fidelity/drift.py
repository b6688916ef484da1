"""What became of a ranking: which ids, which metrics, which queries, and whether by more than chance."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from fmbench.collection.qrels import Qrels
from fmbench.ranking.evaluation import Evaluation
from fmbench.ranking.measures import evaluate
from fmbench.ranking.order import Run, ordered
from fmbench.ranking.paired import compare
from fmbench.resampling import Interval

PERSISTENCE = 0.9  # of rank-biased overlap: the first ten ranks then have 86% of the weight


def kendall_tau(a: Sequence[str], b: Sequence[str]) -> float:
    """Return Kendall's tau-b over the ids of both lists: 1 for equal lists, -1 for one turned round.

    An id that a list lacks stands behind its last one, tied with all others that it lacks (Fagin, Kumar and Sivakumar,
    2003, Comparing Top k Lists). With C pairs in the same order, D in the opposite one, T_a and T_b pairs tied in one
    list, and N = n (n - 1) / 2: tau-b = (C - D) / sqrt((N - T_a) (N - T_b)) (Kendall, 1945). Lists of distinct ids.
    """
    import numpy as np

    if list(a) == list(b):
        return 1.0
    ids = dict.fromkeys([*a, *b])
    signs = []
    for ranking in (a, b):
        places = {name: place for place, name in enumerate(ranking)}
        ranks = np.array([places.get(name, len(ranking)) for name in ids])
        signs.append(np.sign(ranks[:, None] - ranks).astype(np.int8))
    agreement = int((signs[0] * signs[1]).sum(dtype=np.int64))
    untied = [np.count_nonzero(sign) for sign in signs]
    return agreement / math.sqrt(untied[0] * untied[1]) if all(untied) else 0.0


def rank_biased_overlap(a: Sequence[str], b: Sequence[str], p: float = PERSISTENCE) -> float:
    """Return the extrapolated rank-biased overlap of two lists: 1 for equal ones, 0 for lists without a common id.

    Webber, Moffat and Zobel, 2010, A Similarity Measure for Indefinite Rankings, equation 32. With s and l the lengths
    of the shorter and the longer list, and X_d the ids that both have among the first d (of the shorter one all):

        (1 - p) / p * (sum over d = 1..l of X_d / d * p^d + sum over d = s+1..l of X_s (d - s) / (s d) * p^d)
        + ((X_l - X_s) / l + X_s / s) * p^l

    A reader who goes on to the next rank with probability p sees this share of common ids, if both lists went on as
    they are. Lists of distinct ids.
    """
    short, long = sorted((a, b), key=len)
    if not short:
        return float(not long)
    s, depth = len(short), len(long)
    common = overlaps(short, long)
    at_s = common[s - 1]
    total = math.fsum(count / d * p**d for d, count in enumerate(common, start=1))
    total += math.fsum(at_s * (d - s) / (s * d) * p**d for d in range(s + 1, depth + 1))
    return (1 - p) / p * total + ((common[-1] - at_s) / depth + at_s / s) * p**depth


def overlaps(short: Sequence[str], long: Sequence[str]) -> list[int]:
    """Return for each depth of the longer list how many ids both lists have in common down to it."""
    above: tuple[set[str], set[str]] = (set(), set())
    count, counts = 0, []
    for place, name in enumerate(long):
        count += name in above[0]
        above[1].add(name)
        if place < len(short):
            count += short[place] in above[1]
            above[0].add(short[place])
        counts.append(count)
    return counts


DEPTH = 10  # ranks that metrics and ids are compared at
Sides = tuple[Evaluation, Evaluation]

METRICS = {"Recall": "recall", "MRR": "mrr_cut"}  # and what fmbench.ranking calls them


@dataclass(frozen=True, slots=True)
class MetricDrift:
    """One metric of two runs, over the judged queries: means, their change (b - a), and the queries by direction.

    `p` is two-sided, of the paired randomisation test over queries, and `interval` the 95% interval of the change by
    the same test (None for fewer than six queries): p is below 5% exactly where it leaves 0 out.
    """

    name: str  # such as MRR@10
    a: float
    b: float
    change: float
    interval: Interval | None
    p: float
    increase: int
    equal: int
    decrease: int

    @property
    def unchanged(self) -> bool:
        """Whether every query has what it had."""
        return not self.increase and not self.decrease


@dataclass(frozen=True, slots=True)
class QueryDrift:
    """One query whose ranking changed: ids that only one list has, how alike both are, metrics before and after."""

    query: str
    different_ids: int
    tau: float
    rbo: float
    metrics: dict[str, tuple[float, float]]  # by name; none for a query without judgements


@dataclass(frozen=True, slots=True)
class Drift:
    """How run `b` differs from run `a`. Ids are compared among the first `depth`, whole lists by tau and rbo.

    verdict        equal: the same ids in the same order with the same scores; close: the same ids in the same order,
                   other scores; different
    queries        how many were searched: what `different_ids` is averaged over
    different_ids  ids that only one of the two lists has (symmetric difference), a query: one replaced id counts 2
    replaced       half of it: replaced ids a query, where lists are as long as before
    tau, rbo       means over the queries that either run has (1 where there is none)
    max_score      largest absolute change of a score, of documents that both lists have
    changed        the queries whose list of ids differs, in the order of the runs
    """

    verdict: Literal["equal", "close", "different"]
    depth: int
    queries: int
    different_ids: float
    replaced: float
    tau: float
    rbo: float
    max_score: float
    metrics: tuple[MetricDrift, ...]  # none without judgements
    changed: tuple[QueryDrift, ...]


def drift(
    a: Run, b: Run, qrels: Qrels | None = None, *, queries: int | None = None, depth: int = DEPTH, seed: int = 0
) -> Drift:
    """Compare two runs query by query; a query that one of them lacks has an empty list there.

    `queries`: how many were searched; None for as many as runs and judgements name. Raises ValueError where it is less
    than the runs have.
    """
    names = list(dict.fromkeys([*a, *b]))
    searched = len({*names, *(qrels.gains if qrels else ())}) if queries is None else queries
    if searched < len(names):
        raise ValueError(f"the runs have {len(names)} queries, and {searched} were searched")
    sides = None if qrels is None or not qrels.gains else evaluations(a, b, qrels, depth, seed)
    lists = {name: (ordered(a.get(name, {})), ordered(b.get(name, {}))) for name in names}
    values = judge(sides, depth)
    changed = tuple(
        query_drift(name, *pair, depth, values.get(name, {})) for name, pair in lists.items() if pair[0] != pair[1]
    )
    unchanged = [1.0] * (len(names) - len(changed) or not names)
    different = sum(query.different_ids for query in changed) / max(1, searched)
    largest = max((largest_change(a[name], b[name]) for name in a.keys() & b.keys()), default=0.0)
    return Drift(
        verdict="different" if changed else "close" if largest else "equal",
        depth=depth,
        queries=searched,
        different_ids=different,
        replaced=different / 2,
        tau=fmean([*unchanged, *(query.tau for query in changed)]),
        rbo=fmean([*unchanged, *(query.rbo for query in changed)]),
        max_score=largest,
        metrics=metric_drifts(sides, values, depth, seed),
        changed=changed,
    )


def evaluations(a: Run, b: Run, qrels: Qrels, depth: int, seed: int) -> Sides:
    """Judge both runs."""
    return evaluate(a, qrels, [depth], seed=seed), evaluate(b, qrels, [depth], seed=seed)


def judge(sides: Sides | None, depth: int) -> dict[str, dict[str, tuple[float, float]]]:
    """Return the metrics of each judged query in both runs; nothing without judgements."""
    if sides is None:
        return {}
    before, after = (side.by_query() for side in sides)
    return {
        query: {
            f"{name}@{depth}": (before[query][f"{key}_{depth}"], after[query][f"{key}_{depth}"])
            for name, key in METRICS.items()
        }
        for query in sides[0].queries
    }


def metric_drifts(
    sides: Sides | None, values: dict[str, dict[str, tuple[float, float]]], depth: int, seed: int
) -> tuple[MetricDrift, ...]:
    """Return what became of each metric; nothing without judgements."""
    if sides is None:
        return ()
    means, found = [side.means() for side in sides], compare(*sides, seed)
    drifts = []
    for name, key in METRICS.items():
        pairs = [of_query[f"{name}@{depth}"] for of_query in values.values()]
        result = found[f"{key}_{depth}"]
        drifts.append(
            MetricDrift(
                name=f"{name}@{depth}",
                a=means[0][f"{key}_{depth}"],
                b=means[1][f"{key}_{depth}"],
                change=result.mean,
                interval=result.interval,
                p=result.p,
                increase=sum(after > before for before, after in pairs),
                equal=sum(after == before for before, after in pairs),
                decrease=sum(after < before for before, after in pairs),
            )
        )
    return tuple(drifts)


def query_drift(
    query: str, a: Sequence[str], b: Sequence[str], depth: int, metrics: dict[str, tuple[float, float]]
) -> QueryDrift:
    """Return what became of one query's list of ids."""
    different = len(set(a[:depth]) ^ set(b[:depth]))
    return QueryDrift(query, different, kendall_tau(a, b), rank_biased_overlap(a, b), metrics)


def largest_change(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    """Return by how much a score changed at most, of the documents that both lists have."""
    return max((abs(a[name] - b[name]) for name in a.keys() & b.keys() if a[name] != b[name]), default=0.0)


def swap_drifts(
    own_a: Run, swapped: Run, own_b: Run, qrels: Qrels | None = None, queries: int | None = None, seed: int = 0
) -> dict[str, Drift]:
    """Return the whole change from A to B, and its two parts.

    `swapped` is what B's code finds in A's index. From `own_a` to it only the code of the search changed; from it to
    `own_b` only the index. The two changes of a metric add up to the whole one; numbers of different ids do not.
    """
    steps = {"both": (own_a, own_b), "search": (own_a, swapped), "index": (swapped, own_b)}
    return {part: drift(*sides, qrels, queries=queries, seed=seed) for part, sides in steps.items()}
