"""The tables of a comparison, and of several: where the seed of this suite has `--`, they say `equal`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fmbench.figures import cosine_text, share_text, significant

from .comparison import Comparison, Row
from .difference import Difference
from .drift import Drift, MetricDrift

EQUAL = "equal"
SIGNIFICANT = 0.05
ROUNDING = 1e-12  # a mean of changes that cancel out is no zero

AGREEMENT = ("A", "B", "artifacts", "shapes match?", "bitwise equal?", "close?")
TENSORS = (
    "artifact", "verdict", "shape", "dtype", "equal share", "mean abs diff", "max abs diff", "max ULP", "min cosine",
    "note",
)  # fmt: skip
RANKINGS = (
    "A", "B", "ranking", "Recall@10 change", "MRR@10 change", "avg # of different ids", "replaced",
    "queries, Recall@10", "queries, MRR@10", "Kendall tau", "RBO", "significant?",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """A header, lines of cells, and which columns are flush right."""

    header: Sequence[str]
    lines: Sequence[Sequence[str]]
    right: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class RankingDrift:
    """A line of the table of rankings: from which side to which, what was searched, and its drift."""

    a: str
    b: str
    ranking: str
    drift: Drift


def agreement_table(names: tuple[str, str], rows: Sequence[Row]) -> Table:
    """Return how many tensors of each probe match: the seed's table of indexes."""
    tensors = [row for row in rows if row.artifact.kind == "tensor"]
    probes = list(dict.fromkeys(row.artifact.probe for row in tensors))
    groups = [(probe, [row for row in tensors if row.artifact.probe == probe]) for probe in probes]
    return Table(AGREEMENT, [agreement_line(names, probe, members) for probe, members in groups])


def agreement_line(names: tuple[str, str], what: str, rows: Sequence[Row]) -> list[str]:
    """Return what some tensors have in common."""
    verdicts = [row.verdict for row in rows]
    accepted: Iterable[tuple[str, ...]] = (("equal", "close", "different"), ("equal",), ("equal", "close"))
    return [*names, what, *(share_of(sum(verdict in good for verdict in verdicts), len(verdicts)) for good in accepted)]


def share_of(count: int, total: int) -> str:
    """Return whether all of them are, and how many."""
    return f"{'yes' if count == total else 'no'} ({count}/{total})"


def tensor_table(rows: Sequence[Row]) -> Table:
    """Return a line a tensor, in execution order."""
    return Table(TENSORS, [tensor_line(row) for row in rows if row.artifact.kind == "tensor"], (4, 5, 6, 7, 8))


def tensor_line(row: Row) -> list[str]:
    """Return how a tensor differs."""
    found = row.difference
    label = row.artifact.label
    if found is None:
        artifact = row.artifact
        where = f"only in {'B' if row.a is None else 'A'}"
        return [label, row.verdict, shape_text(artifact.shape), artifact.dtype, *[""] * 5, where]
    shapes = " / ".join(dict.fromkeys(map(shape_text, found.shapes)))
    dtypes = " / ".join(dict.fromkeys(found.dtypes))
    return [label, row.verdict, shapes, dtypes, *figures(found), note(found)]


def figures(found: Difference) -> list[str]:
    """Return the figures of a difference; those of equal tensors are none."""
    if found.equal:
        return [EQUAL] * 3 + [EQUAL if found.max_ulp is not None else "", EQUAL if found.min_cosine is not None else ""]
    ulp = "" if found.max_ulp is None else f"{found.max_ulp:,}"
    sizes = [small(found.mean_abs), small(found.max_abs)]
    return [share_text(found.share_equal), *sizes, ulp, cosine_text(found.min_cosine)]


def note(found: Difference) -> str:
    """Return what else should be known of a difference."""
    parts = []
    for name, pair in (("NaN", found.nan), ("infinite", found.inf)):
        if any(pair):
            parts.append(f"{pair[0]:,} {name}" if pair[0] == pair[1] else f"{pair[0]:,} and {pair[1]:,} {name}")
    if found.mismatched:
        parts.append(f"{found.mismatched:,} of them not in the same places")
    if found.dtypes[0] != found.dtypes[1] and found.verdict != "shape":
        parts.append("compared as float64" if found.max_ulp is not None else "compared as int64")
    elif found.first_row is not None:
        parts.append(f"from row {found.first_row:,} on")
    return "; ".join(parts)


