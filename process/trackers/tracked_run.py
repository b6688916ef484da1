"""What an experiment tracker is told of one driver run: parameters, figures, plots."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fmbench.secrets import is_masked, masked

from ..comparing.variant_names import VariantNames
from ..reading.row import Result
from ..workload import workload_of
from ..writing.columns import cells, text_of
from ..writing.openmetrics import figures_of

PROJECT = "fmbench"  # where nobody names another
Parameter = str | int | float | bool

# A figure of a shape is told twice: over batch sizes, a name an input size, and over input sizes, a name a batch size.
AXES = {"batch_size": ("batch", "input"), "input_size": ("input", "batch")}
NAMED = ("model", "model_class", "precision", "metadata_id")
ODD = re.compile(r"[^\w.\- ]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Figure:
    """One point of a chart: `step` is the size that `axis` names, `time` when it was measured (epoch seconds)."""

    name: str
    axis: str
    step: int
    value: float
    time: float


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """One driver run, as every tracker shows it. `started` and `ended` are seconds since the epoch."""

    name: str
    started: float
    ended: float
    parameters: Mapping[str, Parameter]
    totals: Mapping[str, float]
    figures: Sequence[Figure]
    plots: Sequence[Path] = ()


def runs_in(results: Iterable[Result]) -> Iterator[list[Result]]:
    """Yield the results of each driver run: those that follow each other with the same log and command line.

    A shape, or whatever else was measured, that comes again begins another run.
    """
    run: list[Result] = []
    seen: set[tuple[Any, ...]] = set()
    for result in results:
        row = result.row
        place = (row["input"], row["batch"], row["variant"], workload_of(row).label(row))
        other = run and (run[-1].source, run[-1].row["opts"]) != (result.source, result.row["opts"])
        if other or place in seen:
            yield run
            run, seen = [], set()
        run.append(result)
        seen.add(place)
    if run:
        yield run


def track(results: Sequence[Result], plots: Sequence[Path] = ()) -> TrackedRun:
    """Return what is told of one run, which has a result at least."""
    times = [time_of(result) for result in results]
    known = [time for time in times if time] or [datetime.now(UTC).timestamp()]
    ended = max(time + sum(result.durations) / 1e9 for time, result in zip(times, results, strict=True))
    return TrackedRun(
        name_of(results, known[0]), known[0], max(ended, known[0]), parameters(results), totals(results),
        list(figures(results)), plots,
    )  # fmt: skip


def time_of(result: Result) -> float:
    """Return when a shape was begun, in seconds since the epoch; 0 where that is not known."""
    timestamp = result.row["timestamp"]
    return 0.0 if timestamp is None else float(timestamp)


def name_of(results: Sequence[Result], started: float) -> str:
    """Return what a run is called: model, platform, dtype and start. It can be the name of a folder."""
    row = results[0].row
    moment = datetime.fromtimestamp(started, UTC).strftime("%Y%m%dT%H%M%SZ")
    platform = (row["environment"] or {}).get("platform")
    parts = [text_of(row["model"]).rpartition("/")[2], text_of(platform), text_of(row["precision"]), moment]
    return "_".join(ODD.sub("-", part)[:60].lstrip(".") for part in parts if part)


def parameters(results: Sequence[Result]) -> dict[str, Parameter]:
    """Return arguments and facts under flat names that every tracker takes; null is left out.

    A fact that differs between the variants of a run has the variant's name behind its own.
    """
    found: dict[str, Parameter] = {"log": Path(results[0].source).name}
    found |= {parameter_name(f"argument.{key}"): text for key, text in arguments(results[0].row["opts"]).items()}
    variants = VariantNames()
    rows = {variants.label(result): cells(result.row) for result in results}
    names = dict.fromkeys(name for row in rows.values() for name in row if is_fact(name))
    for name in names:
        values = {variant: row.get(name) for variant, row in rows.items()}
        alike = len({text_of(value) for value in values.values()}) == 1
        for variant, value in values.items():
            if value is not None:
                found[parameter_name(name if alike else f"{name}.variant_{variant}")] = plain(value)
    return found


def is_fact(name: str) -> bool:
    """Whether a column holds something that is a parameter."""
    return name in NAMED or name.startswith("environment.")


def arguments(options: Iterable[str]) -> dict[str, str]:
    """Return the command line by key; what was said several times is told in one text."""
    found: dict[str, list[str]] = {}
    for option in options:
        key, _, value = option.removeprefix("--").partition(" ")
        found.setdefault(key, []).append(value if is_masked(value) else masked(key, value))
    return {key: "; ".join(values) for key, values in found.items()}


def parameter_name(text: str) -> str:
    """Return a name of letters, digits, dots, blanks and dashes: `torch.call:x@` becomes `torch.call.x`."""
    return ODD.sub("_", text.replace(":", ".").rstrip("@"))[:250]


def plain(value: Any) -> Parameter:
    """Return a value as trackers keep it: a list as JSON, and a number beyond all measures as text."""
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**53):
        return value
    return text_of(value)


def totals(results: Sequence[Result]) -> dict[str, float]:
    """Return the figures of the run as a whole, and of everything in it that has no sizes, such as a data set."""
    shapes = [result for result in results if has_sizes(result.row)]
    failed = sum(result.row["status"] == "ERR" for result in shapes)
    doubted = sum(result.row["itl"] is not None and not is_trusted(result) for result in shapes)
    found = {"shapes": len(shapes), "shapes_failed": failed, "shapes_in_doubt": doubted} if shapes else {}
    for row in (result.row for result in results if not has_sizes(result.row)):
        label = parameter_name(workload_of(row).label(row))
        found |= {f"{name}/{label}": value for name, value in chart_figures(row)}
    if (setup := results[0].row["setup"]) is not None:
        found["setup_seconds"] = setup
    return {name: float(value) for name, value in found.items()}


def has_sizes(row: Mapping[str, Any]) -> bool:
    """Whether a row is of a shape, whose figures are told over its sizes."""
    return row["input"] is not None and row["batch"] is not None


def is_trusted(result: Result) -> bool:
    """Whether a median can be is_trusted."""
    return result.row["status"] == "OK" and (result.row["statistics"] or {}).get("stable") is True


def figures(results: Sequence[Result]) -> Iterator[Figure]:
    """Yield every figure of every shape over both sizes, from the smallest size on."""
    variants = VariantNames()
    shapes = [result for result in results if has_sizes(result.row)]
    for axis, (over, each) in AXES.items():
        for result in sorted(shapes, key=lambda result: (result.row[over], result.row[each])):
            row, time, label = result.row, time_of(result), variants.label(result)
            variant = "" if label is None else f"variant_{parameter_name(label)}/"
            for name, value in chart_figures(row):
                yield Figure(f"{name}/{variant}{each}_{row[each]}", axis, row[over], value, time)


def chart_figures(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the figures of one row that trackers chart: each in the unit that its name says, metrics by their names."""
    above = workload_of(row).charted
    metrics = {} if above is None else {name: value for name, value in cells(row).items() if name.startswith(above)}
    named = ((name.removeprefix(f"{above}."), value) for name, value in metrics.items())
    for name, value in (*((gauge.chart, value) for gauge, value in figures_of(row)), *named):
        if name is not None and isinstance(value, int | float) and abs(value) < math.inf:
            yield name, float(value)
