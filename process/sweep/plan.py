"""What a sweep would do here and now: its cells, each checked by its own command, and held against the store."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from fmbench.backend import Backend
from fmbench.checks import Checked, check_command
from fmbench.console import Progress
from fmbench.errors import FmbenchError, UsageError
from fmbench.host import usable_cpus

from .cell import Cell
from .kept import Kept, Run, lacking

WRITTEN = ("out", "output_dir", "teacher_dir")  # arguments that name what a command writes
HOST = "cpu"  # the resource that all commands share
Redo = Literal["failed", "all"]


@dataclass(frozen=True)
class Task:
    """A cell, and what is to be done with it: `left` runs, or nothing where it is `refused`.

    `needs` is what one run takes, `runs` what the store has of it under today's fingerprint, of `wanted` (--repeat);
    where it has others alone, `changed` are the facts that differ. `ever` are its runs under any fingerprint, and grow.
    With `gone` it is done, but for what it wrote, which a cell that is to run reads.
    """

    cell: Cell
    checked: Checked | None
    needs: Mapping[str, float]
    runs: Sequence[Run]
    wanted: int = 1
    refused: str | None = None
    left: int = 0
    changed: Sequence[str] = ()
    ever: Sequence[Run] = ()
    gone: bool = False

    @property
    def again(self) -> Sequence[str]:
        """The words that it needs where a run of it has left what it wrote: a good one, so that nobody else did."""
        left = any(run.whole for run in self.ever)
        return [word for word in self.ready.again if left and word.removeprefix("--") not in self.cell.values]

    @property
    def ready(self) -> Checked:
        """What its command line amounts to. Raises ValueError for a cell that was refused."""
        if self.checked is None:
            raise ValueError(f"a cell that was refused does not run: {self.refused}")
        return self.checked

    @property
    def failed(self) -> bool:
        """Whether `--redo failed` would run more of it."""
        return lacking(self.runs, self.wanted)[1] > self.left

    @property
    def lacks(self) -> set[Path]:
        """What it would read, were it to run, and is not there."""
        return {path.absolute() for path in self.ready.inputs if not path.exists()} if self.left else set()

    @property
    def writes(self) -> set[Path]:
        """The folders that it writes: those that it names, and does not read."""
        named = {Path(str(self.cell.values[name])).absolute() for name in WRITTEN if name in self.cell.values}
        return named - {path.absolute() for path in self.checked.inputs} if self.checked else named

    @property
    def platform(self) -> str:
        """What it runs on."""
        return self.checked.platform.name if self.checked else ""


def plan(cells: Sequence[Cell], kept: Kept, repeat: int, redo: Redo | None, since: float = math.inf) -> list[Task]:
    """Return a task a cell, as it would run on this machine; what ran `since` is no more to `redo`."""
    progress, tasks = Progress(), []
    for number, cell in enumerate(cells, start=1):
        progress.show(f"checking {number} of {len(cells)} cells")
        tasks.append(task_of(cell, kept, repeat, redo, since))
    progress.clear()
    here = resources(tasks)
    return without_lost_inputs(with_lost_outputs([bounded(task, here) for task in tasks]))


def task_of(cell: Cell, kept: Kept, repeat: int, redo: Redo | None, since: float = math.inf) -> Task:
    """Check a cell, and count what the store has of it: with `redo`, not what failed, or nothing, before `since`."""
    try:
        checked = check_command(cell.run, cell.command.words)
        check_log(cell, checked)
        runs, changed = kept.of_today(cell, checked)
        any_run, good = lacking(runs, repeat)
        new = [run.whole for run in runs if run.start >= since]
        left = max(0, {None: any_run, "failed": good - new.count(False), "all": repeat - len(new)}[redo])
        if left and not any(run.whole for run in kept.runs[cell.id]):
            checked.check_free()
    except FmbenchError as error:
        return Task(cell, None, cell.needs, kept.runs.get(cell.id, ()), repeat, refused=str(error))
    needs = cell.needs or {checked.platform.resource: 1}
    ever = kept.runs[cell.id]
    return Task(cell, checked, needs, runs, repeat, left=left, changed=() if runs else changed, ever=ever)


def with_lost_outputs(tasks: Sequence[Task]) -> list[Task]:
    """Return tasks, those that are done to run again where a later one lacks what they wrote."""
    found: list[Task] = []
    lacking: set[Path] = set()
    for task in reversed(tasks):
        needed = any(task.writes & {path, *path.parents} for path in lacking)
        if needed and not (task.left or task.refused or task.failed):
            task = replace(task, left=1, gone=True)
        lacking |= task.lacks
        found.append(task)
    return found[::-1]


def without_lost_inputs(tasks: Sequence[Task]) -> list[Task]:
    """Return tasks, refused where they read what is not there, and what only a cell that is refused would write."""
    found: list[Task] = []
    lost: dict[Path, Cell] = {}
    coming: set[Path] = set()
    for task in tasks:
        for path in sorted(task.lacks):
            if writer := next((lost[one] for one in (path, *path.parents) if one in lost.keys() - coming), None):
                reason = f"{path.name}: is not there, and what would write it, in line {writer.line}, is refused"
                task = replace(task, refused=reason, left=0)
        if task.refused:
            lost.update(dict.fromkeys(task.writes, task.cell))
        elif task.left:
            coming |= task.writes
        found.append(task)
    return found


def check_log(cell: Cell, checked: Checked) -> None:
    """Raise UsageError for a cell that names its log."""
    if checked.resume in cell.values:
        raise UsageError(f"--{checked.resume}: a sweep keeps the log of each cell itself; leave it out")


def resources(tasks: Sequence[Task]) -> dict[str, int]:
    """Return how many of each resource this machine has, as far as the platforms of some tasks know."""
    platforms: dict[str, Backend] = {task.platform: task.checked.platform for task in tasks if task.checked}
    found = {one.resource: one.devices() for one in platforms.values()}
    return {**found, HOST: usable_cpus() or 1}


def bounded(task: Task, here: Mapping[str, int]) -> Task:
    """Return a task, refused where it needs more than there is."""
    lacking = [f"{name} {count:g} (here: {here.get(name, 0)})" for name, count in task.needs.items()
               if count > here.get(name, 0)]  # fmt: skip
    if task.refused or not lacking:
        return task
    return replace(task, refused=f"needs {', '.join(lacking)}", left=0)
