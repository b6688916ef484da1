"""Drift by layer: how far each tensor of a probe is off, in execution order. Imports matplotlib."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from ..reading.row import Result
from . import canvas

MOST_LABELS, MOST_PANELS = 40, 20
HEIGHT = 3.2  # inches of a panel
NONE = "no tensor of floating-point numbers differs"
SERIES = {
    "max |a-b|": lambda found: found.get("max_abs"),
    "mean |a-b|": lambda found: found.get("mean_abs"),
    "1 - min cosine": lambda found: 1 - found["min_cosine"],
}

Said = Mapping[str, Any]


def drift(results: Sequence[Result]) -> Figure | str:
    """Return a panel for each probe of a comparison that has a tensor which differs, or why there is none."""
    panels = panels_of(results)
    if not panels:
        return NONE
    shown = list(panels.items())[:MOST_PANELS]
    left_out = f" (the first {MOST_PANELS} of {len(panels)} probes that differ)" if len(panels) > MOST_PANELS else ""
    made, axes = canvas.figure(f"Drift by layer{left_out}", "", rows=len(shown), height=HEIGHT * len(shown) + 0.6)
    for (names, members), panel in zip(shown, axes, strict=True):
        draw(panel, members)
        panel.set_title(f"{': '.join(names)}, in execution order (hollow: zero)", loc="left", fontsize=10)
    canvas.legend(made, axes[0])
    return made


def panels_of(results: Sequence[Result]) -> dict[tuple[str, ...], list[Said]]:
    """Return by comparison and probe the tensors that could be compared as numbers, where one of them differs."""
    panels: dict[tuple[str, ...], list[Said]] = {}
    for row in (result.row for result in results):
        found = row["fidelity"]
        if found["kind"] == "tensor" and found.get("min_cosine") is not None:
            sides = f"{row['variant']} against {found['reference']}" if found.get("reference") else ""
            key = tuple(part for part in (sides, str(found.get("probe"))) if part)
            panels.setdefault(key, []).append(found)
    return {key: members for key, members in panels.items() if any(one["verdict"] != "equal" for one in members)}


def draw(axes: Axes, members: Sequence[Said]) -> None:
    """Draw one probe: differences on a logarithmic axis; hollow signs at its bottom are zero."""
    values = {label: [drawable(value(found)) for found in members] for label, value in SERIES.items()}
    positive = [value for line in values.values() for value in line if value > 0]
    floor = 10 ** (math.floor(math.log10(min(positive, default=1e-8))) - 1)
    for number, (label, line) in enumerate(values.items()):
        look_of = canvas.style(number) | {"linestyle": "-"}
        heights = [max(value, floor) for value in line]
        axes.plot(range(len(heights)), heights, markersize=4, linewidth=1, label=label, **look_of)
        canvas.draw_hollow(axes, [(place, floor) for place, value in enumerate(line) if value <= 0], look_of)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(floor / 2, max(positive, default=1e-6) * 3)
    step = math.ceil(len(members) / MOST_LABELS)
    names = [str(found["artifact"]).partition("/")[2] for found in members[::step]]
    axes.set_xticks(range(0, len(members), step), names, rotation=45, ha="right", rotation_mode="anchor")


def drawable(value: float | None) -> float:
    """Return a value that can be drawn."""
    return value if value is not None and math.isfinite(value) else 0.0
