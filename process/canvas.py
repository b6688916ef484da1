"""How plots look, and how they are saved. Imports matplotlib."""

import io
import itertools
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from .output import opened
from .series import Line

# Okabe and Ito (2008), Color Universal Design: told apart with every kind of colour vision. Yellow is too pale here.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
WARNING = "#D55E00"
GREY = "#666666"
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
STYLES = ("-", "--", ":", "-.")
SIZE = (8.0, 5.0)  # inches; at 100 pixels an inch, 800 pixels wide
FORMATS = ("png", "svg")
MOST_LINES = 21
LOOK: Any = {
    "font.size": 10, "axes.titlesize": 12, "axes.grid": True, "grid.alpha": 0.3, "axes.spines.top": False,
    "axes.spines.right": False, "legend.frameon": False, "legend.fontsize": 9, "lines.markersize": 5,
    "text.parse_math": False, "svg.hashsalt": "fmbench", "savefig.dpi": 150,
}  # fmt: skip


@contextmanager
def look() -> Iterator[None]:
    """Draw in the house's style. A name in a script that no font has is no reason for a warning."""
    with mpl.rc_context(LOOK), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        yield


def figure(
    title: str, subtitle: str, rows: int = 1, columns: int = 1, height: float = SIZE[1]
) -> tuple[Figure, list[Axes]]:
    """Return an empty figure with its titles."""
    made = Figure(figsize=(SIZE[0], height), layout="constrained")
    axes = made.subplots(rows, columns, squeeze=False)
    made.suptitle(title, fontsize=13, fontweight="bold", x=0.01, ha="left")
    first = axes[0][0]
    first.set_title(shortened(subtitle, 110), loc="left", fontsize=10, color=GREY)
    return made, list(axes.flat)


def shortened(text: str, most: int) -> str:
    """Return a text, cut where it is too long."""
    return text if len(text) <= most else text[: most - 3] + "..."


def save(made: Figure, folder: Path, name: str, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write a figure in some formats. Raises UsageError where that cannot be done."""
    paths = [folder / f"{name}.{form}" for form in formats]
    for path, form in zip(paths, formats, strict=True):
        data = io.BytesIO()
        made.savefig(data, format=form, metadata={"Date": None} if form == "svg" else {})
        with opened(path) as stream:
            stream.buffer.write(data.getvalue())
    return paths


def style(colour: int, turn: int = 0) -> dict[str, Any]:
    """Return how a line is drawn: its colour and marker, and a line style that changes with every turn of them."""
    look_of = {"color": COLOURS[colour % len(COLOURS)], "marker": MARKERS[colour % len(MARKERS)]}
    return look_of | {"linestyle": STYLES[(turn + colour // len(COLOURS)) % len(STYLES)]}


def draw_lines(axes: Axes, lines: Sequence[Line]) -> None:
    """Draw lines with their bands; a point that should not be trusted is hollow."""
    for line in lines:
        look_of = style(*line.place)
        axes.plot(line.x, line.y, label=shortened(line.label, 60), **look_of)
        if any(low < high for low, high in zip(line.low, line.high, strict=True)):
            axes.fill_between(line.x, line.low, line.high, color=look_of["color"], alpha=0.25, linewidth=0)
        hollow = [(x, y) for x, y, sure in zip(line.x, line.y, line.sure, strict=True) if not sure]
        if hollow:
            axes.plot(
                *zip(*hollow, strict=True),
                linestyle="",
                marker=look_of["marker"],
                color=look_of["color"],
                mfc="white",
                zorder=4,
            )


def legend(made: Figure, axes: Axes, lines: int) -> None:
    """Add a legend: inside for one line or two, below the plot for more."""
    if lines > 1:
        columns = min(3, lines) if max(len(str(label)) for label in axes.get_legend_handles_labels()[1]) < 30 else 2
        made.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=columns)


def footer(axes: Axes, lines: Sequence[Line]) -> str:
    """Return what the signs mean."""
    parts = []
    if any(low < high for line in lines for low, high in zip(line.low, line.high, strict=True)):
        parts.append("band: 95% interval")
    if not all(itertools.chain.from_iterable(line.sure for line in lines)):
        parts.append("hollow: not to be trusted (see statistics.reason)")
    return "; ".join(parts)


def sizes_axis(axes: Axes, values: Sequence[float]) -> None:
    """Make x a logarithmic axis of sizes, with a tick at each of them as far as there is room."""
    ticks = sorted(set(values))
    axes.set_xscale("log", base=2)
    chosen = [tick for place, tick in enumerate(ticks) if place % math.ceil(len(ticks) / 12) == 0]
    axes.set_xticks(chosen, [f"{tick:g}" for tick in chosen])
    axes.xaxis.set_minor_formatter(NullFormatter())


def amounts_axis(axes: Axes, values: Sequence[float], which: str = "y") -> None:
    """Make an axis logarithmic where its values span much, else begin it at 0."""
    positive = [value for value in values if value > 0]
    if positive and max(positive) > 8 * min(positive):
        log_axis(axes, which, (1, 3) if which == "x" and max(positive) > 100 * min(positive) else (1, 2, 5))
    elif which == "y":
        axes.set_ylim(bottom=0)
    else:
        axes.set_xlim(left=0)


def log_axis(axes: Axes, which: str, subs: Sequence[float] = (1, 2, 5)) -> None:
    """Make an axis logarithmic, with plain numbers at its ticks."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    (axes.set_yscale if which == "y" else axes.set_xscale)("log")
    axis.set_major_locator(LogLocator(10, subs=subs))
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}" if value < 1e6 else f"{value:.0e}"))
