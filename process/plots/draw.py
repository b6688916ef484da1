"""`process --plots DIR`: every plot that the results allow, as PNG and SVG. Imports matplotlib."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from fmbench.console import note
from fmbench.errors import UsageError, first_line

from ..reading.row import Result
from ..workloads.fidelity import Fidelity
from ..workloads.retrieval import is_retrieval
from . import canvas
from .points import Point, points_of
from .precision_at_k import precision
from .quality import quality
from .repetitions import distribution, series
from .roofline import roofline
from .sweep import SWEEPS

PLOTS: dict[str, Callable[[Sequence[Point], str], Figure | str]] = {
    **SWEEPS,
    "repetitions": series,
    "distribution": distribution,
    "roofline": roofline,
}
RETRIEVAL_PLOTS: dict[str, Callable[[Sequence[Mapping[str, Any]], str], Figure | str]] = {
    "quality_speed": quality,
    "precision_at_k": precision,
}


def write_plots(results: Iterable[Result], folder: Path) -> list[Path]:
    """Write the plots and return their paths; say on stderr which are left out, and why.

    Raises UsageError for a folder that cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made ({error.strerror or first_line(error)})") from None
    return draw_plots(results, folder, canvas.FORMATS, note)


def draw_plots(
    results: Iterable[Result], folder: Path, formats: Sequence[str], say: Callable[[str], None]
) -> list[Path]:
    """Write the plots into a folder that is there, and return their paths; `say` is told which are left out."""
    results = list(results)
    points, subtitle = points_of(results)
    rows = [result.row for result in results if is_retrieval(result.row)]
    fidelity = [result for result in results if result.row["fidelity"]]
    if not points and not rows and not fidelity:
        say("no plots: no result has a latency")
        return []
    written: list[Path] = []
    with canvas.look():
        made = {name: plot(points, subtitle) for name, plot in PLOTS.items()} if points else {}
        made |= {name: plot(rows, "") for name, plot in RETRIEVAL_PLOTS.items()} if rows else {}
        made |= {name: plot(fidelity) for name, plot in Fidelity().plots().items()} if fidelity else {}
        for name, picture in made.items():
            if isinstance(picture, str):
                say(f"no plot {name}: {picture}")
            else:
                written += canvas.save(picture, folder, name, formats)
    return written
