"""Runs in, result records out: the rows that `process` prints, described by results.schema.json."""

import importlib.resources
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fmbench import lines
from fmbench.errors import UsageError
from fmbench.precision import spelled
from fmbench.summary import Summary

from .doubts import shape_doubt
from .run import Run
from .shape import Shape
from .store.machine import hardware_of, name_of

SCHEMA_VERSION = 1
ENGINE = "fmwork/embed/tf"
NANOSECONDS_PER_MILLISECOND = 1_000_000
ROUNDING = 0.001  # milliseconds: a RES line has three decimals
THROUGHPUT_ROUNDING = 0.1  # sequences a second: it has one
DIGITS = 6
TYPES = ("precision", "dtype")  # facts
DISAGREEMENT = 0.05
TIMES = ("cold", "min", "p50", "p90", "p95", "p99", "mean", "mad")


def schema_text() -> str:
    """Return the JSON Schema of the list that `process` prints."""
    return importlib.resources.files(__package__).joinpath("results.schema.json").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Record:
    """One result: its row, the log that it is from, and every repetition in nanoseconds, as far as that is known.

    `medians` are those of the processes, in nanoseconds, where the result is of several.
    """

    row: dict[str, Any]
    source: str
    durations: Sequence[int] = ()
    medians: Sequence[float] = ()
    line: int | None = None  # of the log, where it begins

    @property
    def origin(self) -> str:
        """What messages call it: file and line."""
        return self.source if self.line is None else f"{self.source}:{self.line}"


def records(run: Run, source: str, metadata_id: str | None) -> Iterator[Record]:
    """Yield the results of a run, one a shape."""
    for shape in run.shapes:
        yield Record(row_of(run, shape, metadata_id), source, shape.durations, line=shape.line)


def row_of(run: Run, shape: Shape, metadata_id: str | None) -> dict[str, Any]:
    """Return the record of a shape. The first fifteen keys and their order are what dashboards read."""
    summary = shape.summary()
    said = statistics(shape, summary)
    doubt = shape_doubt(run, shape, summary, said)
    itl, thp = figures(shape, summary)
    start = shape.result.start if shape.result else shape.start
    environment = plainly_spelled(run.environment_of(shape.variant))
    model, model_class = identity(run, shape, environment)
    return {
        "timestamp": None if start is None else lines.format_time(start),
        "metadata_id": metadata_id,
        "engine": ENGINE,
        "model": model,
        "precision": precision(environment),
        "input": shape.input_size,
        "output": 1,
        "batch": shape.batch_size,
        "tp": 1,
        "opts": run.options,
        "warmup": shape.warmup,
        "setup": run.setup_of(shape.variant),
        "ttft": None,
        "itl": itl,
        "thp": thp,
        "model_class": model_class,
        "status": status(environment, shape),
        "statistics": said and {**said, "stable": False, "reason": doubt} if doubt else said,
        "memory": shape.memory,
        "energy": shape.energy,
        "roofline": roofline(run, shape),
        "environment": environment or None,
        "schema": SCHEMA_VERSION,
        "variant": shape.variant,
        "pair": shape.pair,
        "phases": run.phases_of(shape.variant) + shape.phases,
        "error": error(shape),
        "retrieval": None,
        "distillation": None,
        "processes": shape.processes,
        "doubt": doubt,
        "machine": machine([run.environment_of(variant) for variant in run.environments]),
        "overrides": run.overrides.get(shape.variant),
        "fidelity": None,
    }


