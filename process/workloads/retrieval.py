"""What a run of the retrieval driver says of each data set: speed and quality in one row."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

from fmbench.figures import significant

from ..reading.doubts import retrieval_doubt
from ..reading.row import Result, row_of
from ..reading.run import Run
from ..reading.shape import Shape
from ..workload import Row, Table, Workload
from ..writing.view import CONFIGURATION, Lines, table_of, text, trust

ENGINE = "fmbench/retrieve"
LAST = {"encode": "passages", "search": "search", "evaluate": "quality", "mine": "search"}  # what each task ends with
PARTS = ("passages", "queries", "search", "quality")
FIGURES = ("documents/s", "queries/s", "query ms", "search ms", "nDCG@10", "Recall@100", "queries")
HEADER = (*CONFIGURATION, "data set", *FIGURES, "note")
RIGHT = frozenset({"threads", *FIGURES})
LEAST = 1e-9  # below, an interval is the rounding of equal values


def retrieval_results(run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
    """Yield one result a data set of a run."""
    for dataset, parts in run.retrievals.items():
        row = row_of(run, Shape(), metadata_id)
        starts = [parts[name]["start"] for name in PARTS if parts.get(name, {}).get("start")]
        yield Result({
            **row,
            "timestamp": min(starts, default=None),
            "engine": ENGINE,
            "model": (row["environment"] or {}).get("model") or row["model"],
            "status": status(row["environment"] or {}, parts),
            "phases": [phase for phase in row["phases"] if phase.get("dataset") in (None, dataset)],
            "retrieval": {"dataset": dataset, **{name: parts[name] for name in PARTS if name in parts}},
            "doubt": run.doubt or run.doubts.get(dataset) or retrieval_doubt(parts),
        }, source, line=run.starts.get(dataset))  # fmt: skip


def status(environment: dict[str, Any], parts: dict[str, dict[str, Any]]) -> str:
    """Return PARTIAL where the last part of the task is missing, SIMULATED or OK."""
    last = LAST.get(str(environment.get("task")))
    if last is not None and last not in parts:
        return "PARTIAL"
    return "SIMULATED" if environment.get("simulated") else "OK"


def is_retrieval(row: Row) -> bool:
    """Whether a result is one of the retrieval driver."""
    return row.get("retrieval") is not None


def cells(rows: Iterable[Row]) -> tuple[Sequence[str], Lines, Sequence[int]]:
    """Return a header, a line a data set, and which columns are flush right."""
    return table_of(HEADER, [line_of(row) for row in rows], ("data set",), RIGHT)


def line_of(row: Row) -> list[str]:
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


def note(row: Row, passages: dict[str, Any], quality: dict[str, Any]) -> str:
    """Return what a reader should know: not finished, simulated, vectors from the cache, queries without results."""
    doubts = [doubt for doubt in (trust(row),) if doubt]
    if row["status"] == "PARTIAL":
        doubts = ["partial: the run did not end", *(doubt for doubt in (row.get("doubt"),) if doubt)]
    if passages.get("cached"):
        doubts.append(f"{passages['cached']} of {passages['texts']} vectors were cached")
    if quality.get("without_results"):
        doubts.append(f"{quality['without_results']} queries without results")
    return "; ".join(doubts)


class Retrieval(Workload):
    """Encoding and searching a data set, and how good the ranking is."""

    name: ClassVar[str] = "retrieval"

    def rows(self, run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
        """Yield a row a data set."""
        return retrieval_results(run, source, metadata_id)

    def tables(self, results: Sequence[Result]) -> Sequence[Table]:
        """Return one table: a line a data set."""
        return [Table(*cells([result.row for result in results]))]
