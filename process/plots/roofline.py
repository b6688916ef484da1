"""The roofline: what the device could compute at each intensity, and what the shapes reached."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fmbench.figures import significant
from fmbench.markdown import harmless

from ..writing.columns import text_of
from . import canvas
from .points import Point, spread

GIGA = 1e9
APART = 0.2  # points nearer than this, in natural logarithms, share one number

Limits = tuple[str, float, float]  # dtype, FLOP/s, bytes/s


def roofline(points: Sequence[Point], subtitle: str) -> Figure | str:
    """Return the plot, or why there is none."""
    placed = [(point, place) for point in points if (place := place_of(point)) is not None]
    limits = sorted({limit for point in points if (limit := limits_of(point)) is not None})
    if not placed or not limits:
        return "no result has it; measure with --ceiling"
    made, (axes,) = canvas.figure("Roofline", subtitle)
    for which in ("x", "y"):
        canvas.log_axis(axes, which)
    draw_points(axes, placed)
    draw_roofs(axes, limits, [x for _, (x, _) in placed])
    if not all(point.sure for point, _ in placed):
        canvas.remark(axes, canvas.HOLLOW)
    low, high = axes.get_ylim()
    axes.set_ylim(low / 1.3, high * 1.3)
    axes.set_xlabel("intensity (FLOP a byte); numbers at the points are input sizes")
    axes.set_ylabel("performance (GFLOP/s)")
    canvas.legend(made, axes)
    return made


def place_of(point: Point) -> tuple[float, float] | None:
    """Return intensity and GFLOP/s of a shape."""
    standing = point.result.row["roofline"] or {}
    flops, moved, achieved = (standing.get(key) for key in ("flops", "bytes", "achieved_flops_per_second"))
    known = all(value is not None and value > 0 for value in (flops, moved, achieved))  # what a log axis can show
    return (flops / moved, achieved / GIGA) if known else None  # type: ignore[operator]


def limits_of(point: Point) -> Limits | None:
    """Return the ceiling above a shape."""
    ceiling: dict[str, Any] = (point.result.row["roofline"] or {}).get("ceiling") or {}
    flops, moved = ceiling.get("flops_per_second"), ceiling.get("bytes_per_second")
    known = all(value is not None and value > 0 for value in (flops, moved))
    return (harmless(text_of(ceiling.get("dtype"))), flops, moved) if known else None  # type: ignore[return-value]


def draw_points(axes: Axes, placed: Sequence[tuple[Point, tuple[float, float]]]) -> None:
    """Draw the shapes: a sign for each configuration and batch size."""
    groups: dict[tuple[str, int], list[tuple[Point, tuple[float, float]]]] = {}
    for point, place in sorted(placed, key=lambda pair: (pair[0].name, pair[0].batch, pair[0].input)):
        groups.setdefault((point.name, point.batch), []).append((point, place))
    shown = spread(list(groups.items()), canvas.MOST_LINES)
    names = list(dict.fromkeys(name for (name, _), _ in shown))
    batches = sorted({batch for (_, batch), _ in shown})
    taken: list[tuple[float, float]] = []
    for (name, batch), members in shown:
        look = canvas.style(batches.index(batch)) | {"linestyle": "", "marker": canvas.MARKERS[names.index(name) % 7]}
        label = ", ".join(part for part in (name, f"batch {batch}") if part)
        axes.plot(*zip(*(place for _, place in members), strict=True), label=canvas.shorten(label, 60), **look)
        canvas.draw_hollow(axes, [place for point, place in members if not point.sure], look)
        for point, (x, y) in members:
            if all(math.hypot(math.log(x / left), math.log(y / above)) > APART for left, above in taken):
                taken.append((x, y))
                axes.annotate(f"{point.input}", (x, y), xytext=(5, -9), textcoords="offset points", fontsize=8)


def draw_roofs(axes: Axes, limits: Sequence[Limits], intensities: Sequence[float]) -> None:
    """Draw the ceilings from left of the leftmost shape to right of the rightmost, the ridge included."""
    ridges = [flops / moved for _, flops, moved in limits]
    x = np.geomspace(min(*intensities, *ridges) / 3, max(*intensities, *ridges) * 3, 300)
    for number, (dtype, flops, moved) in enumerate(limits):
        label = f"limit, {dtype}: {significant(flops / GIGA)} GFLOP/s, {significant(moved / GIGA)} GB/s"
        y = np.minimum(flops, moved * x) / GIGA
        axes.plot(x, y, color="#333333", linestyle=canvas.STYLES[number % 4], linewidth=1.5, label=label, zorder=1)