def identity(run: Run, shape: Shape, environment: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return the model and its class: from the result; else from a variant's facts, else from the command line."""
    if shape.result is not None:
        return shape.result.model, shape.result.model_class
    facts = environment if shape.variant is not None else {}
    model = facts.get("model", run.arguments.get("model_name"))
    model_class = facts.get("model_class", run.arguments.get("model_class"))
    return text_or_none(model), text_or_none(model_class)


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


def status(environment: dict[str, Any], shape: Shape) -> str:
    """Return ERR, PARTIAL (no RES line), SIMULATED (the figures are not those of the hardware) or OK."""
    if shape.failure is not None:
        return "ERR"
    if shape.result is None:
        return "PARTIAL"
    return "SIMULATED" if environment.get("simulated") else "OK"


def roofline(run: Run, shape: Shape) -> dict[str, Any] | None:
    """Return where a shape stands, and the ceiling above it."""
    if shape.standing is None:
        return None
    return {**shape.standing, "ceiling": run.ceiling_of(shape.variant)}


def figures(shape: Shape, summary: Summary | None) -> tuple[float | None, float | None]:
    """Return latency (ms) and throughput (sequences a second): those of RES, or what the repetitions there give.

    RES has three decimals of the one and one of the other. Where that leaves fewer than three digits, the repetitions
    say it better.
    """
    latency, throughput = computed(shape, summary)
    if shape.result is not None:
        said = shape.result
        return finer(said.latency, latency, ROUNDING), finer(said.throughput, throughput, THROUGHPUT_ROUNDING)
    if shape.failure is not None:
        return None, None
    return (
        None if latency is None else finer(round(latency, 3), latency, ROUNDING),
        None if throughput is None else finer(round(throughput, 1), throughput, THROUGHPUT_ROUNDING),
    )


def computed(shape: Shape, summary: Summary | None) -> tuple[float | None, float | None]:
    """Return latency and throughput as the repetitions give them."""
    if summary is None:
        return None, None
    latency = milliseconds(summary.p50)
    if shape.batch_size is None or summary.p50 <= 0:
        return latency, None
    return latency, float(f"{shape.batch_size * 1_000_000_000 / summary.p50:.{DIGITS}g}")


def finer(said: float, found: float | None, rounding: float) -> float | None:
    """Return a figure as it was said; or as it was found, where that agrees and rounding took too many digits."""
    if not math.isfinite(said):
        return None  # JSON cannot say it
    coarse = abs(said) < 100 * rounding
    return found if coarse and found is not None and abs(said - found) <= rounding else said


def statistics(shape: Shape, summary: Summary | None) -> dict[str, Any] | None:
    """Return the statistics of a shape's repetitions, in milliseconds; without repetitions, what its STAT line says."""
    if summary is None:
        return shape.statistics
    said = shape.statistics or {}
    doubt = summary.reason or (shape.processes or {}).get("reason")
    return {
        "n": summary.n,
        "dropped": summary.dropped,
        **{key: milliseconds(getattr(summary, key)) for key in TIMES},
        "interval": [milliseconds(bound) for bound in summary.interval],
        "drift": summary.drift,
        "drift_p": summary.drift_p,
        "outliers": summary.outliers,
        "recompiled": summary.recompiled,
        "preemptions": summary.preemptions,
        "stable": doubt is None,
        "reason": doubt,
        "ended": said.get("ended"),
        "repetitions": shape.repetitions,
        "requested": shape.requested,
        "throttled": summary.throttled,
        "interval_limit": summary.interval_limit,
        "graph": said.get("graph"),
        "waiting": summary.waiting,
        "handover": said.get("handover"),
        "effective": summary.effective,
    }


def milliseconds(nanoseconds: float) -> float:
    """Return milliseconds, without the noise of binary fractions far below the log's nanosecond."""
    return round(nanoseconds / NANOSECONDS_PER_MILLISECOND, 9)


def error(shape: Shape) -> dict[str, Any] | None:
    """Return why a shape failed: `type`, `message`, and whatever else its ERR line says."""
    if shape.failure is None:
        return None
    texts = {key: None if (text := shape.failure.get(key)) is None else str(text) for key in ("type", "message")}
    return {**texts, **{key: value for key, value in shape.failure.items() if key not in texts}}


def disagrees(row: dict[str, Any]) -> bool:
    """Whether a result says another latency than its own repetitions, all of them there: the log was edited."""
    said = row["statistics"]
    if row["itl"] is None or row["error"] is not None or not said or "repetitions" not in said:
        return False
    whole = said["repetitions"] == said["requested"] or said["ended"] in ("precision", "seconds")
    return whole and abs(row["itl"] - said["p50"]) > ROUNDING + DISAGREEMENT * said["p50"]
