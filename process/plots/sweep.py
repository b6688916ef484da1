"""Plots over the sizes of a sweep: latency, throughput, the serving curve, memory, energy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import canvas
from .points import Line, Point, Value, exact, latency, lines_of, lines_over, place_lines, spread, throughput

LATENCY = "latency (ms a batch)"
THROUGHPUT = "throughput (sequences/s)"
BATCH = "batch size (sequences)"
MEBIBYTE = 2**20
CROWD = 24


@dataclass(frozen=True, slots=True)
class Sweep:
    """A plot of one figure over one size, with a line for each of the other size."""

    title: str
    x: str
    x_label: str
    other: str
    y_label: str
    value: Value
    floor: bool = False  # y needs not begin at 0

    def __call__(self, points: Sequence[Point], subtitle: str) -> Figure | str:
        """Return the plot, or why there is none."""
        lines = lines_over(points, self.x, self.other, self.value)
        if not lines:
            return why_none(points, self.x, self.value)
        made, (axes,) = canvas.figure(self.title, subtitle)
        shown = place_lines(spread(lines, canvas.MOST_LINES))
        canvas.draw_lines(axes, shown)
        canvas.sizes_axis(axes, [x for line in shown for x in line.x])
        canvas.amounts_axis(axes, [y for line in shown for y in line.y])
        label_axes(axes, self.x_label, self.y_label, lines, shown)
        canvas.legend(made, axes)
        return made


def label_axes(axes: Axes, x_label: str, y_label: str, lines: Sequence[Line], shown: Sequence[Line]) -> None:
    """Name the axes with their units, and say what the signs mean."""
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    parts = [canvas.footer(axes, shown)]
    if len(shown) < len(lines):
        parts.append(f"{len(shown)} of {len(lines)} lines")
    canvas.remark(axes, "; ".join(part for part in parts if part))


def why_none(points: Sequence[Point], x: str, value: Value) -> str:
    """Return why nothing can be drawn over a size."""
    if not any(value(point) is not None for point in points):
        return "no result has it"
    return f"it needs two {x} sizes or more"


def serving(points: Sequence[Point], subtitle: str) -> Figure | str:
    """Return latency against throughput: what a batch size costs, and what it gives."""
    able = [point for point in points if throughput(point) is not None]
    lines = lines_of(able, "batch", "input", lambda point: 1e3 * point.batch / point.itl, latency)
    if not lines:
        return why_none(points, "batch", throughput)
    made, (axes,) = canvas.figure("Latency against throughput", subtitle)
    shown = place_lines(spread(lines, canvas.MOST_LINES))
    canvas.draw_lines(axes, shown)
    name_points(axes, shown)
    canvas.amounts_axis(axes, [y for line in shown for y in line.y])
    canvas.amounts_axis(axes, [x for line in shown for x in line.x], "x")
    label_axes(axes, f"{THROUGHPUT}; numbers at the points are batch sizes", LATENCY, lines, shown)
    canvas.legend(made, axes)
    return made


def name_points(axes: Axes, lines: Sequence[Line]) -> None:
    """Write at the points what is noted of them; only at the ends of the lines where there are many."""
    crowded = sum(len(line.x) for line in lines) > CROWD
    for line in lines:
        for place, (x, y, note) in enumerate(zip(line.x, line.y, line.notes, strict=True)):
            if not crowded or place in (0, len(line.x) - 1):
                axes.annotate(note, (x, y), xytext=(5, 4), textcoords="offset points", fontsize=8, color=canvas.GREY)


def memory(points: Sequence[Point], subtitle: str) -> Figure | str:
    """Return peak memory over batch size: of the device where it is counted, else of the host."""
    for key, place in (("device_peak_bytes", "device"), ("host_peak_bytes", "host")):
        value = exact("memory", key, 1 / MEBIBYTE)
        if any(value(point) is not None for point in points):
            title = f"Peak memory of the {place} over batch size"
            points = [replace(point, sure=point.result.row["status"] == "OK") for point in points]  # no matter of time
            return Sweep(title, "batch", BATCH, "input", "peak memory (MiB)", value)(points, subtitle)
    return "no result has it"


def energy(points: Sequence[Point], subtitle: str) -> Figure | str:
    """Return energy a sequence over batch size."""
    value = exact("energy", "joules_per_sequence")
    if not any(value(point) is not None for point in points):
        reasons = [(point.result.row["energy"] or {}).get("reason") for point in points]
        return next((reason for reason in reasons if reason), "no result has it")
    title = "Energy a sequence over batch size"
    return Sweep(title, "batch", BATCH, "input", "energy (joules a sequence)", value)(points, subtitle)


SWEEPS: dict[str, Callable[[Sequence[Point], str], Figure | str]] = {
    "latency_over_batch": Sweep("Latency over batch size", "batch", BATCH, "input", LATENCY, latency),
    "latency_over_input": Sweep("Latency over input size", "input", "input size (tokens)", "batch", LATENCY, latency),
    "throughput_over_batch": Sweep("Throughput over batch size", "batch", BATCH, "input", THROUGHPUT, throughput),
    "serving_curve": serving,
    "memory": memory,
    "energy": energy,
}
