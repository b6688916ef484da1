"""Runs in, rows out: what `process` prints, whatever was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fmbench.errors import UsageError
from fmbench.machine import hardware_of, name_of
from fmbench.precision import spelled

from .fields import ROW, SCHEMA_VERSION
from .run import Run

ROUNDING = 0.001  # milliseconds: a RES line has three decimals
THROUGHPUT_ROUNDING = 0.1  # sequences a second: it has one
TYPES = ("precision", "dtype")  # facts
DISAGREEMENT = 0.05


@dataclass(frozen=True, slots=True)
class ByQuery:
    """How well each query of a data set was ranked: metrics by name, a value a query; and how that was judged."""

    dataset: str
    queries: Sequence[str]
    metrics: Mapping[str, Sequence[float]]
    judging: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """One result: its row, the log that it is from, and every repetition in nanoseconds, as far as that is known.

    `medians` are those of the processes, in nanoseconds, where the result is of several. `by_query` is of rankings.
    One that was `saved` is from JSON.
    """

    row: dict[str, Any]
    source: str
    durations: Sequence[int] = ()
    medians: Sequence[float] = ()
    line: int | None = None  # of the log, where it begins
    by_query: ByQuery | None = None
    saved: bool = False

    @property
    def origin(self) -> str:
        """What messages call it: file and line."""
        return self.source if self.line is None else f"{self.source}:{self.line}"


def row_of(run: Run, metadata_id: str | None, variant: str | None = None) -> dict[str, Any]:
    """Return what any row of a run says. What was measured is the workload's to add."""
    environment = plainly_spelled(run.environment_of(variant))
    facts = environment if variant is not None else {}  # else the command line says what was measured, if it does
    return {
        **dict.fromkeys(ROW),
        "metadata_id": metadata_id,
        "model": text_or_none(facts.get("model", run.arguments.get("model_name"))),
        "precision": precision(environment),
        "output": 1,
        "tp": 1,
        "opts": run.options,
        "setup": run.setup_of(variant),
        "model_class": text_or_none(facts.get("model_class", run.arguments.get("model_class"))),
        "status": "SIMULATED" if environment.get("simulated") else "OK",
        "environment": environment or None,
        "schema": SCHEMA_VERSION,
        "variant": variant,
        "phases": run.phases_of(variant),
        "doubt": run.doubt,
        "machine": machine([run.environment_of(variant) for variant in run.environments]),
        "overrides": run.overrides.get(variant),
        "cell": run.cell,
    }


def text_or_none(value: object) -> str | None:
    """Return a text, or None for anything else."""
    return value if isinstance(value, str) else None


def precision(environment: dict[str, Any]) -> str | None:
    """Return what was really computed in, where the platform says so; else the dtype of the weights."""
    return text_or_none(environment.get("precision") or environment.get("dtype"))


def machine(environments: Sequence[dict[str, Any]]) -> str | None:
    """Return the name of the machine, as a store has it; None where no fact of its hardware is known, or two differ."""
    try:
        hardware = hardware_of(environments)
    except UsageError:
        return None
    return name_of(hardware) if hardware else None


def plainly_spelled(environment: dict[str, Any]) -> dict[str, Any]:
    """Return facts in which types of numbers are called as torch calls them, whatever the platform said."""
    named = {name: spelled(environment[name]) for name in TYPES if isinstance(environment.get(name), str)}
    return {**environment, **named}


def disagrees(row: dict[str, Any]) -> bool:
    """Whether a result says another latency than its own repetitions, all of them there: the log was edited."""
    said = row["statistics"]
    if row["itl"] is None or row["error"] is not None or not said or "repetitions" not in said:
        return False
    whole = said["repetitions"] == said["requested"] or said["ended"] in ("precision", "seconds")
    return whole and abs(row["itl"] - said["p50"]) > ROUNDING + DISAGREEMENT * said["p50"]
