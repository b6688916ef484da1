"""What closes a shape in the log: memory, energy, result, roofline, statistics, comparison."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from fmbench import energy, lines, memory, roofline
from fmbench.energy import Counter
from fmbench.measure import Measurement
from fmbench.pairs import LEAST, Pair
from fmbench.processes import Processes
from fmbench.roofline import Ceiling
from fmbench.secrets import masked_text, sealed
from fmbench.summary import Summary

from .block import Block
from .variant import Variant

TIMES = ("cold", "min", "p50", "p90", "p95", "p99", "mean", "mad")
SHARED = "the variants share the process, so that this cannot be told apart"


def memory_line(block: Block, host_counted: bool) -> lines.JsonLine:
    """Return peak memory of a shape, the model's own bytes apart."""
    variant = block.variant
    peak = variant.platform.memory() if variant.alone else None
    host = memory.host_peak() if variant.alone and host_counted else None
    reason = None if host is not None else "the kernel does not reset the peak here" if variant.alone else SHARED
    return lines.JsonLine("MEM", {
        **asdict(block.shape), **variant.marks,
        "device_peak_bytes": peak.peak if peak else None,
        "host_peak_bytes": host,
        "model_bytes": variant.facts.get("model_bytes"),
        "reason": reason,
    })  # fmt: skip


def energy_line(block: Block, before: Counter, after: Counter, measurement: Measurement) -> lines.JsonLine:
    """Return what the repetitions after the first took, making the inputs between them included."""
    if not block.variant.alone:
        before = after = Counter(None, None, SHARED)
    sequences = (len(measurement.repetitions) - 1) * block.shape.batch_size
    spent = energy.spent(before, after, measurement.warm_seconds, sequences)
    return lines.JsonLine("ENERGY", {**asdict(block.shape), **block.variant.marks, **spent})


def result_line(measurement: Measurement, variant: Variant) -> lines.Res:
    """Return the RES line of a shape."""
    return lines.Res(
        start=measurement.repetitions[0].start,
        end=measurement.repetitions[-1].end,
        model=variant.arguments.model_name,
        model_class=variant.model_class,
        input_size=measurement.shape.input_size,
        batch_size=measurement.shape.batch_size,
        latency=measurement.latency * 1e3,
        throughput=measurement.throughput,
    )


def stand(block: Block, ceiling: Ceiling | None, measurement: Measurement) -> roofline.Standing | None:
    """Return where a shape stands under the roofline, or None where work, ceiling or time is unknown."""
    if block.cost is None or ceiling is None or not measurement.latency:
        return None
    return roofline.stand(block.cost, ceiling, measurement.latency)


def ceiling_line(block: Block, standing: roofline.Standing) -> lines.JsonLine:
    """Return where a shape stands under the roofline."""
    data = {**asdict(standing), "share": round(standing.share, 6)}
    data.update({key: round(value) for key, value in data.items() if key.endswith("per_second")})
    return lines.JsonLine("CEIL", {**asdict(block.shape), **block.variant.marks, **data})


def statistics_line(
    block: Block,
    measurement: Measurement,
    summary: Summary,
    standing: roofline.Standing | None,
    between_cpus: float | None,
) -> lines.JsonLine:
    """Return the statistics of a shape: times in milliseconds, to the nanosecond that the clock shows.

    `between_cpus` is the handover right after the repetitions, in nanoseconds a cache line.
    """
    data: dict[str, Any] = {**asdict(block.shape), **block.variant.marks, **asdict(summary)}
    data.update({name: round(data[name] / 1e6, 6) for name in TIMES})
    data["interval"] = [round(end / 1e6, 6) for end in summary.interval]
    data.update({name: round(data[name], 6) for name in ("effective", "drift", "drift_p")})
    data["throttled"] = None if summary.throttled is None else round(summary.throttled, 6)
    data.update(recompiled_at=list(measurement.recompiled), ended=measurement.ended, graph=block.graph)
    data["handover"] = between_cpus
    if standing is not None:
        data["achieved_flops_per_second"] = round(standing.achieved_flops_per_second)
        data["roofline_share"] = round(standing.share, 6)
        data["bound"] = standing.bound
    return lines.JsonLine("STAT", data)


def pair_line(a: Block, b: Block, seed: int) -> lines.JsonLine:
    """Return B against A, or the reason why there is no answer."""
    data: dict[str, Any] = {
        **asdict(a.shape),
        "a": a.variant.label,
        "b": b.variant.label,
        "overrides": masked_text(b.variant.overrides, sealed),
        **({"same_as": b.variant.twin} if b.variant.twin else {}),
    }
    failed = next((block for block in (a, b) if block.failure is not None), None)
    if failed is not None and failed.failure is not None:
        reason = f"{failed.variant.label} failed: {failed.failure['type']}: {failed.failure['message']}"
        return lines.JsonLine("PAIR", {**data, "n": 0, "ratio": None, "verdict": None, "reason": reason})
    count = min(len(a.repetitions), len(b.repetitions))
    first, second = ([repetition.duration for repetition in block.repetitions[:count]] for block in (a, b))
    try:
        pair = Pair.of(first, second, seed)
    except ValueError as error:
        return lines.JsonLine("PAIR", {**data, "n": count, "ratio": None, "verdict": None, "reason": str(error)})
    figures: dict[str, Any] = {
        "ratio": round(pair.ratio, 6),
        "interval": [round(end, 6) for end in pair.interval],
        "p": pair.p,
    }
    figures["detectable"] = round(pair.detectable, 6)
    if pair.verdict is None:
        reason = f"too few pairs to tell: {pair.n}, and {LEAST} is the least"
        return lines.JsonLine("PAIR", {**data, "n": pair.n, **figures, "verdict": None, "reason": reason})
    why = {} if pair.reason is None else {"reason": pair.reason}
    return lines.JsonLine("PAIR", {**data, "n": pair.n, **figures, "verdict": pair.verdict, **why})


def processes_lines(outcomes: Sequence[lines.JsonLine], requested: int) -> Iterator[lines.JsonLine]:
    """Yield how the processes that measured one shape differ, a line a variant; none where all of them failed."""
    by_variant: dict[str | None, list[dict[str, Any]]] = {}
    for line in outcomes:
        if lines.is_json(line, "STAT"):
            by_variant.setdefault(line.data.get("variant"), []).append(line.data)
    for found in by_variant.values():
        place: dict[str, Any] = {
            key: found[0][key] for key in ("input_size", "batch_size", "variant") if key in found[0]
        }
        processes = asdict(Processes.of([(data["p50"], *data["interval"]) for data in found], requested))
        ratio = processes["ratio"]
        rounded = {"p50": round(processes["p50"], 6), "ratio": None if ratio is None else round(ratio, 6)}
        yield lines.JsonLine("PROC", {**place, **processes, **rounded, "requested": requested})
