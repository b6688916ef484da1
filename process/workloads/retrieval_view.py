"""Retrieval results as people read them: speed and quality of one model, build and device side by side."""

from collections.abc import Iterable, Sequence
from typing import Any

from fmbench.figures import significant

from ..writing.view import CONFIGURATION, Lines, table_of, text, trust

FIGURES = ("documents/s", "queries/s", "query ms", "search ms", "nDCG@10", "Recall@100", "queries")
HEADER = (*CONFIGURATION, "data set", *FIGURES, "note")
RIGHT = frozenset({"threads", *FIGURES})
LEAST = 1e-9  # below, an interval is the rounding of equal values


def is_retrieval(row: dict[str, Any]) -> bool:
    """Whether a result is one of the retrieval driver."""
    return row.get("retrieval") is not None


def cells(rows: Iterable[dict[str, Any]]) -> tuple[Sequence[str], Lines, Sequence[int]]:
    """Return a header, a line a data set, and which columns are flush right."""
    return table_of(HEADER, [line_of(row) for row in rows], ("data set",), RIGHT)


def line_of(row: dict[str, Any]) -> list[str]:
    """Return a result's cells. Rates are of encoding; `query ms` is encoding one query, `search ms` searching it."""
    found = row["retrieval"]
    passages, queries, search, quality = (
        found.get(part) or {} for part in ("passages", "queries", "search", "quality")
    )
    return [
        *(read(row) for read in CONFIGURATION.values()),
        text(found["dataset"]),
        number(passages.get("texts_per_second")),
        number(queries.get("texts_per_second")),
        number((queries.get("latency_ms") or {}).get("p50")),
        number((search.get("latency_ms") or {}).get("p50")),
        metric(quality, "ndcg_cut_10"),
        metric(quality, "recall_100"),
        text(quality.get("queries")),
        note(row, passages, quality),
    ]


def number(value: float | None) -> str:
    """Return three digits of a number."""
    return "" if value is None else significant(value)


def metric(quality: dict[str, Any], name: str) -> str:
    """Return a metric with half the width of its interval."""
    value, interval = (quality.get("metrics") or {}).get(name), (quality.get("intervals") or {}).get(name)
    if value is None:
        return ""
    if interval is None or interval[1] - interval[0] < LEAST:
        return f"{value:.4f}"
    return f"{value:.4f} ± {(interval[1] - interval[0]) / 2:.4f}"  # four digits, as retrieval's literature has them


def note(row: dict[str, Any], passages: dict[str, Any], quality: dict[str, Any]) -> str:
    """Return what a reader should know: not finished, simulated, vectors from the cache, queries without results."""
    doubts = [doubt for doubt in (trust(row),) if doubt]
    if row["status"] == "PARTIAL":
        doubts = ["partial: the run did not end", *(doubt for doubt in (row.get("doubt"),) if doubt)]
    if passages.get("cached"):
        doubts.append(f"{passages['cached']} of {passages['texts']} vectors were cached")
    if quality.get("without_results"):
        doubts.append(f"{quality['without_results']} queries without results")
    return "; ".join(doubts)
