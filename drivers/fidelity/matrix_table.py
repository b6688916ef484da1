"""What each version changed, as one table."""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fmbench.markdown import markdown, plain

from .records import comparison_record
from .report import section
from .tables import agreement_line, headline, own_drifts, ranking_table

if TYPE_CHECKING:
    from .matrix import Column, Step

HEADER = ("A", "B", "tensors", "shapes match?", "bitwise equal?", "close?", "rankings", "what")
SWAP_HEADER = ("A", "B", "ranking", "Recall@10 change", "MRR@10 change", "different ids")


def as_markdown(columns: "Sequence[Column]", steps: "Sequence[Step]", about: str) -> str:
    """Return the versions' lines, then the rankings, under a title."""
    lines = list(version_lines(columns, steps))
    parts = [f"### Fidelity by version: {plain(about)}\n", markdown(HEADER, lines)]
    drifts = [drift for step in steps if step.comparison for drift in own_drifts(names_of(step), step.comparison)]
    if drifts:
        parts.append(section("Rankings", ranking_table(drifts)))
    swaps = [swap_line(swap) for step in steps for swap in step.swaps]
    if swaps:
        parts.append("#### Search of the later version on the earlier one's index\n")
        parts.append(markdown(SWAP_HEADER, swaps, (3, 4, 5)))
    return "\n".join(parts)


def version_lines(columns: "Sequence[Column]", steps: "Sequence[Step]") -> Iterator[list[str]]:
    """Yield a line a version, in order: what it changed against the one before, or why it is not there."""
    for column in columns:
        if column.failure is not None:
            yield ["", column.environment.label, *[""] * 5, column.failure]
        yield from (pair_line(step) for step in steps if step.b is column)


def names_of(step: "Step") -> tuple[str, str]:
    """Return what both sides are called."""
    return step.a.environment.label, step.b.environment.label


def pair_line(step: "Step") -> list[str]:
    """Return what one version changed against the one before."""
    names = names_of(step)
    if step.comparison is None:
        return [*names, *[""] * 5, step.failure or ""]
    tensors = [row for row in step.comparison.rows if row.artifact.kind == "tensor"]
    rankings = [row for row in step.comparison.rows if row.artifact.kind == "ranking"]
    changed = sum(row.verdict not in ("equal", "close") for row in rankings)
    said = f"{changed} of {len(rankings)} changed" if rankings else "none captured"
    agreement = agreement_line(names, "", tensors)[3:]
    probes = dict.fromkeys(row.artifact.probe for row in step.comparison.rows if row.verdict != "equal")
    what = headline(step.comparison) + (f" Probes that differ: {', '.join(probes)}." if probes else "")
    return [*names, str(len(tensors)), *agreement, said, what]


def swap_line(swap: dict[str, Any]) -> list[str]:
    """Return one part of a ranking's drift, as `fmbench fidelity swap --format json` says it."""
    drift = swap["drift"]
    changes = {metric["name"]: metric["change"] for metric in drift["metrics"]}
    metrics = [change_text(changes.get(name)) for name in ("Recall@10", "MRR@10")]
    return [swap["a"], swap["b"], swap["ranking"], *metrics, f"{drift['different_ids']:.3g}"]


def change_text(change: float | None) -> str:
    """Return the change of a mean."""
    return "no judgements" if change is None else f"{change:+.2g}" if change else "equal"


def as_json(columns: "Sequence[Column]", steps: "Sequence[Step]") -> str:
    """Return one JSON object: the versions, and each pair."""
    record = {
        "versions": [{"requirement": column.environment.label, "failure": column.failure} for column in columns],
        "pairs": [
            {
                "a": names_of(step)[0],
                "b": names_of(step)[1],
                "failure": step.failure,
                "comparison": comparison_record(step.comparison, names_of(step)) if step.comparison else None,
                "swap": step.swaps,
            }
            for step in steps
        ],
    }
    return json.dumps(record, indent=2, allow_nan=False) + "\n"
