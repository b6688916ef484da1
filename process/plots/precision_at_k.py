"""The precision curve under its ceiling: what a retriever misses, and what no retriever could reach."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..reading.row import Result
from . import canvas

NONE = "no result has a precision curve"


def precision(results: Sequence[Result]) -> Figure | str:
    """Return precision at k with its interval, and its ceiling dashed in the same colour; or why there is none."""
    curves = [(name_of(one.row), curve) for one in results if (curve := curve_of(one.row)) is not None]
    if not curves:
        return NONE
    made, (axes,) = canvas.figure("Precision at k, under its ceiling", "")
    for number, (name, curve) in enumerate(curves[: canvas.MOST_LINES]):
        draw(axes, number, name, curve)
    canvas.sizes_axis(axes, [k for _, curve in curves for k in curve["k"]])
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("k (first results looked at)")
    axes.set_ylabel("share of the first k that is relevant")
    shown = min(len(curves), canvas.MOST_LINES)
    notes = ["dashed: ceiling, a perfect retriever", "band: 95% interval"]
    notes += [f"{shown} of {len(curves)} curves"] * (shown < len(curves))
    axes.set_title("; ".join(notes), loc="right", fontsize=8, color=canvas.GREY)
    canvas.legend(made, axes)
    return made


def curve_of(row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the curve of a result, or None where it has none."""
    quality = (row.get("retrieval") or {}).get("quality") or {}
    return quality.get("precision_curve")


def name_of(row: Mapping[str, Any]) -> str:
    """Return what a result is called: its model and its data set."""
    return ", ".join(str(part) for part in (row.get("model"), row["retrieval"].get("dataset")) if part)


def draw(axes: Axes, number: int, name: str, curve: Mapping[str, Any]) -> None:
    """Draw one curve, its interval and its ceiling."""
    look = canvas.style(number)
    label = f"{name} (to depth {curve['retrieved_depth']})" if "retrieved_depth" in curve else name
    axes.plot(curve["k"], curve["precision"], label=canvas.shorten(label, 60), **look)
    band = (curve.get("intervals") or {}).get("precision")
    if band:
        low, high = zip(*band, strict=True)
        axes.fill_between(curve["k"], low, high, color=look["color"], alpha=0.25, linewidth=0)
    axes.plot(curve["k"], curve["ceiling"], color=look["color"], linestyle="--", linewidth=1, zorder=1)
