"""`process --plots DIR`: every plot that the results of each workload allow, as PNG and SVG. Imports matplotlib."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from fmbench.console import note
from fmbench.errors import UsageError, first_line

from ..reading.row import Result
from ..workload import by_workload
from . import canvas


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
    written: list[Path] = []
    found = by_workload(results)
    if not found:
        say("no plots: there are no results")
    with canvas.look():
        for workload, members in found:
            for name, plot in workload.plots().items():
                made = plot(members)
                if isinstance(made, str):
                    say(f"no plot {name}: {made}")
                else:
                    written += canvas.save(made, folder, name, formats)
    return written
