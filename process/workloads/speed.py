"""Speed: what the driver measured, a row a shape."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, ClassVar

from fmbench import variants
from fmbench.configuration import Configuration
from fmbench.figures import significant
from fmbench.lines import JsonLine
from fmbench.markdown import harmless

from ..reading.doubts import processes_doubt
from ..reading.fields import PLACE, place_of, without_place
from ..reading.row import Result
from ..reading.run import Run
from ..reading.schema import Schema
from ..reading.shape import Shape
from ..workload import Column, Finding, Gauge, Plot, Row, Table, Workload, thousandth
from ..writing.view import CONFIGURATION, latency, median, rate, table_of, text, trust
from .shape_row import figures_of
from .speed_fields import KINDS, SECTIONS

UNKNOWN = "lost: no ENV line says what variant"
RECOMPILED_AT = "recompiled_at"  # positions, from 0, of the repetitions in which the compiler ran


def take_case(run: Run, line: JsonLine) -> None:
    """Open a shape."""
    place = place_of(line.data)
    shape = run.shapes.announce(place, run.line)
    if line.data.get("overrides") is not None:
        run.overrides[place[2]] = line.data["overrides"]
    run.announces = True
    shape.requested, shape.announced = line.data.get("reps"), without_place(line.data)


def take_statistics(run: Run, line: JsonLine) -> None:
    """Take over the statistics of a shape, and the positions at which the compiler ran."""
    shape, said = spoken_of(run, line), without_place(line.data)
    if shape is not None:
        shape.recompiled = said.pop(RECOMPILED_AT, None) or []
        shape.statistics = {key: value for key, value in said.items() if value is not None}


def take_memory(run: Run, line: JsonLine) -> None:
    """Take over the memory of a shape."""
    if (shape := spoken_of(run, line)) is not None:
        shape.memory = without_place(line.data)


def take_energy(run: Run, line: JsonLine) -> None:
    """Take over the energy of a shape."""
    if (shape := spoken_of(run, line)) is not None:
        shape.energy = without_place(line.data)


def take_ceiling(run: Run, line: JsonLine) -> None:
    """Take over the limits of the device, or where a shape stands below them."""
    place = place_of(line.data)
    if place[:2] == (None, None):
        run.ceilings[place[2]] = without_place(line.data)
    elif (shape := spoken_of(run, line)) is not None:
        shape.standing = without_place(line.data)


def take_pair(run: Run, line: JsonLine) -> None:
    """Take over how a variant compares with another."""
    input_size, batch_size, _ = place_of(line.data)
    b = line.data["b"]
    if line.data.get("overrides") is not None:
        run.overrides[b] = line.data["overrides"]
    shape = run.shapes.at((input_size, batch_size, b))
    if shape is not None and shape.variant == b:
        other = run.shapes.exactly((input_size, batch_size, line.data.get("a")))
        shape.take_pair(without_place(line.data), other)


def take_processes(run: Run, line: JsonLine) -> None:
    """Take over how the processes differ that measured one shape."""
    place, said = place_of(line.data), without_place(line.data)
    medians = said.pop("medians", None)  # each is its process's own
    measured = [shape for shape in run.shapes if shape.place == place and shape.result is not None]
    theirs = measured[max(0, len(measured) - said["n"]) :]
    doubt = processes_doubt(said, medians, [shape.statistics or {} for shape in theirs])
    for shape in theirs:
        shape.processes = said
        if doubt is not None:
            shape.raise_doubt(doubt)


def spoken_of(run: Run, line: JsonLine) -> Shape | None:
    """Return the shape that a line speaks of; one that speaks of none puts the last one in doubt."""
    place = place_of(line.data)
    shape = run.shapes.at(place)
    if shape is None and run.format is not None and run.shapes:
        other = f"{place[0]} / {place[1]}"
        run.shapes[-1].raise_doubt(f"mixed: {line.kind} of {other} stands where no such shape was measured")
    return shape


TAKE: Mapping[str, Callable[[Run, JsonLine], None]] = {
    "CASE": take_case, "STAT": take_statistics, "MEM": take_memory, "ENERGY": take_energy, "CEIL": take_ceiling,
    "PAIR": take_pair, "PROC": take_processes,
}  # fmt: skip

MEBIBYTE = 2**20
USUAL = 128  # tokens of a passage


def usual(tokens: int) -> float:
    """Return how usual a length is, 0 at most: the nearer to USUAL, the more."""
    return -abs(math.log2(max(tokens, 1) / USUAL))


def latency_of(row: Row) -> Finding | None:
    """Return milliseconds of one sequence alone."""
    value = median(row)
    if value is None or row["batch"] != 1 or row["input"] is None:
        return None
    low, high = (row["statistics"] or {}).get("interval") or (None, None)
    return Finding(value, low, high, f"{row['input']} / 1", weight=usual(row["input"]))


def throughput_of(row: Row) -> Finding | None:
    """Return sequences a second; of the batch sizes of one input size, the best counts."""
    value, interval = rate(row), (row["statistics"] or {}).get("interval")
    if value is None or row["input"] is None:
        return None
    low, high = (
        (1000 * row["batch"] / end for end in reversed(interval)) if interval and min(interval) > 0 else (None,) * 2
    )
    return Finding(value, low, high, f"{row['input']} tokens", f"batch {row['batch']}", weight=usual(row["input"]))


def memory_of(row: Row) -> Finding | None:
    """Return the most MiB in use on the device, else in the process; of several shapes, the most."""
    said = row["memory"] or {}
    value = said.get("device_peak_bytes") or said.get("host_peak_bytes")
    return None if value is None else Finding(value / MEBIBYTE, way=f"{row['input']} / {row['batch']}")


def joules_of(row: Row) -> Finding | None:
    """Return joules a sequence; of the batch sizes of one input size, the least count."""
    value = (row["energy"] or {}).get("joules_per_sequence")
    if value is None or row["input"] is None:
        return None
    return Finding(value, of=f"{row['input']} tokens", way=f"batch {row['batch']}", weight=usual(row["input"]))


HEADER = (*CONFIGURATION, "input", "batch", "variant", "latency ms", "sequences/s", "n", "against A", "trust")
RIGHT = frozenset({"threads", "input", "batch", "latency ms", "sequences/s", "n"})
GAUGES = (
    Gauge("latency_p90", "seconds", "Seconds a batch: 90th percentile.", "statistics.p90", thousandth),
    Gauge("latency_p99", "seconds", "Seconds a batch: 99th percentile.", "statistics.p99", thousandth),
    Gauge("latency_cold", "seconds", "Seconds that the very first repetition took.", "statistics.cold", thousandth),
    Gauge("latency_low", "seconds", "Lower end of the median's 95% interval.", "statistics.low", thousandth,
          "latency_low_ms"),
    Gauge("latency_high", "seconds", "Upper end of the median's 95% interval.", "statistics.high", thousandth,
          "latency_high_ms"),
    Gauge("repetitions", "", "Repetitions that count.", "statistics.n"),
    Gauge("device_peak", "bytes", "Most bytes in use on the device.", "memory.device_peak_bytes",
          chart="device_peak_bytes"),
    Gauge("host_peak", "bytes", "Most bytes that the process had resident.", "memory.host_peak_bytes",
          chart="host_peak_bytes"),
    Gauge("model", "bytes", "Bytes of the weights.", "memory.model_bytes"),
    Gauge("energy", "joules", "Joules of the repetitions after the first.", "energy.joules"),
    Gauge("sequence_energy", "joules", "Joules a sequence.", "energy.joules_per_sequence",
          chart="joules_per_sequence"),
    Gauge("roofline", "ratio", "Achieved over attainable FLOP/s.", "roofline.share", chart="roofline_share"),
)  # fmt: skip


class Speed(Workload):
    """Latency and throughput of shapes. REP, RES and ERR, which fill and close these too, are known to every reader."""

    name: ClassVar[str] = "speed"
    columns: ClassVar[Sequence[Column]] = (
        Column("latency_ms", "latency ms", latency_of, less_is_better=True),
        Column("throughput", "sequences/s", throughput_of),
        Column("memory_mib", "memory MiB", memory_of),
        Column("joules_per_sequence", "J/sequence", joules_of, less_is_better=True),
    )
    engine: ClassVar[str] = "fmwork/embed/tf"
    kinds: ClassVar[Mapping[str, Schema]] = KINDS
    sections: ClassVar[Mapping[str, Schema]] = SECTIONS

    def collect(self, run: Run, line: JsonLine) -> None:
        """Take one line into its shape."""
        TAKE[line.kind](run, line)

    def blame(self, run: Run, line: JsonLine, reason: str) -> None:
        """Say it in the row of the shape; of the last one, where the line does not say which."""
        damaged = Schema(PLACE).complaint(line.data) is not None
        shape = run.shapes.at((None, None, None) if damaged else place_of(line.data))
        if shape is not None:
            shape.raise_doubt(reason)

    gauges: ClassVar[Sequence[Gauge]] = GAUGES

    def rows(self, run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
        """Yield a row a shape."""
        for shape in run.shapes:
            row: dict[str, Any] = {**self.row(run, metadata_id, shape.variant), **figures_of(run, shape)}
            if shape.variant in run.overrides and shape.variant not in run.environments:
                row |= {"precision": None, "doubt": row["doubt"] or f"{UNKNOWN} {shape.variant} computes with"}
            yield Result(row, source, shape.durations, line=shape.line)

    def configuration(self, row: Row) -> Configuration | None:
        """Return what a shape is of; of a variant without facts of its own that is not known."""
        return None if (row["doubt"] or "").startswith(UNKNOWN) else super().configuration(row)

    def label(self, row: Row) -> str:
        """Return the sizes of a shape; of an error that is of none, what failed."""
        return f"{row['input']} / {row['batch']}" if row["input"] else "the run"

    def tables(self, results: Sequence[Result]) -> Sequence[Table]:
        """Return one table: a line a shape, its variants in the order of their speed; below, which is the fastest."""
        ordered = list(by_speed(results))
        cells = table_of(HEADER, [line_of(one.row) for one in ordered], ("input", "batch", "variant"), RIGHT)
        return [Table(*cells, [one.source for one in ordered], fastest(ordered))]

    def plots(self) -> Mapping[str, Plot]:
        """Return the pictures of a sweep, of single repetitions, and of the roofline."""
        from ..plots.points import of_results
        from ..plots.repetitions import distribution, series
        from ..plots.roofline import roofline
        from ..plots.sweep import SWEEPS

        return of_results({**SWEEPS, "repetitions": series, "distribution": distribution, "roofline": roofline})


def line_of(row: Row) -> list[str]:
    """Return a result's cells."""
    statistics = row["statistics"] or {}
    throughput, pair = rate(row), row["pair"]
    return [
        *(read(row) for read in CONFIGURATION.values()),
        text(row["input"]),
        text(row["batch"]),
        variants.label(row["variant"], row["overrides"]),
        latency(row),
        "" if throughput is None else significant(throughput),
        text(statistics.get("n")),
        variants.against(pair) if pair and row["status"] != "ERR" else "",
        trust(row),
    ]


