"""The plots of the published results: what to run of each model on a machine, and how its settings compare."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..plots.points import Point, points_of
from ..reading.row import Result
from ..workload import by_workload
from ..writing.view import text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INPUT = 128  # tokens of the plot over batch sizes
ODD = re.compile(r"[^\w.\-]+", re.ASCII)


def write_machine_plots(machine: str, results: Sequence[Result], folder: Path) -> dict[str, list[Path]]:
    """Write the plots of a machine as PNG and return their paths, by model."""
    from ..plots import canvas

    found: dict[str, list[Path]] = {}
    with canvas.look():
        for model in sorted({text(result.row["model"]) for result in results}):
            for name, made in pictures([result for result in results if text(result.row["model"]) == model]):
                stem = ODD.sub("-", f"{machine}-{model.rpartition('/')[2]}-{name}")
                found.setdefault(model, []).extend(canvas.save(made, folder, stem, ("png",)))
    return found


def pictures(results: Sequence[Result]) -> "Iterator[tuple[str, Figure]]":
    """Yield the pictures of a model that can be drawn, by name: of its choice, and of the speed of its settings."""
    from ..plots.sweep import SWEEPS

    points, subtitle = points_of([result for result in results if result.row["workload"] == "speed"])
    answers = ((one, members) for one, members in by_workload(results) if one.answers)
    drawn = [
        *((name, plot(members)) for workload, members in answers for name, plot in workload.plots().items()),
        *((name, SWEEPS[name](chosen, subtitle)) for name, chosen in selections(points).items()),
    ]
    yield from ((name, made) for name, made in drawn if not isinstance(made, str))


def selections(points: Sequence[Point]) -> dict[str, list[Point]]:
    """Return the points of each plot: one input size over batches, and the smallest batch size over inputs."""
    inputs = sorted({point.input for point in points})
    if not inputs:
        return {}
    usual = INPUT if INPUT in inputs else inputs[len(inputs) // 2]
    least = min(point.batch for point in points)
    return {
        "throughput_over_batch": [point for point in points if point.input == usual],
        "latency_over_input": [point for point in points if point.batch == least],
    }
