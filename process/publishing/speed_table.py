"""The tables of the published results: a row a setting and input size, a column a batch size."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fmbench.figures import plus_minus, significant
from fmbench.markdown import harmless, markdown

from ..reading.row import Result
from ..writing.columns import text_of
from ..writing.view import median, text

GIBIBYTE = 2**30
DOUBT = "*"

Runs = Sequence[tuple[str, Sequence[Result]]]  # the footnote of each run, and its results
Line = tuple[str, int, str, dict[int, Mapping[str, Any]]]  # configuration, input size, footnote, results by batch size
Figure = Callable[[Mapping[str, Any]], tuple[float, float, float] | None]


def machine_facts(results: Sequence[Result]) -> str:
    """Return what the machine is, from the facts of its runs."""
    environments = [result.row["environment"] or {} for result in results]
    memory = [facts.get("memory_bytes") for facts in environments]
    parts = [
        together(facts.get("device_name") for facts in environments),
        together(facts.get("cpu") for facts in environments),
        # makers call several generations of CPUs by one name: this tells which one it is
        together(f"stepping {known}" if (known := facts.get("cpu_stepping")) else None for facts in environments),
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


def tables(runs: Runs, names: Mapping[str, str]) -> dict[str, str]:
    """Return the tables of one model in Markdown by their titles: a line a configuration and input size.

    `names` are those of configurations, by id.
    """
    batches = sorted({result.row["batch"] for _, results in runs for result in results if result.row["batch"]})
    if not batches:
        return {}
    lines = sorted((line for run in runs for line in lines_of(*run, names)), key=lambda line: line[:3])
    return {
        "latency, milliseconds a batch": table(lines, batches, latency),
        "throughput, sequences a second": table(lines, batches, throughput),
    }


def lines_of(footnote: str, results: Sequence[Result], names: Mapping[str, str]) -> list[Line]:
    """Return the lines of one run: its results by configuration, input size and batch size."""
    found: dict[tuple[str, int], dict[int, Mapping[str, Any]]] = {}
    for row in (result.row for result in results):
        if row["batch"] and row["input"]:
            name = names.get(row["configuration"] or "", "unknown")
            found.setdefault((name, row["input"]), {})[row["batch"]] = row
    return [(name, size, footnote, cells) for (name, size), cells in found.items()]


def table(lines: Sequence[Line], batches: Sequence[int], figure: Figure) -> str:
    """Return one table."""
    header = ["configuration", "input", *(f"batch {batch}" for batch in batches), "in doubt"]
    rows = [
        [name, text(size), *(cell(cells.get(batch), figure) for batch in batches), notes(cells)]
        for name, size, _, cells in lines
    ]
    marks = " ".join(dict.fromkeys(footnote for _, _, footnote, _ in lines))
    return f"{markdown(header, rows, range(1, len(batches) + 2))}\nFrom {marks}\n"


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
