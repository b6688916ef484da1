"""`process --report_to`: every driver run to experiment trackers. Imports none of them until it is told to report."""

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from fmbench.console import note, reserved_stdout
from fmbench.errors import FmbenchError, UsageError, nearest, one_line

from .results import Record
from .tracked import TrackedRun, runs_in, tracked
from .tracker_mlflow import MlflowTracker
from .tracker_tensorboard import TensorboardTracker
from .tracker_wandb import WandbTracker

PROJECT = "fmbench"


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


def chosen(names: Iterable[str]) -> list[Tracker]:
    """Return trackers by name. Raises UsageError for one that is unknown or not installed."""
    found = []
    for name in dict.fromkeys(names):
        if name not in TRACKERS:
            raise UsageError(f"--report_to {name}: no such tracker{nearest(name, TRACKERS)} ({', '.join(TRACKERS)})")
        if not TRACKERS[name].available():
            raise UsageError(f"--report_to {name} needs another package: pip install 'fmbench[{name}]'")
        found.append(TRACKERS[name])
    return found


def report(records: Iterable[Record], trackers: Sequence[Tracker], project: str | None) -> None:
    """Tell every tracker of every run. Raises FmbenchError in the end where one of them failed."""
    failures: list[str] = []
    for run in runs_in(records):
        with tempfile.TemporaryDirectory(prefix="fmbench-") as folder:
            told = tracked(run, plots_of(run, Path(folder)))
            for tracker in trackers:
                try:
                    with reserved_stdout():  # what trackers print is no result
                        place = tracker.report(told, project)
                    note(f"{tracker.name}: {told.name} is in {place}")
                except Exception as error:  # a server may fail in any way; the other trackers are told all the same
                    failures.append(f"--report_to {tracker.name}: {told.name} was not reported ({one_line(error)})")
    if failures:
        more = f"; and {len(failures) - 1} more" if len(failures) > 1 else ""
        raise FmbenchError(failures[0] + more)


def plots_of(records: Sequence[Record], folder: Path) -> list[Path]:
    """Draw the plots that one run allows."""
    from .plots import draw_plots

    return draw_plots(records, folder, ("png",), lambda _: None)
