"""Plots of single repetitions: their series, and their distribution."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fmbench import stats
from fmbench.figures import significant

from . import canvas
from .points import Point, spread

PANELS = 6
MOST = 7  # distributions in one plot
MILLISECOND = 1e6
NO_REPETITIONS = "no result has its repetitions; logs have them, JSON does not"


def with_repetitions(points: Sequence[Point], most: int) -> list[Point]:
    """Return the points that have repetitions, some of them evenly spread where there are many."""
    return spread([point for point in points if len(point.result.durations) > 1], most)


def series(points: Sequence[Point], subtitle: str) -> Figure | str:
    """Return every repetition in order, a panel a shape, with the cold start and the outliers."""
    shown = with_repetitions(points, PANELS)
    if not shown:
        return NO_REPETITIONS
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)
    title = f"Repetitions in order: {count_text(shown, points)}"
    made, axes = canvas.figure(title, "", rows, columns, height=2.0 + 1.9 * rows)
    for panel, point in zip(axes, shown, strict=False):
        draw_series(panel, point)
    for panel in axes[len(shown) :]:
        panel.set_axis_off()
    for panel in axes[max(0, len(shown) - columns) : len(shown)]:
        panel.set_xlabel("repetition")
    made.supylabel("latency (ms a batch)", fontsize=10)
    handles = axes[0].get_legend_handles_labels()
    made.legend(*handles, loc="outside lower left", ncols=5, title=subtitle or None, alignment="left")
    return made


def count_text(shown: Sequence[Point], points: Sequence[Point]) -> str:
    """Return how many shapes are shown, of how many."""
    known = sum(len(point.result.durations) > 1 for point in points)
    return f"{len(shown)} of {known} shapes" if len(shown) < known else f"{known} shape{'s' if known > 1 else ''}"


def draw_series(axes: Axes, point: Point) -> None:
    """Draw the repetitions of one shape."""
    values = np.asarray(point.result.durations, dtype=float) / MILLISECOND
    numbers = np.arange(1, len(values) + 1)
    dropped = stats.dropped(len(values))
    kept = values[dropped:]
    middle = float(np.median(kept))
    limit = 3.5 * stats.deviation(kept.tolist(), middle) / 0.6745
    outlying = (np.abs(values - middle) > limit) & (numbers > dropped)
    axes.axvspan(0.5, dropped + 0.5, color="#DDDDDD", linewidth=0, label="left out", zorder=0)
    axes.axhspan(*point.interval, color=canvas.COLOURS[0], alpha=0.25, linewidth=0, label="95% interval")
    axes.axhline(middle, color=canvas.COLOURS[0], linewidth=1, label="median")
    axes.plot(numbers, values, color="#333333", marker=".", linestyle="-", linewidth=0.5, markersize=3)
    top = float(kept.max() + 0.3 * max(kept.max() - kept.min(), 0.01 * middle))
    bottom = float(kept.min() - 0.2 * max(kept.max() - kept.min(), 0.01 * middle))
    axes.set_ylim(bottom, top)  # a cold start that took ten times as long leaves room for the others
    shown = min(max(values[0], bottom), top)
    cold: dict[str, Any] = {"color": canvas.WARNING, "marker": "X", "linestyle": "", "markersize": 7, "clip_on": False}
    axes.plot(1, shown, label="cold start, with its time", zorder=5, **cold)
    axes.annotate(
        significant(float(values[0]), digits=4), (1, shown), xytext=(7, -8), textcoords="offset points", fontsize=8
    )
    hollow: dict[str, Any] = {"marker": "o", "mfc": "none", "linestyle": "", "markersize": 7}
    axes.plot(numbers[outlying], values[outlying], color=canvas.WARNING, label="outlier", **hollow)
    axes.set_xlim(0.5, len(values) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(canvas.shorten(shape_title(point), 48), loc="left", fontsize=10, color="black")


def shape_title(point: Point) -> str:
    """Return what a shape is called."""
    return ": ".join(part for part in (f"input {point.input}, batch {point.batch}", point.name) if part)


def distribution(points: Sequence[Point], subtitle: str) -> Figure | str:
    """Return the share of repetitions that took at most so long, relative to the median of their shape."""
    shown = with_repetitions(points, MOST)
    if not shown:
        return NO_REPETITIONS
    made, (axes,) = canvas.figure(f"Distribution of repetitions: {count_text(shown, points)}", subtitle)
    last = 1.0
    for number, point in enumerate(shown):
        kept = np.sort(np.asarray(stats.settled(point.result.durations), dtype=float)) / MILLISECOND
        relative = kept / np.median(kept)
        last = max(last, float(np.quantile(relative, 0.99)))
        look = {key: value for key, value in canvas.style(number).items() if key != "marker"}
        axes.ecdf(
            relative,
            label=canvas.shorten(f"{significant(float(np.median(kept)))} ms, {shape_title(point)}", 75),
            **look,
        )
    axes.set_xlim(right=min(axes.get_xlim()[1], 1 + 1.6 * (last - 1) + 0.01))
    axes.set_xlabel("latency over the median of the shape")
    axes.set_ylabel("share of repetitions")
    canvas.legend(made, axes)
    return made
