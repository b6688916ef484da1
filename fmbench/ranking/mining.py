"""Hard negatives: documents that a ranking puts high and that are not relevant."""

import hashlib
import heapq
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fmbench.collection import Qrels
from fmbench.errors import UsageError

from .order import Run, ordered

NEVER = -math.inf
ROOM = 4  # so many candidates a negative are looked at where a rule may take some


@dataclass(frozen=True, slots=True)
class Rules:
    """Which documents of a ranking become negatives.

    The ranking is taken in order: a document with the query's own id is the query itself and leaves it, judged
    documents leave it (`leave_out_judged`: whatever their gain), `skip_first`
    are passed over, and the next `pool` are the candidates; None: `count`, or ROOM times as many where one of the
    following rules may take some. Candidates go with a score above `max_score`, and where they are nearer to the
    positive than a margin: a negative's score is at most positive - `absolute_margin`, and at most positive -
    `relative_margin` x |positive| (NV-Retriever, Moreira et al., 2024). The first `count` that are left are taken,
    or, with `seed`, a random `count` of them.

    A query may have several positives, the documents with a gain of at least `threshold`. `positive` says which one
    counts: the lowest score of them, so that the margin holds for each, or the highest.

    Raises UsageError for values that make no sense.
    """

    count: int
    leave_out_judged: bool = True
    skip_first: int = 0
    pool: int | None = None
    max_score: float | None = None
    absolute_margin: float | None = None
    relative_margin: float | None = None
    positive: Literal["lowest", "highest"] = "lowest"
    threshold: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.count < 1 or self.skip_first < 0:
            raise UsageError("mining needs at least 1 negative a query, and cannot skip fewer than 0")
        if self.candidates < self.count:
            raise UsageError(f"{self.count} negatives cannot come from a pool of {self.pool}")
        for name, value in (("absolute", self.absolute_margin), ("relative", self.relative_margin)):
            if value is not None and not 0 <= value < math.inf:
                raise UsageError(f"the {name} margin is {value}; it must be a number, 0 or more")
        if self.max_score is not None and math.isnan(self.max_score):
            raise UsageError("the maximum score of a negative is NaN")

    @property
    def candidates(self) -> int:
        """How many documents are looked at."""
        if self.pool is not None:
            return self.pool
        loses = self.has_margin or self.max_score is not None or self.seed is not None
        return ROOM * self.count if loses else self.count

    @property
    def has_margin(self) -> bool:
        """Whether negatives are compared with the positive."""
        return self.absolute_margin is not None or self.relative_margin is not None

    def depth(self, judged: int) -> int:
        """Return how deep the ranking of a query with so many judged documents must go."""
        return self.candidates + self.skip_first + (judged if self.leave_out_judged else 0)


@dataclass(slots=True)
class Mined:
    """The negatives of each query with their scores, best first, and what became of the rest.

    `unjudged`: queries left out because nothing is known of what is relevant to them. `short`: queries with fewer
    negatives than asked for, and how many they have. `removed`: how many candidates each rule took.
    """

    negatives: dict[str, dict[str, float]] = field(default_factory=dict)
    unjudged: list[str] = field(default_factory=list)
    short: dict[str, int] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=lambda: {"max_score": 0, "margin": 0})

    def row(self) -> dict[str, Any]:
        """Return what a line of the log says of it."""
        return {
            "queries": len(self.negatives),
            "negatives": sum(map(len, self.negatives.values())),
            "unjudged": len(self.unjudged),
            "short": len(self.short),
            "removed": dict(self.removed),
        }


def depth_groups(queries: Iterable[str], qrels: Qrels | None, rules: Rules) -> dict[int, list[str]]:
    """Return which queries to search how deep.

    A query needs as many results more as it has judged documents. Queries that need at most twice as many as the
    least of their group share one search, so that a few heavily judged ones do not make the others' deeper.
    """
    gains = qrels.gains if qrels else {}
    needs = sorted((rules.depth(len(gains.get(query, ()))), query) for query in queries)
    groups: list[list[tuple[int, str]]] = []
    for need, query in needs:
        if not groups or need > 2 * groups[-1][0][0]:
            groups.append([])
        groups[-1].append((need, query))
    return {group[-1][0]: [query for _, query in group] for group in groups}


def mine(run: Run, qrels: Qrels | None, rules: Rules, positives: Run | None = None) -> Mined:
    """Mine the negatives of every query of a run.

    Where there are qrels, queries without a judgement are left out, unless judged documents may be negatives. A run
    deeper than needed changes nothing. `positives`: scores of positives that the run may lack. A positive whose score
    nothing says lies below all that was retrieved: no candidate keeps a margin to it. Raises UsageError where a
    margin is asked for and no qrels are there.
    """
    if rules.has_margin and qrels is None:
        raise UsageError("a margin to the positive needs qrels")
    mined = Mined()
    for query, scores in run.items():
        judged = qrels.gains.get(query, {}) if qrels else {}
        if qrels and not judged and (rules.leave_out_judged or rules.has_margin):
            mined.unjudged.append(query)
            continue
        known = {**(positives or {}).get(query, {}), **scores}
        limit = limit_of([known.get(d, NEVER) for d, gain in judged.items() if gain >= rules.threshold], rules)
        left_out = {query, *(judged if rules.leave_out_judged else ())}
        chosen = negatives_of(query, scores, left_out, limit, rules, mined)
        if len(chosen) < rules.count:
            mined.short[query] = len(chosen)
        if chosen:
            mined.negatives[query] = {document: float(scores[document]) for document in chosen}
    return mined


def limit_of(positives: list[float], rules: Rules) -> float:
    """Return the score that no negative may exceed for its margin to the positives; no positive allows none."""
    if not rules.has_margin:
        return math.inf
    score = (min if rules.positive == "lowest" else max)(positives, default=NEVER)
    if score == NEVER:
        return NEVER
    margins = (rules.absolute_margin or 0.0, (rules.relative_margin or 0.0) * abs(score))
    return score - max(margins)


def negatives_of(
    query: str, scores: Mapping[str, float], left_out: set[str], limit: float, rules: Rules, mined: Mined
) -> list[str]:
    """Return the negatives of one query in order, and count what was removed."""
    free = [document for document in ordered(scores) if document not in left_out]
    pool = free[rules.skip_first : rules.skip_first + rules.candidates]
    low = [document for document in pool if rules.max_score is None or scores[document] <= rules.max_score]
    mined.removed["max_score"] += len(pool) - len(low)
    kept = [document for document in low if scores[document] <= limit]
    mined.removed["margin"] += len(low) - len(kept)
    return kept[: rules.count] if rules.seed is None else drawn(query, kept, rules.count, rules.seed)


def drawn(query: str, documents: list[str], count: int, seed: int) -> list[str]:
    """Return `count` documents, each set of them as likely as another, in the order they came.

    Those with the smallest hashes of (seed, query, document) are taken, so that a draw depends on nothing else: not
    on other queries, nor on the version of a random generator.
    """

    def lot(document: str) -> bytes:
        return hashlib.sha256("\0".join((str(seed), query, document)).encode()).digest()

    chosen = set(heapq.nsmallest(count, documents, key=lot))
    return [document for document in documents if document in chosen]
