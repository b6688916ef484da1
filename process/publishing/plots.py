"""The plots of the published results: how the settings of each model compare on a machine."""

import re
from collections.abc import Sequence
from pathlib import Path

from ..plots.points import Point, points_of
from ..reading.row import Result
from ..writing.view import text

INPUT = 128  # tokens of the plot over batch sizes
ODD = re.compile(r"[^\w.\-]+", re.ASCII)


def write_machine_plots(machine: str, results: Sequence[Result], folder: Path) -> list[Path]:
    """Write the plots of a machine as PNG and return their paths, by model."""
    from ..plots import canvas
    from ..plots.sweep import SWEEPS

    found: list[Path] = []
    with canvas.look():
        for model in sorted({text(result.row["model"]) for result in results}):
            points, subtitle = points_of([result for result in results if text(result.row["model"]) == model])
            for name, chosen in selections(points).items():
                made = SWEEPS[name](chosen, subtitle)
                if not isinstance(made, str):
                    stem = stem_of(machine, model, name)
                    found += canvas.save(made, folder, stem, ("png",))
    return found


def stem_of(machine: str, model: str, name: str) -> str:
    """Return the name of a plot's file, without its ending."""
    return ODD.sub("-", f"{machine}-{model.rpartition('/')[2]}-{name}")


def stems(machine: str, model: str) -> set[str]:
    """Return the names that the plots of a model on a machine may have."""
    return {stem_of(machine, model, name) for name in ("throughput_over_batch", "latency_over_input")}


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