def shape_text(shape: Sequence[int]) -> str:
    """Return a shape as text."""
    return " x ".join(map(str, shape))


def small(value: float | None) -> str:
    """Return a figure of any size."""
    return "" if value is None else f"{value:.2e}" if value else "0"


def ranking_table(drifts: Sequence[RankingDrift]) -> Table:
    """Return a line a ranking: the seed's table of search results."""
    return Table(RANKINGS, [ranking_line(line) for line in drifts], (3, 4, 5, 6, 9, 10))


def own_drifts(names: tuple[str, str], found: Comparison) -> list[RankingDrift]:
    """Return the rankings that both captures have."""
    return [RankingDrift(*names, row.artifact.label, row.drift) for row in found.rows if row.drift is not None]


def ranking_line(line: RankingDrift) -> list[str]:
    """Return what became of a ranking."""
    found = line.drift
    metrics = {metric.name.partition("@")[0]: metric for metric in found.metrics}
    recall, mrr = metrics.get("Recall"), metrics.get("MRR")
    ids = [EQUAL, EQUAL] if not found.different_ids else [f"{found.different_ids:.3g}", f"{found.replaced:.3g}"]
    alike = [f"{found.tau:.4f}", f"{found.rbo:.4f}"] if found.changed else [EQUAL, EQUAL]
    return [
        line.a, line.b, line.ranking, change_text(recall), change_text(mrr), *ids,
        directions(recall), directions(mrr), *alike, significance(found),
    ]  # fmt: skip


def change_text(metric: MetricDrift | None) -> str:
    """Return the change of a mean: `equal` where no query changed."""
    if metric is None:
        return "no judgements"
    return EQUAL if metric.unchanged else f"{metric.change:+.2g}" if abs(metric.change) > ROUNDING else "0"


def directions(metric: MetricDrift | None) -> str:
    """Return how many queries went which way."""
    if metric is None:
        return ""
    parts = [("Equal", metric.equal), ("Increase", metric.increase), ("Decrease", metric.decrease)]
    return ", ".join(f"{name}: {count}" for name, count in parts if count or name == "Equal")


def significance(found: Drift) -> str:
    """Return whether a change is more than chance, with the p of the paired randomisation test."""
    changed = [metric for metric in found.metrics if not metric.unchanged]
    if not changed:
        return EQUAL if found.metrics else ""
    return "; ".join(
        f"{metric.name}: {'yes' if metric.p < SIGNIFICANT else 'no'} (p {p_text(metric.p)})" for metric in changed
    )


def p_text(p: float) -> str:
    """Return a p value as text."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def query_table(found: Comparison) -> Table:
    """Return a line for each query whose ranking changed."""
    rows = [(row.artifact.label, row.drift) for row in found.rows if row.drift is not None]
    names = list(dict.fromkeys(metric.name for _, drift in rows for metric in drift.metrics))
    lines = [
        [label, query.query, str(query.different_ids), f"{query.tau:.4f}", f"{query.rbo:.4f}"]
        + [before_after(query.metrics.get(name)) for name in names]
        for label, drift in rows
        for query in drift.changed
    ]
    return Table(("ranking", "query", "different ids", "Kendall tau", "RBO", *names), lines, (2, 3, 4))


def before_after(pair: tuple[float, float] | None) -> str:
    """Return a metric of one query in both runs."""
    if pair is None:
        return "not judged"
    return EQUAL if pair[0] == pair[1] else f"{significant(pair[0])} to {significant(pair[1])}"


def facts_text(facts: dict[str, tuple[Any, Any]]) -> str:
    """Return the facts that differ."""
    return "; ".join(f"{name}: {one} in A, {other} in B" for name, (one, other) in facts.items())


def headline(found: Comparison) -> str:
    """Return the one sentence that says it: the first artifact that differs, or that none does."""
    first, beyond = found.first, found.first_beyond
    if first is None:
        return f"All {len(found.rows)} artifacts are equal, bit for bit."
    unequal = sum(row.verdict != "equal" for row in found.rows)
    text = f"First artifact that differs: {first.artifact.label} ({first.verdict})."
    if beyond is None:
        return f"{text} All that differ are close: {unequal} of {len(found.rows)}."
    if beyond is not first:
        text += f" First beyond the tolerance: {beyond.artifact.label} ({beyond.verdict})."
    return f"{text} {unequal} of {len(found.rows)} are not equal."
