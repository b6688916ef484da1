"""Results as OpenMetrics text, as the textfile collector of the Prometheus node exporter reads it.

https://prometheus.io/docs/specs/om/open_metrics_spec/. All metrics are gauges, and samples carry no time: the
collector refuses types that the older text format does not know, and files with times.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TextIO

from fmbench.console import warn
from fmbench.markdown import visible
from fmbench.variants import short_name

from ..reading.joined import joined
from ..reading.repairs import standing
from ..reading.row import Result
from ..workload import Gauge, thousandth, workload_of
from .columns import cells
from .view import CONFIGURATION

# What tells two results of one set of logs apart: columns, those of each workload, and what tables show of the
# configuration (CONFIGURATION).
LABELS = {
    "model": "model", "model_class": "model_class", "platform": "environment.platform", "device": "environment.device",
    "precision": "precision", "input": "input", "batch": "batch", "variant": "variant",
}  # fmt: skip
FURTHER = tuple(name for name in CONFIGURATION if name not in LABELS)


def is_measured(status: str) -> float:
    """Return 1 for a shape that was measured."""
    return float(status == "OK")


COMMON = (
    Gauge("shape_measured", "", "Whether the shape was measured: 1, or 0 where it failed, was cut off or simulated.",
          "status", is_measured),
    Gauge("start", "seconds", "Start of the first repetition, seconds since the epoch.", "timestamp"),
    Gauge("latency", "seconds", "Seconds a batch: the median repetition.", "itl", thousandth, "latency_ms"),
    Gauge("stable", "", "Whether the median can be trusted: 1 or 0.", "statistics.stable", chart="stable"),
    Gauge("throughput", "sequences_per_second", "Sequences a second.", "thp", chart="throughput_sequences_per_second"),
    Gauge("setup", "seconds", "Seconds that loading the model took, once a run.", "setup"),
    Gauge("warmup", "seconds", "Seconds of the shape's one-off phases.", "warmup"),
)  # fmt: skip


def write_openmetrics(rows: Iterable[dict[str, Any]], stream: TextIO) -> None:
    """Write every figure as a gauge, one a row. Of rows with the same labels, only the newest is written.

    What failed and was repaired is left out.
    """
    families: dict[str, Gauge] = {}
    found: dict[str, dict[str, float]] = {}
    times: dict[str, float] = {}
    twice = 0
    for row in (result.row for result in joined(standing(Result(row, "") for row in rows))):
        labels, values = labels_of(row), {}
        for gauge, value in figures_of(row):
            families.setdefault(gauge.family, gauge)
            values[gauge.family] = gauge.convert(value)
        at = start_of(row)
        twice += labels in found
        if at >= times.get(labels, at):
            found[labels], times[labels] = values, at
    if twice:
        warn(f"openmetrics: {twice} results have the labels of a newer one and are left out; --metadata_id is a label")
    for name, gauge in families.items():
        stream.write(f"# HELP {name} {escape(gauge.help)}\n# TYPE {name} gauge\n")
        stream.write(f"# UNIT {name} {gauge.unit}\n" if gauge.unit else "")
        stream.writelines(f"{name}{labels} {values[name]!r}\n" for labels, values in found.items() if name in values)
    stream.write("# EOF\n")


def start_of(row: Mapping[str, Any]) -> float:
    """Return when a result was measured, or the cell started that failed; the oldest of all where nothing says it."""
    return float(row["timestamp"] or (row["cell"] or {}).get("start") or 0)


def figures_of(row: Mapping[str, Any]) -> Iterator[tuple[Gauge, Any]]:
    """Yield the gauges of a row's workload that it has a figure for, with what the column holds."""
    known = cells(row)
    low, high = known.get("statistics.interval") or (None, None)
    known |= {"statistics.low": low, "statistics.high": high}
    known |= {"statistics.stable": False} if known.get("doubt") else {}
    for gauge in (*COMMON, *workload_of(row).gauges):
        if (value := known.get(gauge.column)) is not None:
            yield gauge, value


def labels_of(row: Mapping[str, Any]) -> str:
    """Return `{name="value",...}`; what is not known is no label."""
    known = cells(row)
    columns = {**LABELS, **workload_of(row).labels, "metadata_id": "metadata_id"}
    found = {label: known.get(column) for label, column in columns.items()}
    found |= {name: CONFIGURATION[name](row) or None for name in FURTHER}
    found["overrides"] = None if row["overrides"] is None else short_name(row["overrides"])
    return "{" + ",".join(f'{label}="{escape(str(v))}"' for label, v in found.items() if v is not None) + "}"


def escape(text: str) -> str:
    """Return a label's value or a help text: backslash, quote and line feed escape, other controls replaced."""
    return visible(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
