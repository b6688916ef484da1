"""`process --report_to`: every driver run to experiment trackers. Imports none of them until it is told to report."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from fmbench.console import note, reserved_stdout
from fmbench.distribution import to_install
from fmbench.errors import FmbenchError, UsageError, nearest, one_line
from fmbench.leftovers import temporary_folder

from ..reading.row import Result
from .mlflow import MlflowTracker
from .tensorboard import TensorboardTracker
from .tracked_run import TrackedRun, runs_in, track
from .wandb import WandbTracker


class Tracker(Protocol):
    """One experiment tracker, in one small file."""

    name: str

    def available(self) -> bool:
        """Whether what it needs is installed. Imports nothing."""

    def report(self, run: TrackedRun, project: str | None) -> str:
        """Tell the tracker of a run, and return where it can be seen. `project` is None where nobody named one."""


TRACKERS: dict[str, Tracker] = {
    tracker.name: tracker for tracker in (MlflowTracker(), TensorboardTracker(), WandbTracker())
}


def choose(names: Iterable[str]) -> list[Tracker]:
    """Return trackers by name. Raises UsageError for one that is unknown or not installed."""
    found = []
    for name in dict.fromkeys(names):
        if name not in TRACKERS:
            raise UsageError(f"--report_to {name}: no such tracker{nearest(name, TRACKERS)} ({', '.join(TRACKERS)})")
        if not TRACKERS[name].available():
            raise UsageError(f"--report_to {name} needs another package: {to_install(name)}")
        found.append(TRACKERS[name])
    return found


def report(results: Iterable[Result], trackers: Sequence[Tracker], project: str | None) -> None:
    """Tell every tracker of every run. Raises FmbenchError in the end where one of them failed.

    One that failed is told no more: a server that is down can take a minute to say so.
    """
    failures: dict[str, str] = {}
    for run in runs_in(results):
        with temporary_folder() as folder:
            told = track(run, plots_of(run, Path(folder)))
            for tracker in trackers:
                if tracker.name not in failures and (failure := tell(tracker, told, project)) is not None:
                    failures[tracker.name] = failure
    if failures:
        raise FmbenchError("; ".join(failures.values()))


def tell(tracker: Tracker, run: TrackedRun, project: str | None) -> str | None:
    """Tell one tracker of one run; return why that failed, or None."""
    try:
        with reserved_stdout():  # what trackers print is no result
            place = tracker.report(run, project)
    except Exception as error:  # it may fail in any way; the other trackers are told all the same
        return f"--report_to {tracker.name}: {run.name} and what follows was not reported ({one_line(error)})"
    note(f"{tracker.name}: {run.name}: {place}")
    return None


def plots_of(results: Sequence[Result], folder: Path) -> list[Path]:
    """Draw the plots that one run allows."""
    from ..plots.draw import draw_plots

    return draw_plots(results, folder, ("png",), lambda _: None)
