"""Results as OpenMetrics text, as the textfile collector of the Prometheus node exporter reads it.

https://prometheus.io/docs/specs/om/open_metrics_spec/. All metrics are gauges, and samples carry no time: the
collector refuses types that the older text format does not know, and files with times.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from fmbench.console import warn
from fmbench.markdown import visible
from fmbench.variants import short_name

from ..reading.joined import joined
from ..reading.row import Result
from .columns import cells
from .view import CONFIGURATION

# What tells two results of one set of logs apart: columns, and what tables show of the configuration (CONFIGURATION).
LABELS = {
    "model": "model", "model_class": "model_class", "platform": "environment.platform", "device": "environment.device",
    "precision": "precision", "input": "input", "batch": "batch", "variant": "variant", "dataset": "retrieval.dataset",
    "artifact": "fidelity.artifact", "metadata_id": "metadata_id",
}  # fmt: skip
FURTHER = tuple(name for name in CONFIGURATION if name not in LABELS)


@dataclass(frozen=True, slots=True)
class Metric:
    """One gauge: its name below `fmbench_`, its unit, the column that it shows, and how to convert that."""

    name: str
    unit: str
    help: str
    column: str
    convert: Callable[[Any], float] = float


def thousandth(milliseconds: float) -> float:
    """Return seconds."""
    return round(milliseconds / 1000, 12)


def is_measured(status: str) -> float:
    """Return 1 for a shape that was measured."""
    return float(status == "OK")


METRICS = (
    Metric("shape_measured", "", "Whether the shape was measured: 1, or 0 where it failed, was cut off or simulated.",
           "status", is_measured),
    Metric("start", "seconds", "Start of the first repetition, seconds since the epoch.", "timestamp"),
    Metric("latency", "seconds", "Seconds a batch: the median repetition.", "itl", thousandth),
    Metric("latency_p90", "seconds", "Seconds a batch: 90th percentile.", "statistics.p90", thousandth),
    Metric("latency_p99", "seconds", "Seconds a batch: 99th percentile.", "statistics.p99", thousandth),
    Metric("latency_cold", "seconds", "Seconds that the very first repetition took.", "statistics.cold", thousandth),
    Metric("latency_low", "seconds", "Lower end of the median's 95% interval.", "statistics.low", thousandth),
    Metric("latency_high", "seconds", "Upper end of the median's 95% interval.", "statistics.high", thousandth),
    Metric("stable", "", "Whether the median can be trusted: 1 or 0.", "statistics.stable"),
    Metric("throughput", "sequences_per_second", "Sequences a second.", "thp"),
    Metric("repetitions", "", "Repetitions that count.", "statistics.n"),
    Metric("setup", "seconds", "Seconds that loading the model took, once a run.", "setup"),
    Metric("warmup", "seconds", "Seconds of the shape's one-off phases.", "warmup"),
    Metric("device_peak", "bytes", "Most bytes in use on the device.", "memory.device_peak_bytes"),
    Metric("host_peak", "bytes", "Most bytes that the process had resident.", "memory.host_peak_bytes"),
    Metric("model", "bytes", "Bytes of the weights.", "memory.model_bytes"),
    Metric("energy", "joules", "Joules of all repetitions.", "energy.joules"),
    Metric("sequence_energy", "joules", "Joules a sequence.", "energy.joules_per_sequence"),
    Metric("encoded_documents", "documents_per_second", "Documents encoded a second.",
           "retrieval.passages.texts_per_second"),
    Metric("encoded_queries", "queries_per_second", "Queries encoded a second.", "retrieval.queries.texts_per_second"),
    Metric("searched_queries", "queries_per_second", "Queries searched a second.",
           "retrieval.search.queries_per_second"),
    Metric("ndcg_at_10", "", "nDCG@10, mean over the judged queries.", "retrieval.quality.metrics.ndcg_cut_10"),
    Metric("recall_at_100", "", "Recall@100, mean over the judged queries.", "retrieval.quality.metrics.recall_100"),
    Metric("cosine_least", "", "Least cosine of a text's vector with its vector in the reference.",
           "fidelity.min_cosine"),
    Metric("cosine_mean", "", "Mean cosine of a text's vector with its vector in the reference.",
           "fidelity.mean_cosine"),
    Metric("top_10_overlap", "ratio", "Share of the reference's ten documents that are still found.",
           "fidelity.overlap"),
    Metric("ndcg_at_10_change", "", "Change of nDCG@10 against the reference.", "fidelity.ndcg_change"),
    Metric("roofline", "ratio", "Achieved over attainable FLOP/s.", "roofline.share"),
)  # fmt: skip


def write_openmetrics(rows: Iterable[dict[str, Any]], stream: TextIO) -> None:
    """Write every figure as a gauge, one a shape. Of shapes with the same labels, only the newest is written."""
    shapes: dict[str, dict[str, float]] = {}
    twice = 0
    for row in (result.row for result in joined(Result(row, "") for row in rows)):
        labels, values = labels_of(row), values_of(row)
        older = shapes.get(labels)
        twice += older is not None
        if older is None or values.get("start", 0.0) >= older.get("start", 0.0):
            shapes[labels] = values
    if twice:
        warn(f"openmetrics: {twice} results have the labels of a newer one and are left out; --metadata_id is a label")
    for metric in METRICS:
        write_metric(metric, shapes, stream)
    stream.write("# EOF\n")


def write_metric(metric: Metric, shapes: Mapping[str, Mapping[str, float]], stream: TextIO) -> None:
    """Write one family: what it is, and a sample a shape that has it."""
    found = {labels: values[metric.name] for labels, values in shapes.items() if metric.name in values}
    if not found:
        return
    name = "_".join(part for part in ("fmbench", metric.name, metric.unit) if part)
    stream.write(f"# HELP {name} {escaped(metric.help)}\n# TYPE {name} gauge\n")
    stream.write(f"# UNIT {name} {metric.unit}\n" if metric.unit else "")
    stream.writelines(f"{name}{labels} {value!r}\n" for labels, value in found.items())


def values_of(row: dict[str, Any]) -> dict[str, float]:
    """Return a result's figures by metric."""
    known = cells(row)
    low, high = known.get("statistics.interval") or (None, None)
    known |= {"statistics.low": low, "statistics.high": high}
    known |= {"statistics.stable": False} if known.get("doubt") else {}
    found = {metric.name: (metric, known.get(metric.column)) for metric in METRICS}
    return {name: metric.convert(value) for name, (metric, value) in found.items() if value is not None}


def labels_of(row: dict[str, Any]) -> str:
    """Return `{name="value",...}`; what is not known is no label."""
    known = cells(row)
    found = {label: known.get(column) for label, column in LABELS.items()}
    found |= {name: CONFIGURATION[name](row) or None for name in FURTHER}
    found["overrides"] = None if row["overrides"] is None else short_name(row["overrides"])
    return "{" + ",".join(f'{label}="{escaped(str(v))}"' for label, v in found.items() if v is not None) + "}"


def escaped(text: str) -> str:
    """Return a label's value or a help text: backslash, quote and line feed escaped, other controls replaced."""
    return visible(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
