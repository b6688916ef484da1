"""`process --plots DIR`: every plot that the results allow, as PNG and SVG. Imports matplotlib."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from fmbench.console import note
from fmbench.errors import UsageError, first_line

from . import canvas
from .plot_repetitions import distribution, series
from .plot_roofline import roofline
from .plot_sweep import SWEEPS
from .results import Record
from .series import Point, points_of

PLOTS: dict[str, Callable[[Sequence[Point], str], Figure | str]] = {
    **SWEEPS,
    "repetitions": series,
    "distribution": distribution,
    "roofline": roofline,
}


def write_plots(records: Iterable[Record], folder: Path) -> list[Path]:
    """Write the plots and return their paths; say on stderr which are left out, and why.

    Raises UsageError for a folder that cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made ({error.strerror or first_line(error)})") from None
    return draw_plots(records, folder, canvas.FORMATS, note)


def draw_plots(
    records: Iterable[Record], folder: Path, formats: Sequence[str], say: Callable[[str], None]
) -> list[Path]:
    """Write the plots into a folder that is there, and return their paths; `say` is told which are left out."""
    points, subtitle = points_of(list(records))
    if not points:
        say("no plots: no result has a latency")
        return []
    written: list[Path] = []
    with canvas.look():
        for name, plot in PLOTS.items():
            made = plot(points, subtitle)
            if isinstance(made, str):
                say(f"no plot {name}: {made}")
            else:
                written += canvas.save(made, folder, name, formats)
    return written
