"""Whether a data set is ranked better or worse: the same queries of both sides, taken in pairs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fmbench.rank_tests import holm
from fmbench.ranking.paired import Difference, differences

from ..reading.doubts import is_sound
from ..reading.row import ByQuery, Result
from .verdicts import NO_DIFFERENCE, SIGNIFICANT, Verdict


@dataclass(frozen=True, slots=True)
class QualityChange:
    """A metric of a data set in both sides: the means of base and new, and how they differ over the same queries.

    `p_holm` is of the paired randomisation test, corrected for all metrics that are compared. `reason` says why there
    is no answer.
    """

    key: tuple[Any, ...]
    metric: str
    base: float
    new: float
    difference: Difference | None = None
    p_holm: float | None = None
    verdict: Verdict | None = None
    reason: str | None = None


def quality_changes(key: tuple[Any, ...], base: Result, new: Result) -> Iterator[QualityChange]:
    """Yield how each metric of a data set changed, without verdicts, which depend on the others too."""
    a, b = base.by_query, new.by_query
    if a is None or b is None:
        return
    names = [name for name in a.metrics if name in b.metrics]
    unsound = (
        (name, one.row["doubt"]) for name, one in (("base", base), ("new", new)) if not is_sound(one.row["doubt"])
    )
    reason = next((f"{name} {doubt}" for name, doubt in unsound), None) or why_not(a, b)
    found = [] if reason or not names else differences(by_column(a, names, a.queries), by_column(b, names, a.queries))
    for place, name in enumerate(names):
        means = float(np.mean(a.metrics[name])), float(np.mean(b.metrics[name]))
        yield QualityChange(key, name, *means, found[place] if found else None, reason=reason)


def why_not(a: ByQuery, b: ByQuery) -> str | None:
    """Return why the queries of two results are no pairs, or None."""
    if a.judging != b.judging:
        return "judged differently (relevance threshold, identical ids, documents)"
    if {*a.queries} != {*b.queries}:
        return f"{len(a.queries)} and {len(b.queries)} queries, and not the same ones"
    return None


def by_column(found: ByQuery, names: Sequence[str], order: Sequence[str]) -> np.ndarray:
    """Return metrics as columns, the queries in an order."""
    places = {query: place for place, query in enumerate(found.queries)}
    rows = [places[query] for query in order]
    return np.array([found.metrics[name] for name in names], dtype=float).T[rows]


def judge_quality(changes: Sequence[QualityChange]) -> list[QualityChange]:
    """Return the changes with their verdicts: of a difference whose p, corrected over all of them, is below 5%."""
    known = [change.difference.p for change in changes if change.difference]
    corrected = iter(holm(known))
    return [with_verdict(change, next(corrected)) if change.difference else change for change in changes]


def with_verdict(change: QualityChange, p_holm: float) -> QualityChange:
    """Return a change with its verdict."""
    verdict: Verdict = NO_DIFFERENCE
    if p_holm < SIGNIFICANT:
        verdict = "improvement" if change.new > change.base else "regression"
    return replace(change, p_holm=p_holm, verdict=verdict)