def by_speed(results: Iterable[Result]) -> Iterator[Result]:
    """Yield results with the variants of a shape, which follow each other, in the order of their latency."""

    def shape(result: Result) -> tuple[Any, ...]:
        row = result.row
        return row["variant"] is None, row["opts"], row["input"], row["batch"]

    for (alone, *_), group in groupby(results, key=shape):
        if alone:
            yield from group
        else:
            yield from sorted(group, key=slowness)


def slowness(result: Result) -> float:
    """Return the latency; what has none is the slowest of all."""
    value = median(result.row)
    return float("inf") if value is None else value


def fastest(results: Iterable[Result]) -> list[str]:
    """Return a sentence a run on which variant is the fastest, with the name of each run where there are several."""
    runs: dict[tuple[str, ...], dict[tuple[Any, ...], list[dict[str, Any]]]] = {}
    reasons: dict[tuple[str, ...], list[object]] = {}
    for result in results:
        row = result.row
        machine = text(row["machine"])
        run = (result.source or machine, machine, *row["opts"])
        if row["variant"] is not None:
            reasons.setdefault(run, []).append((row["statistics"] or {}).get("reason"))
        if row["pair"]:
            shapes = runs.setdefault(run, {})
            pair = {**row["pair"], "b": row["variant"], "overrides": row["overrides"] or ""}
            shapes.setdefault((row["input"], row["batch"]), []).append(pair)
    said = [(key[0], variants.fastest(shapes.values(), reasons[key])) for key, shapes in runs.items()]
    several = len(said) > 1
    return [harmless(f"{source}: {line}" if several and source else line) for source, line in said if line]
