"""The tables of the published results: a row a setting and input size, a column a batch size."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fmbench import variants
from fmbench.figures import plus_minus, significant
from fmbench.markdown import harmless, markdown

from .columns import text_of
from .results import Record
from .view import compiler, median, text

GIBIBYTE = 2**30
SETTING = (
    "model",
    "weights",
    "platform",
    "device",
    "precision",
    "compile",
    "threads",
    "torch",
    "transformers",
    "date",
    "input",
)
DOUBT = "*"

Runs = Sequence[tuple[str, Sequence[Record]]]  # the name of each run, and its results
Line = tuple[str, tuple[Any, ...], dict[int, Mapping[str, Any]]]  # run, setting, results by batch size
Figure = Callable[[Mapping[str, Any]], tuple[float, float, float] | None]


def machine_facts(records: Sequence[Record]) -> str:
    """Return what the machine is, from the facts of its runs."""
    environments = [record.row["environment"] or {} for record in records]
    memory = [facts.get("memory_bytes") for facts in environments]
    parts = [
        together(facts.get("device_name") for facts in environments),
        together(facts.get("cpu") for facts in environments),
        together(cores(facts) for facts in environments),
        together(f"{amount / GIBIBYTE:.0f} GiB" if amount else None for amount in memory),
        together(facts.get("system") for facts in environments),
        together("virtual machine" if facts.get("virtual_machine") else None for facts in environments),
    ]
    return ", ".join(part for part in parts if part) or "unknown"


def cores(facts: Mapping[str, Any]) -> str | None:
    """Return how many CPUs a run could use."""
    count = facts.get("cpus_usable")
    return None if count is None else f"{count} CPU{'' if count == 1 else 's'}"


def together(values: Iterable[Any]) -> str:
    """Return the different values, in the order that they come in."""
    return " / ".join(dict.fromkeys(harmless(text_of(value)) for value in values if value is not None))


def tables(runs: Runs) -> dict[str, str]:
    """Return the tables in Markdown by their titles."""
    batches = sorted({record.row["batch"] for _, records in runs for record in records if record.row["batch"]})
    lines = sorted((line for run in runs for line in lines_of(*run)), key=lambda line: (line[1], line[0]))
    return {
        "Latency, milliseconds a batch": table(lines, batches, latency),
        "Throughput, sequences a second": table(lines, batches, throughput),
    }


def lines_of(name: str, records: Sequence[Record]) -> list[Line]:
    """Return the lines of one run: its results by setting and batch size."""
    found: dict[tuple[Any, ...], dict[int, Mapping[str, Any]]] = {}
    day = date(records)
    for row in (record.row for record in records):
        if row["batch"] and row["input"]:
            found.setdefault(setting(row, day), {})[row["batch"]] = row
    return [(name, key, cells) for key, cells in found.items()]


def setting(row: Mapping[str, Any], day: str) -> tuple[Any, ...]:
    """Return what a result was measured on, in the order of SETTING."""
    facts = row["environment"] or {}
    packages = facts.get("packages") or {}
    name = text(row["model"]).rpartition("/")[2]
    return (
        name if row["variant"] is None else f"{name}, {variants.label(row['variant'], row['overrides'])}",
        text(facts.get("weights")),
        text(facts.get("platform")),
        text(facts.get("device_name") or facts.get("cpu")), text(row["precision"]), compiler(row) or "eager",
        text(facts.get("threads")), text(packages.get("torch")), text(packages.get("transformers")), day, row["input"],
    )  # fmt: skip


def date(records: Iterable[Record]) -> str:
    """Return the day on which a run began, in universal time."""
    stamps = [float(record.row["timestamp"]) for record in records if record.row["timestamp"] is not None]
    return datetime.fromtimestamp(min(stamps), UTC).date().isoformat() if stamps else "unknown"


def table(lines: Sequence[Line], batches: Sequence[int], figure: Figure) -> str:
    """Return one table."""
    header = [*SETTING, *(f"batch {batch}" for batch in batches), "run", "in doubt"]
    rows = [
        [*map(text, key), *(cell(cells.get(batch), figure) for batch in batches), run, notes(cells)]
        for run, key, cells in lines
    ]
    return markdown(header, rows, range(len(SETTING) - 1, len(SETTING) + len(batches)))


def cell(row: Mapping[str, Any] | None, figure: Figure) -> str:
    """Return a figure with its interval, and a sign of doubt."""
    if row is None:
        return ""
    band = figure(row)
    if band is None:
        return "failed" if row["status"] == "ERR" else ""
    value = plus_minus(*band) if band[1] < band[2] else significant(band[0])
    return value + (DOUBT if doubt(row) else "")


def latency(row: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """Return milliseconds a batch with the interval."""
    value = median(row)
    if value is None:
        return None
    low, high = (row["statistics"] or {}).get("interval") or (value, value)
    return value, low, high


def throughput(row: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """Return sequences a second with the interval."""
    band = latency(row)
    if band is None or min(band) <= 0:
        return None
    value, low, high = (1000 * row["batch"] / milliseconds for milliseconds in band)
    return value, high, low


def doubt(row: Mapping[str, Any]) -> str:
    """Return in a word or two why a figure should not be trusted; nothing where it can be."""
    statistics = row["statistics"] or {}
    if row["status"] == "ERR":
        return f"failed ({text((row['error'] or {}).get('type'))})"
    if row["status"] != "OK":
        return {"PARTIAL": "cut off", "SIMULATED": "simulated"}.get(row["status"], row["status"])
    return "" if statistics.get("stable") else text(statistics.get("reason")).partition(":")[0] or "no statistics"


def notes(cells: Mapping[int, Mapping[str, Any]]) -> str:
    """Return the doubts of a line: each, with the batch sizes that it is about."""
    found: dict[str, list[str]] = {}
    for batch in sorted(cells):
        if reason := doubt(cells[batch]):
            found.setdefault(reason, []).append(str(batch))
    return "; ".join(f"{reason}: batch {', '.join(batches)}" for reason, batches in found.items())
