"""Many students side by side: what each keeps of the teacher's quality, and how much faster it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmbench.table import table

HEADER = ("student", "kept", "95% interval", "speed-up", "95% interval", "p50 ms", "p99 ms", "parameters", "Pareto")
RIGHT = (1, 3, 5, 6, 7)


@dataclass(frozen=True)
class Point:
    """One student on one data set: shares of the teacher's quality kept, times faster, each with its interval."""

    name: str
    dataset: str
    kept: float
    kept_interval: tuple[float, float] | None
    speed_up: float
    speed_up_interval: tuple[float, float] | None
    latency_ms: dict[str, float]
    parameters: int

    @classmethod
    def of(cls, row: dict[str, Any], metric: str) -> "Point":
        """Read what a DST line of `evaluate` says. Raises KeyError for a line without this metric."""
        kept, pair = row["kept"][metric], row["pair"]
        ratio_interval = pair.get("interval")
        return cls(
            name=row["query_model"],
            dataset=row["dataset"],
            kept=kept["share"],
            kept_interval=tuple(kept["interval"]) if kept["interval"] else None,
            speed_up=1 / pair["ratio"],
            speed_up_interval=(1 / ratio_interval[1], 1 / ratio_interval[0]) if ratio_interval else None,
            latency_ms=row["latency_ms"],
            parameters=row["parameters"],
        )


def on_front(points: Sequence[Point]) -> list[bool]:
    """Say which points no other beats: at least as good and as fast, and better in one of the two (Pareto)."""
    return [
        not any(
            other.kept >= point.kept
            and other.speed_up >= point.speed_up
            and (other.kept, other.speed_up) != (point.kept, point.speed_up)
            for other in points
        )
        for point in points
    ]


def frontier_table(points: Sequence[Point]) -> str:
    """Return a table of one data set's students, as text."""
    return table(HEADER, frontier_rows(points), right=RIGHT)


def frontier_rows(points: Sequence[Point]) -> list[tuple[str, ...]]:
    """Return the rows of one data set's students, the fastest first; the last cell marks the Pareto front."""
    marks = dict(zip(map(id, points), on_front(points), strict=True))
    return [
        (
            point.name,
            f"{point.kept:.1%}",
            interval(point.kept_interval, "{:.1%}"),
            f"{point.speed_up:.1f}",
            interval(point.speed_up_interval, "{:.1f}"),
            f"{point.latency_ms['p50']:.3f}",
            f"{point.latency_ms['p99']:.3f}",
            f"{point.parameters:,}",
            "front" if marks[id(point)] else "",
        )
        for point in sorted(points, key=lambda point: -point.speed_up)
    ]


def interval(ends: tuple[float, float] | None, form: str) -> str:
    """Return an interval as text."""
    return "" if ends is None else f"{form.format(ends[0])} to {form.format(ends[1])}"


def plot(points: Sequence[Point], title: str, target: Path) -> None:
    """Draw quality kept against speed-up (logarithmic), with intervals and the front; the file's ending says how."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    marks = on_front(points)
    middle = (min(point.speed_up for point in points) * max(point.speed_up for point in points)) ** 0.5
    for point, front in zip(points, marks, strict=True):
        low, high = point.kept_interval or (point.kept, point.kept)
        colour = "C0" if front else "0.6"
        axes.errorbar(
            point.speed_up, 100 * point.kept, yerr=[[100 * (point.kept - low)], [100 * (high - point.kept)]],
            fmt="o" if front else "x", color=colour, capsize=3,
        )  # fmt: skip
        side, shift = ("right", -6) if point.speed_up > middle else ("left", 6)  # labels stay inside
        axes.annotate(
            point.name, (point.speed_up, 100 * point.kept), xytext=(shift, 4), textcoords="offset points", ha=side
        )
    line = sorted((point.speed_up, 100 * point.kept) for point, front in zip(points, marks, strict=True) if front)
    axes.plot(*zip(*line, strict=True), color="C0", linewidth=1, zorder=0)
    axes.axhline(100, color="0.8", linewidth=1, zorder=0)
    axes.set_xscale("log")
    axes.margins(x=0.1)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="times faster than the teacher (median query)", ylabel="quality kept, %", title=title)
    figure.savefig(target, dpi=150)
