"""What SQL and Parquet are given: the results of a store and its runs, as tables."""

from collections.abc import Iterable, Iterator
from typing import Any

from ..reading.repairs import Repairs
from ..writing.columns import Cells, Kind, Table
from .store import Store, Warn

RUNS: dict[str, Kind] = {
    "machine": "text", "run": "text", "started": "text", "driver": "text", "models": "texts", "platforms": "texts",
    "results": "integer", "failed": "integer", "repaired": "integer", "cell": "text", "exit_code": "integer",
    "log_bytes": "integer", "log_sha256": "text", "fmbench": "text",
}  # fmt: skip
WHERE = ("machine", "run")


def results_table(store: Store, names: Iterable[str], warn: Warn) -> Table:
    """Return the results of entries, each with its machine and its run. Raises UsageError where one cannot be read."""
    return Table(placed(store, names, warn))


def placed(store: Store, names: Iterable[str], warn: Warn) -> Iterator[dict[str, Any]]:
    """Yield results with their machine and their run."""
    for result in store.results(names, warn):
        folder, _, run = result.source.partition("/")
        yield {"run": run, **result.row, "machine": result.row["machine"] or folder}


def with_place_first(kinds: dict[str, Kind]) -> dict[str, Kind]:
    """Return columns, those that say where a row is from first."""
    return {**dict.fromkeys(WHERE, "text"), **kinds}


def runs(store: Store, names: Iterable[str], warn: Warn) -> Iterator[Cells]:
    """Yield a row an entry. What a newer run of its cell stands for is `repaired`, and not `failed`."""
    every = {entry.name: entry for entry in store.entries(store.names(), warn)}
    repairs = Repairs.of((entry.machine, entry.facts["run"].get("cell")) for entry in every.values())
    for entry in (every[name] for name in names if name in every):
        run, log, results = (entry.facts[key] for key in ("run", "log", "results"))
        cell, errors = run.get("cell"), (results.get("statuses") or {}).get("ERR", 0)
        repaired = errors if repairs.stand_for(entry.machine, cell) else 0
        yield {
            "machine": entry.machine,
            "run": entry.run,
            "started": run.get("started"),
            "driver": run.get("driver"),
            "models": results.get("models"),
            "platforms": results.get("platforms"),
            "results": results.get("count"),
            "failed": errors - repaired,
            "repaired": repaired,
            "cell": (cell or {}).get("id"),
            "exit_code": (cell or {}).get("exit_code"),
            "log_bytes": log.get("bytes"),
            "log_sha256": log.get("sha256"),
            "fmbench": entry.facts.get("fmbench"),
        }
