"""One figure against another, a point a result: quality against speed, what a student keeps, what a variant changes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..reading.row import Result
from ..workload import Row, workload_of
from ..writing.columns import cells, text_of
from . import canvas

CONFIGURATION = ("model", "environment.platform", "precision")
Band = tuple[float, float, float]  # a figure and the ends of its interval
Value = Callable[[Row], Band | None]


@dataclass(frozen=True, slots=True)
class Panel:
    """What is on the axes. `ratio`: x is how many times as fast, on a logarithmic axis."""

    x: Value
    x_label: str
    y: Value
    y_label: str
    ratio: bool = False


def tradeoff(title: str, results: Sequence[Result], panels: Sequence[Panel], front: bool = False) -> Figure | str:
    """Return a picture of results, or why there is none; with a `front`, a line joins those that no other beats."""
    rows = [result.row for result in results]
    shown = [panel for panel in panels if any(panel.x(row) and panel.y(row) for row in rows)]
    if not shown:
        return f"no result has {panels[0].y_label} and {panels[0].x_label}"
    found = [row for row in rows if any(panel.x(row) and panel.y(row) for panel in shown)]
    made, axes = canvas.figure(title, name_of(found[0]) if len(found) == 1 else "", columns=len(shown))
    for place, panel in zip(axes, shown, strict=True):
        draw(place, panel, found, front)
    canvas.remark(axes[-1], "bar: 95% interval" + ("; line: beaten by none" if front else ""))
    canvas.legend(made, axes[0])
    return made


def draw(axes: Axes, panel: Panel, rows: Sequence[Row], front: bool) -> None:
    """Draw one panel; a result that is not known here still gets its place in the legend."""
    points = []
    for number, row in enumerate(rows):
        signs = canvas.style(number) | {"linestyle": "", "label": name_of(row)}
        x, y = panel.x(row), panel.y(row)
        if x is None or y is None:
            axes.plot([], [], **signs)
            continue
        points.append((x[0], y[0]))
        axes.errorbar(x[0], y[0], xerr=ends(x), yerr=ends(y), capsize=3, **signs)
    if front:
        axes.plot(*zip(*front_of(points), strict=True), color=canvas.GREY, linewidth=1, zorder=0)
    if panel.ratio:
        canvas.log_axis(axes, "x")
        axes.margins(x=0.1)
    else:
        axes.set_xlim(left=0)
    axes.ticklabel_format(axis="y", useOffset=False)  # cosines differ in their last digits
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)


def ends(band: Band) -> list[list[float]]:
    """Return the lengths of both bars of a figure."""
    value, low, high = band
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def front_of(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that no other beats in x without losing in y (Pareto), from the largest x on."""
    found: list[tuple[float, float]] = []
    for point in sorted(points, reverse=True):
        if not found or point[1] > found[-1][1]:
            found.append(point)
    return found


def name_of(row: Row) -> str:
    """Return what tells a result from others: its name among candidates, else model, platform, precision, and more."""
    known = cells(row)
    if row.get("choice"):
        return canvas.shorten(row["variant"], 60)
    parts = [known.get(name) for name in (*CONFIGURATION, *workload_of(row).labels.values())]
    return canvas.shorten(", ".join(text_of(part) for part in parts if part), 60)


def at(path: str, interval: str | None = None, inverse: bool = False) -> Value:
    """Return how to read a column, with the interval that another holds; `inverse`: one over both."""

    def read(row: Row) -> Band | None:
        known = cells(row)
        value = known.get(path)
        if not isinstance(value, int | float) or (inverse and value <= 0):
            return None
        low, high = known.get(interval or "") or (value, value)
        if inverse:
            return 1 / value, 1 / high if high > 0 else 1 / value, 1 / low if low > 0 else 1 / value
        return value, low, high

    return read


NDCG = at("retrieval.quality.metrics.ndcg_cut_10", "retrieval.quality.intervals.ndcg_cut_10")
TIMES_FASTER = at("fidelity.speed", "fidelity.speed_interval")


def quality_speed(results: Sequence[Result]) -> Figure | str:
    """Return nDCG@10 over documents/s and over queries/s; vectors that came from the cache have no rate."""
    return tradeoff("Quality against speed", results, [
        Panel(at("retrieval.passages.texts_per_second"), "documents encoded a second", NDCG, "nDCG@10"),
        Panel(at("retrieval.queries.texts_per_second"), "queries encoded a second", NDCG, "nDCG@10"),
    ])  # fmt: skip


def kept_speed(results: Sequence[Result]) -> Figure | str:
    """Return what each query encoder keeps of its teacher's nDCG@10 over how many times faster it is."""
    kept = at("distillation.kept.ndcg_cut_10.share", "distillation.kept.ndcg_cut_10.interval")
    faster = at("distillation.pair.ratio", "distillation.pair.interval", inverse=True)
    label = "times faster than the teacher (median query)"
    return tradeoff("Quality kept against speed-up", results, [
        Panel(faster, label, kept, "share of the teacher's nDCG@10 that is kept", ratio=True)
    ], front=True)  # fmt: skip


def choice_speed(results: Sequence[Result], profile: str) -> Figure | str:
    """Return what each candidate of a profile keeps over how many times as fast as the reference it is."""
    members = [result for result in results if result.row["choice"]["profile"] == profile]
    if not members:
        return f"no choice is of {profile}"
    judged = any(result.row["choice"]["ndcg"] is not None for result in members)
    kept = at("choice.ndcg_share", "choice.ndcg_share_interval") if judged else at("choice.overlap")
    label = "share of nDCG@10 that is kept" if judged else "share of the top 10 that stays"
    speed, times = at("choice.speed", "choice.interval"), "times as fast as the reference"
    return tradeoff(f"What to run, {profile}", members, [
        Panel(speed, times, at("choice.mean_cosine"), "mean cosine with the reference", ratio=True),
        Panel(speed, times, kept, label, ratio=True),
    ], front=True)  # fmt: skip


def fidelity_speed(results: Sequence[Result]) -> Figure | str:
    """Return least cosine and top-10 overlap of each variant over how many times as fast as the reference it is."""
    label = "times as fast as the reference"
    return tradeoff("Fidelity against speed", results, [
        Panel(TIMES_FASTER, label, at("fidelity.min_cosine"), "least cosine with the reference", ratio=True),
        Panel(TIMES_FASTER, label, at("fidelity.overlap"), "share of the top 10 that stays", ratio=True),
    ])  # fmt: skip
