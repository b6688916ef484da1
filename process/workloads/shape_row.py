"""What the row of a shape says of it: its figures, and how far they are to be trusted."""

import math
from typing import Any

from fmbench import lines
from fmbench.summary import Summary

from ..reading.doubts import shape_doubt
from ..reading.row import ROUNDING, THROUGHPUT_ROUNDING, text_or_none
from ..reading.run import Run
from ..reading.shape import Shape

NANOSECONDS_PER_MILLISECOND = 1_000_000
DIGITS = 6
TIMES = ("cold", "min", "p50", "p90", "p95", "p99", "mean", "mad")


def figures_of(run: Run, shape: Shape) -> dict[str, Any]:
    """Return what the row of a shape has besides what any row of its run says."""
    summary = shape.summary()
    said = statistics(shape, summary)
    doubt = shape_doubt(run, shape, summary, said)
    itl, thp = figures(shape, summary)
    start = shape.result.start if shape.result else shape.start
    named: dict[str, str | None] = {}
    if shape.result:
        named = {"model": shape.result.model, "model_class": shape.result.model_class}
    elif "model_class" not in run.arguments:  # what failed says none itself
        named = {"model_class": text_or_none(run.environment_of(shape.variant).get("model_class"))}
    return {
        **named,
        "timestamp": None if start is None else lines.format_time(start),
        "input": shape.input_size,
        "batch": shape.batch_size,
        "warmup": shape.warmup,
        "itl": itl,
        "thp": thp,
        "status": status(run.environment_of(shape.variant), shape),
        "statistics": said and {**said, "stable": False, "reason": doubt} if doubt else said,
        "memory": shape.memory,
        "energy": shape.energy,
        "roofline": roofline(run, shape),
        "pair": shape.pair,
        "phases": run.phases_of(shape.variant) + shape.phases,
        "error": error(shape),
        "processes": shape.processes,
        "doubt": doubt,
    }


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
        "effective": summary.effective,
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
        "in_line": summary.in_line,
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
