"""What a run of the retrieval driver says of each data set: speed and quality in one row."""

from collections.abc import Iterator
from typing import Any

from ..reading.doubts import retrieval_doubt
from ..reading.row import Result, row_of
from ..reading.run import Run
from ..reading.shape import Shape

ENGINE = "fmbench/retrieve"
LAST = {"encode": "passages", "search": "search", "evaluate": "quality", "mine": "search"}  # what each task ends with
PARTS = ("passages", "queries", "search", "quality")


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
