"""What a sweep brings into its store, and what it says of that."""

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fmbench.console import Progress, note, say, warn
from fmbench.errors import FmbenchError, UsageError
from fmbench.leftovers import temporary_folder
from fmbench.markdown import harmless
from fmbench.whole_file import part_beside

from ..dashboard.page import plotly_script, write_dashboard
from ..reading.sources import Source
from ..store.adding import add
from ..store.store import Store
from ..writing import output
from ..writing.show import record_tables, tables_as_text
from .kept import Kept, Run, lacking
from .log import write_refusal
from .overview import cells_of, failures, few, refusals, runs_left, time_left, time_text
from .plan import Task

SHARE = "Share {} of {}: what the others measure is not in this table, and the whole may say otherwise.\n\n"


def ignore(_: str) -> None:
    """Take no notice."""


@dataclass
class Keeper:
    """Keeps the logs of cells, and counts them."""

    store: Store
    kept: Kept
    _tasks: dict[str, Task] = field(default_factory=dict)
    _progress: Progress = field(default_factory=lambda: Progress(every=2.0, apart=60.0))
    _runs: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))  # what this sweep added
    _wanted: dict[str, int] = field(default_factory=dict)  # runs of each cell by this sweep
    _done: int = 0
    _failed: int = 0

    def check(self, page: Path | None, file: Path) -> None:
        """Raise FmbenchError where the store cannot be written, or no page can be made: before anything runs.

        The page is not to take the place of the sweep `file`.
        """
        output.check_targets({"--report": page}, [Source(file)])
        if page is not None:
            plotly_script()
            if not page.absolute().parent.is_dir():
                raise UsageError(f"--report {page}: the folder does not exist")
            if page.is_file() or not page.exists():  # what is neither (a device) is written to as it stands
                with part_beside(page):
                    pass
        try:
            with self.store.place.workspace():
                pass
        except FmbenchError as error:
            raise FmbenchError(
                f"the store cannot be written: {error}; name another in the file, or --set store=DIR"
            ) from None

    def begin(self, tasks: Sequence[Task]) -> None:
        """Count these tasks too, and say what is to be done."""
        self._tasks |= {task.cell.id: task for task in tasks}
        self._wanted |= {task.cell.id: len(self._runs[task.cell.id]) + task.left for task in tasks}
        done = sum(not (task.left or task.refused) for task in tasks)
        left = (
            time_left(((task, task.left, 0) for task in tasks), self.kept) if any(task.left for task in tasks) else ""
        )
        said = f"{cells_of(tasks)}: {done} in {self.store.name} already; {runs_left(tasks)}"
        note(f"{said}{f', {left}' if left else ''}")
        again = [task for task in tasks if task.changed]
        if changed := sorted({name for task in again for name in task.changed}):
            what = f"the fingerprint under which {self.store.name} has them differs in {few(changed)}"
            note(f"{cells_of(again)} to run again: {what}")
        for why, those in (
            ("the folder that another cell reads is gone", [task for task in tasks if task.gone]),
            ("what it reads is to be written anew", [task for task in tasks if task.stale]),
        ):
            if those:
                note(f"{cells_of(those)} to run again: {why}")

    def keep(self, log: Path) -> None:
        """Put the log of a cell into the store; a log that is there already stays as it is."""
        name = add(self.store, Source(log), ignore, ignore).name
        (entry,) = self.store.entries([name], warn)
        run = self.kept.add(entry)
        if task := self._tasks.get(entry.facts["run"]["cell"]["id"]):
            self._runs[task.cell.id].append(run)
            self._done += run.whole
            self._failed += not run.whole
            self._progress.clear()
            ended = f"{'done' if run.whole else 'FAILED'} in {time_text(run.seconds)}: {task.cell.name}"
            say(f"{ended}{'' if run.whole else self._reason(name)} ({self._counts})")

    def _reason(self, name: str) -> str:
        """Return why the run of an entry failed, to stand behind its cell."""
        errors = (result.row["error"] for result in self.store.results([name], ignore))
        return next((f": {harmless(str(error.get('message')))}" for error in errors if error), "")

    def note_refused(self, tasks: Sequence[Task], sweep: str) -> None:
        """Put cells that are refused into the store, so that it says by itself what it lacks; each once."""
        with temporary_folder() as folder:
            for task in tasks:
                if task.refused and not self.kept.knows_refused(task.cell):
                    write_refusal(Path(folder, "refused.log"), task.cell, sweep, task.refused)
                    add(self.store, Source(Path(folder, "refused.log")), ignore, ignore)

    def tell(self, text: str) -> None:
        """Say what the user may want to know of a run."""
        self._progress.clear()
        note(text)

    def show(self, running: Sequence[tuple[Task, float]], waiting: Sequence[Task]) -> None:
        """Say how far the sweep is: what runs, each for how many seconds, and what waits."""
        if not self._progress.is_due:
            return
        both = [*((task, 1, spent) for task, spent in running), *((task, 1, 0.0) for task in waiting)]
        left = time_left(both, self.kept)
        names = ", ".join(task.cell.name for task, _ in running)
        self._progress.show(f"{self._counts}{f' ({left})' if left else ''}{f'; running: {names}' if names else ''}")

    @contextlib.contextmanager
    def telling_the_end(self) -> Iterator[None]:
        """Say how far a sweep came that is asked to end meanwhile, as far as that is known by then."""
        try:
            yield
        except KeyboardInterrupt:
            self._progress.clear()
            said = self._counts if self._wanted else "ended before it was known what is left"
            where = "what is done is in" if self.store.names() else "nothing is yet in"
            note(f"{said}; {where} {self.store.name}, and the same command goes on")
            raise

    @property
    def _counts(self) -> str:
        """How many runs are done, failed and left, those that run now among the latter."""
        left = sum(self._wanted.values()) - self._done - self._failed
        return f"{self._done} done, {self._failed} failed, {left} left"

    def _failures(self, task: Task) -> list[Run]:
        """Return the failed runs of a cell that has no good ones in their place."""
        runs = [*task.runs, *self._runs[task.cell.id]]
        return [run for run in runs if not run.whole] if lacking(runs, task.wanted)[1] else []

    def _called(self) -> dict[str, str]:
        """Return what the runs of all cells are called, by entry: as their cell, which of several by number too."""
        called = {}
        for task in self._tasks.values():
            runs = self.kept.runs.get(task.cell.id, ())
            for number, run in enumerate(runs, start=1):
                called[run.entry] = task.cell.name if len(runs) == 1 else f"{task.cell.name}, run {number}"
        return called

    def report(self, page: Path | None, share: tuple[int, int] = (1, 1)) -> bool:
        """Print the records of all cells, on whichever machine they ran, and what failed.

        Return whether anything did, or is not in the store any more.
        The dashboard goes to a `page`. Of a `share` of several it is said that the others may tell otherwise.
        """
        self._progress.clear()
        called = self._called()
        gone = sum(self.store.gone(name) for name in called)
        if gone:
            warn(f"{self.store.name}: {gone} of the runs that were kept are gone from it, and missing below; the same "
                 "command measures them again")  # fmt: skip
        results = list(self.store.results(called, warn))
        tried = [task for task in self._tasks.values() if not task.refused]
        broken = {run.entry: task.cell.name for task in tried for run in self._failures(task)}
        failed = failures(results, broken)
        with output.opened(None) as stream:
            stream.write(SHARE.format(*share) if share[1] > 1 else "")
            named = [replace(result, source=called[result.source]) for result in results]
            stream.write(record_tables(results) or tables_as_text(named, None, origin="cell"))
            for title, those in (("what failed:", failed), ("what was refused:", refusals(self._tasks.values()))):
                stream.writelines(f"{line}\n" for line in ["", title, *those] if those)
        if page is not None:
            write_dashboard(results, page)
            note(f"the dashboard is in {page}")
        return bool(broken or gone)
