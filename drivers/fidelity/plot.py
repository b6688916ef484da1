"""Drift by layer: how far each tensor is off, in execution order. A picture in SVG."""

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .comparison import Comparison, Row
from .difference import Difference

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LABELS = 40
WIDTH, HEIGHT = 10.0, 3.2  # inches: of the picture, and of one probe
# Okabe and Ito (2008), Color Universal Design.
SERIES = (
    ("max |a-b|", "#0072B2", "o", lambda found: found.max_abs),
    ("mean |a-b|", "#E69F00", "s", lambda found: found.mean_abs),
    ("1 - min cosine", "#009E73", "^", lambda found: 1 - found.min_cosine),
)
LOOK: Any = {"text.parse_math": False, "svg.hashsalt": "fmbench", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}


def drift_svg(found: Comparison) -> str | None:
    """Return the picture: a panel for each probe with floating-point tensors, or None where there is no such tensor."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    panels = panels_of(found.rows)
    if not panels:
        return None
    with mpl.rc_context(LOOK):
        figure = Figure(figsize=(WIDTH, HEIGHT * len(panels) + 0.4), layout="constrained")
        axes = figure.subplots(len(panels), 1, squeeze=False)
        for (probe, members), panel in zip(panels.items(), axes.flat, strict=True):
            draw(panel, probe, members)
        figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside upper right", ncols=3, frameon=False)
        picture = io.StringIO()
        figure.savefig(picture, format="svg", metadata={"Date": None})
    text = picture.getvalue()
    return text[text.index("<svg") :]


def panels_of(rows: Sequence[Row]) -> dict[str, list[tuple[str, Difference]]]:
    """Return by probe the tensors that could be compared as numbers, by name."""
    panels: dict[str, list[tuple[str, Difference]]] = {}
    for row in rows:
        if row.difference is not None and row.difference.min_cosine is not None:
            panels.setdefault(row.artifact.probe, []).append((row.artifact.name, row.difference))
    return panels


def draw(axes: "Axes", probe: str, members: Sequence[tuple[str, Difference]]) -> None:
    """Draw one probe: differences on a logarithmic axis; hollow signs at its bottom are zero."""
    from matplotlib.ticker import NullFormatter

    values = {label: [finite(value(found)) for _, found in members] for label, _, _, value in SERIES}
    positive = [value for line in values.values() for value in line if value > 0]
    floor = 10 ** (math.floor(math.log10(min(positive, default=1e-8))) - 1)
    for label, colour, marker, _ in SERIES:
        heights = [max(value, floor) for value in values[label]]
        places = range(len(heights))
        axes.plot(places, heights, color=colour, marker=marker, markersize=4, linewidth=1, label=label)
        zeros = [place for place in places if values[label][place] <= 0]
        axes.plot(zeros, [floor] * len(zeros), linestyle="", color=colour, marker=marker, markersize=4, mfc="white")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(floor / 2, max(positive, default=1e-6) * 3)
    axes.set_title(f"{probe}: in execution order (hollow: zero)", loc="left", fontsize=10)
    step = math.ceil(len(members) / MOST_LABELS)
    axes.set_xticks(
        range(0, len(members), step),
        [name for name, _ in members[::step]],
        rotation=45,
        ha="right",
        rotation_mode="anchor",
    )


def finite(value: float) -> float:
    """Return a value that can be drawn."""
    return value if math.isfinite(value) else 0.0
