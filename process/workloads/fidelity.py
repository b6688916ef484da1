"""What a run of `fmbench fidelity` says: a row a thing that is held against the same thing of a reference."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from ..reading.row import Result, row_of
from ..reading.run import Run
from ..reading.shape import Shape
from ..workload import Plot, Table, Workload
from . import fidelity_tables

ENGINE = "fmbench/fidelity"
# Of a line's fields, those that a result has elsewhere.
ELSEWHERE = ("name", "variant", "failure", "start", "batch", "latency_ms", "texts_per_second", "nanoseconds")
# The facts that hold for all variants, in logs of a version that said those of a platform for the first one only.
SHARED = (
    "task", "fmbench", "fmbench_commit", "python", "packages", "system", "machine", "cpu", "cpu_cores", "cpus",
    "cpus_usable", "cpu_governor", "cpu_mhz_max", "numa_nodes", "memory_bytes", "container", "virtual_machine", "timed",
    "passages", "queries", "texts", "seed", "model", "model_class",
)  # fmt: skip


def fidelity_results(run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
    """Yield one result a thing; of one that was said several times, the last."""
    first = next(iter(run.fidelities.values()), None)
    for said in run.fidelities.values():
        variant = said.get("variant", said.get("name"))  # the first versions said it of a ladder's alone, as its name
        row = row_of(run, Shape(variant=variant), metadata_id)
        if variant is not None and variant not in run.environments and said is not first:
            row |= without_platform(row)
        failure = said.get("failure")
        yield Result({
            **row,
            "timestamp": said.get("start"),
            "engine": ENGINE,
            "batch": said.get("batch"),
            "itl": None if failure else said.get("latency_ms"),
            "thp": None if failure else said.get("texts_per_second"),
            "status": status(row["environment"] or {}, said),
            "error": {"type": said["verdict"], "message": failure} if failure else None,
            "fidelity": {name: value for name, value in said.items() if name not in ELSEWHERE},
        }, source, said.get("nanoseconds") or ())  # fmt: skip


def without_platform(row: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of a variant of which the log has no facts: nothing that another may have otherwise."""
    known = row["environment"] or {}
    return {"environment": {name: known[name] for name in SHARED if name in known} or None, "precision": None}


def status(environment: dict[str, Any], said: dict[str, Any]) -> str:
    """Return ERR, PARTIAL where passages are left or a capture or comparison did not end, SIMULATED or OK."""
    if said.get("failure"):
        return "ERR"
    short = (said.get("passages") or 0) < (said.get("of_passages") or 0)
    if short or said["verdict"] == "incomplete" or said.get("incomplete"):
        return "PARTIAL"
    return "SIMULATED" if environment.get("simulated") else "OK"


class Fidelity(Workload):
    """Whether numbers and rankings stay the same."""

    name: ClassVar[str] = "fidelity"

    def rows(self, run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
        """Yield a row a variant or artifact."""
        return fidelity_results(run, source, metadata_id)

    def tables(self, results: Sequence[Result]) -> Sequence[Table]:
        """Return a table of each kind of thing that is there."""
        return fidelity_tables.tables(results)

    def plots(self) -> Mapping[str, Plot]:
        """Return drift by layer."""
        from ..plots.drift import drift

        return {"drift_by_layer": drift}
