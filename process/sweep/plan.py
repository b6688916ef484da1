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
from .outputs import Outputs, written_by

HOST = "cpu"  # the resource that all commands share
Redo = Literal["failed", "all"]


@dataclass(frozen=True)
class Task:
    """A cell, and what is to be done with it: `left` runs, or nothing where it is `refused`.

    `needs` is what one run takes, `runs` what the store has of it under today's fingerprint, of `wanted` (--repeat);
    where it has others alone, `changed` are the facts that differ. `ever` are its runs under any fingerprint, and grow.
    With `gone` it is done, but for what it wrote, which a cell that is to run reads; `stale`, but for what it reads,
    which such a cell writes. `other` says why what stands where it writes is not its own. `cut` is as in Kept.
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
    stale: bool = False
    other: str | None = None
    cut: float | None = None

    @property
    def outputs(self) -> Outputs:
        """What it writes, and what stands there now."""
        return Outputs(self.cell, self.ready, self.ever, self.cut)

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
    def done(self) -> bool:
        """Whether nothing of it is to run, and nothing stands against that."""
        return not (self.left or self.refused)

    @property
    def reads(self) -> set[Path]:
        """The files and folders that it reads, and the folders that these are in."""
        found = [path.absolute() for path in self.checked.inputs] if self.checked else ()
        return {one for path in found for one in (path, *path.parents)}

    @property
    def lacks(self) -> set[Path]:
        """What it would read, were it to run, and is not there."""
        return {path.absolute() for path in self.ready.inputs if not path.exists()} if self.left else set()

    @property
    def writes(self) -> set[Path]:
        """The files and folders that it writes."""
        return {path.absolute() for path in written_by(self.cell, self.checked)}

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
    return settled([bounded(task, here) for task in tasks])


def task_of(cell: Cell, kept: Kept, repeat: int, redo: Redo | None, since: float = math.inf) -> Task:
    """Check a cell, and count what the store has of it: with `redo`, not what failed, or nothing, before `since`."""
    try:
        checked = check_command(cell.run, cell.command.words)
        check_log(cell, checked)
        runs, changed = kept.of_today(cell, checked)
        any_run, good = lacking(runs, repeat)
        new = [run.whole for run in runs if run.start >= since]
        left = max(0, {None: any_run, "failed": good - new.count(False), "all": repeat - len(new)}[redo])
    except FmbenchError as error:
        return Task(cell, None, cell.needs, kept.runs.get(cell.id, ()), repeat, refused=str(error))
    needs = cell.needs or {checked.platform.resource: 1}
    ever, changed = kept.runs[cell.id], [] if runs else changed
    task = Task(cell, checked, needs, runs, repeat, left=left, changed=changed, ever=ever, cut=kept.cut.get(cell.id))
    return guarded(task) if left else replace(task, other=task.outputs.other)


def guarded(task: Task) -> Task:
    """Return a task that is to run, refused where it may not write where it would."""
    reason = task.outputs.taken
    return replace(task, refused=reason, other=reason, left=0) if reason else task


def settled(tasks: Sequence[Task]) -> list[Task]:
    """Return tasks as they are to run beside each other: what one writes another may read."""
    found = without_shared_outputs(tasks)
    while (more := with_new_inputs(with_lost_outputs(found))) != found:
        found = more
    return without_lost_inputs(found)


def without_shared_outputs(tasks: Sequence[Task]) -> list[Task]:
    """Return tasks, refused where they would write what an earlier one writes, unless they say so themselves."""
    found: list[Task] = []
    writers: dict[Path, Cell] = {}
    for task in tasks:
        for path in task.outputs.paths if task.left and not task.outputs.replaces else ():
            if writer := writers.get(path.absolute()):
                reason = f"{path}: the cell of line {writer.line} writes there; name another"
                task = replace(task, refused=reason, left=0)
        for written in task.writes if not task.refused else ():
            writers.setdefault(written, task.cell)
        found.append(task)
    return found


def with_new_inputs(tasks: Sequence[Task]) -> list[Task]:
    """Return tasks, those that are done to run again where an earlier one is to write what they read."""
    found: list[Task] = []
    coming: set[Path] = set()
    for task in tasks:
        if task.done and task.reads & coming:
            task = guarded(replace(task, left=task.wanted, stale=True))
        if task.left:
            coming |= task.writes
        found.append(task)
    return found


def with_lost_outputs(tasks: Sequence[Task]) -> list[Task]:
    """Return tasks, those that are done to run again where a later one is to read what is gone of what they wrote.

    They are refused where something else is there now.
    """
    found: list[Task] = []
    read: set[Path] = set()
    for task in reversed(tasks):
        if task.done and not task.failed and task.writes & read:
            if task.outputs.is_free or (task.other and task.outputs.is_cut):
                task = replace(task, left=1, gone=True)
            elif task.other:
                task = replace(task, refused=task.other)
        read |= task.reads if task.left else set()
        found.append(task)
    return found[::-1]


def without_lost_inputs(tasks: Sequence[Task]) -> list[Task]:
    """Return tasks, refused where only a cell that is refused would write what they read.

    That is where it is not there, and where something else is.
    """
    found: list[Task] = []
    refused: dict[Path, Task] = {}
    coming: set[Path] = set()
    for task in tasks:
        for path in sorted(task.reads & refused.keys() - coming) if task.left else ():
            writer = refused[path]
            reason = writer.other
            if lost := [one for one in sorted(task.lacks) if path in (one, *one.parents)]:
                line = writer.cell.line
                reason = f"{lost[0].name}: is not there, and what would write it, in line {line}, is refused"
            task = replace(task, refused=reason, left=0) if reason else task
        if task.refused:
            refused.update(dict.fromkeys(task.writes, task))
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
