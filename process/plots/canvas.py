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

from ..writing.output import opened
from .points import Line

# Okabe and Ito (2008), Color Universal Design: told apart with every kind of colour vision. Yellow is too pale here.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
WARNING = "#D55E00"
GREY = "#666666"
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
STYLES = ("-", "--", ":", "-.")
SIZE = (8.0, 5.0)  # inches; at 100 pixels an inch, 800 pixels wide
# Of a legend, in inches: sign and gaps, a letter of the usual width, a row.
KEY_WIDTH, LETTER_WIDTH, ROW_HEIGHT = 0.62, 0.07, 0.19
FORMATS = ("png", "svg")
MOST_LINES = 21
HOLLOW = "hollow: not to be trusted (see statistics.reason)"
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
    first.set_title(shorten(subtitle, 110), loc="left", fontsize=10, color=GREY)
    return made, list(axes.flat)


def shorten(text: str, most: int) -> str:
    """Return a text, cut where it is too long."""
    return text if len(text) <= most else text[: most - 3] + "..."


def save(made: Figure, folder: Path, name: str, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write a figure in some formats. Raises UsageError where that cannot be done."""
    paths = [folder / f"{name}.{form}" for form in formats]
    for path, form in zip(paths, formats, strict=True):
        data = io.BytesIO()
        made.savefig(data, format=form, metadata={"Date": None} if form == "svg" else {"Software": None})
        with opened(path) as stream:
            stream.buffer.write(data.getvalue())
    return paths


def style(colour: int, turn: int = 0) -> dict[str, Any]:
    """Return how a line is drawn: its colour, and a marker and a line style that change with every turn of these."""
    again = colour // len(COLOURS)
    look_of = {"color": COLOURS[colour % len(COLOURS)], "marker": MARKERS[(colour + again) % len(MARKERS)]}
    return look_of | {"linestyle": STYLES[(turn + again) % len(STYLES)]}


def draw_lines(axes: Axes, lines: Sequence[Line]) -> None:
    """Draw lines with their bands; a point that should not be trusted is hollow."""
    for line in lines:
        look_of = style(*line.place)
        axes.plot(line.x, line.y, label=shorten(line.label, 60), **look_of)
        if any(low < high for low, high in zip(line.low, line.high, strict=True)):
            axes.fill_between(line.x, line.low, line.high, color=look_of["color"], alpha=0.25, linewidth=0)
        places = zip(line.x, line.y, line.sure, strict=True)
        draw_hollow(axes, [(x, y) for x, y, sure in places if not sure], look_of)


def draw_hollow(axes: Axes, places: Sequence[tuple[float, float]], look_of: dict[str, Any]) -> None:
    """Draw points that should not be trusted over those that are there."""
    if places:
        signs = {key: look_of[key] for key in ("color", "marker")}
        axes.plot(*zip(*places, strict=True), linestyle="", mfc="white", zorder=4, **signs)


def legend(made: Figure, axes: Axes) -> None:
    """Add a legend below the plot, in as many columns as there is room for; many rows make the figure taller."""
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) < 2:
        return
    columns = max(1, min(len(labels), int(SIZE[0] / (KEY_WIDTH + LETTER_WIDTH * max(map(len, labels))))))
    rows = math.ceil(len(labels) / columns)
    made.set_figheight(made.get_figheight() + ROW_HEIGHT * max(0, rows - 3))
    made.legend(handles, labels, loc="outside lower left", ncols=math.ceil(len(labels) / rows))


def footer(axes: Axes, lines: Sequence[Line]) -> str:
    """Return what the signs mean."""
    parts = []
    if any(low < high for line in lines for low, high in zip(line.low, line.high, strict=True)):
        parts.append("band: 95% interval")
    if not all(itertools.chain.from_iterable(line.sure for line in lines)):
        parts.append(HOLLOW)
    return "; ".join(parts)


def remark(axes: Axes, text: str) -> None:
    """Write above the plot what its signs mean."""
    axes.set_title(text, loc="right", fontsize=8, color=GREY)


def sizes_axis(axes: Axes, values: Sequence[float]) -> None:
    """Make x a logarithmic axis of sizes, with a tick at each of them as far as there is room."""
    ticks = sorted(set(values))
    axes.set_xscale("log", base=2)
    least = (ticks[-1] / ticks[0]) ** (1 / 12)
    chosen = ticks[:1]
    for tick in ticks[1:]:
        chosen += [tick] if tick >= least * chosen[-1] else []
    axes.set_xticks(chosen, [f"{tick:g}" for tick in chosen])
    axes.xaxis.set_minor_formatter(NullFormatter())


def amounts_axis(axes: Axes, values: Sequence[float], which: str = "y") -> None:
    """Make an axis logarithmic where its values span much, else begin it at 0."""
    positive = [value for value in values if value > 0]
    if positive and max(positive) > 8 * min(positive):
        log_axis(axes, which, (1, 3) if which == "x" and max(positive) > 100 * min(positive) else (1, 2, 5))
    elif which == "y":
        axes.set_ylim(0, 1.05 * axes.get_ylim()[1])  # a point on the edge would be cut
    else:
        axes.set_xlim(left=0)


def log_axis(axes: Axes, which: str, subs: Sequence[float] = (1, 2, 5)) -> None:
    """Make an axis logarithmic, with plain numbers at its ticks."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    (axes.set_yscale if which == "y" else axes.set_xscale)("log")
    axis.set_major_locator(LogLocator(10, subs=subs))
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}" if value < 1e6 else f"{value:.0e}"))
