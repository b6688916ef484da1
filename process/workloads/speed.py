"""Speed: what the driver measured, a row a shape."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, ClassVar

from fmbench import variants
from fmbench.figures import significant
from fmbench.markdown import harmless

from ..reading.row import Result, results
from ..reading.run import Run
from ..workload import Gauge, Plot, Row, Table, Workload, thousandth
from ..writing.view import CONFIGURATION, latency, median, rate, table_of, text, trust

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
    Gauge("energy", "joules", "Joules of all repetitions.", "energy.joules"),
    Gauge("sequence_energy", "joules", "Joules a sequence.", "energy.joules_per_sequence",
          chart="joules_per_sequence"),
    Gauge("roofline", "ratio", "Achieved over attainable FLOP/s.", "roofline.share", chart="roofline_share"),
)  # fmt: skip


class Speed(Workload):
    """Latency and throughput of shapes."""

    name: ClassVar[str] = "speed"
    gauges: ClassVar[Sequence[Gauge]] = GAUGES

    def rows(self, run: Run, source: str, metadata_id: str | None) -> Iterator[Result]:
        """Yield a row a shape."""
        return results(run, source, metadata_id)

    def label(self, row: Row) -> str:
        """Return the sizes of a shape."""
        return f"{row['input']} / {row['batch']}"

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
    for result in results:
        row = result.row
        if row["pair"]:
            machine = text(row["machine"])
            shapes = runs.setdefault((result.source or machine, machine, *row["opts"]), {})
            pair = {**row["pair"], "b": row["variant"], "overrides": row["overrides"] or ""}
            shapes.setdefault((row["input"], row["batch"]), []).append(pair)
    said = [(key[0], variants.fastest(shapes.values())) for key, shapes in runs.items()]
    several = len(said) > 1
    return [harmless(f"{run}: {line}" if several and run else line) for run, line in said if line]
