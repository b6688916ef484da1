"""`--on local`: cells in processes of their own, as many at once as devices are free, and on the CPU one at a time.

This process sleeps until one of them prints something, so that it takes no time from what they measure.
"""

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import IO

from fmbench import children
from fmbench.console import note
from fmbench.errors import UsageError
from fmbench.whole_file import written

from .log import Ended, close_log, last_error
from .outputs import digests
from .plan import HOST, Task
from .workplace import Workplace, discard, said_beside

PROGRAM = children.python("-c", "import sys; from fmbench.cli import main; sys.exit(main())")
BLOCK = 2**16
LOST = "{}: this run is lost; what was done before is kept, and the same command goes on"
AWAKE = 1.0  # seconds between two looks at the time


@dataclass
class Running:
    """The process of a cell: its log, its devices, how long it may take, whether it goes on with what its log has.

    `inputs` are the digests of what it reads, as it is when the process starts.
    """

    task: Task
    log: Path
    devices: set[int]
    allowed: float | None
    resumes: bool = False
    inputs: Mapping[str, str | None] = field(init=False)
    start_time: int = field(init=False)
    started: float = field(init=False)
    files: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    process: "Popen[str]" = field(init=False)
    stream: IO[bytes] = field(init=False)

    def start(self) -> None:
        """Start the command; what it prints is its log, unless it goes on with that."""
        self.inputs, again = digests(self.task.ready.inputs), self.task.outputs.again
        self.start_time, self.started = time.time_ns(), time.monotonic()
        said = self.files.enter_context(said_beside(self.log).open("w", encoding="utf-8"))
        self.stream = self.files.enter_context(self.log.open("ab"))
        more = [f"--device={self.device}"] if self.device is not None else []
        more += [f"--{self.task.ready.resume}={self.log}"] if self.resumes else []
        words = [*PROGRAM, *self.task.cell.words, *self.task.ready.more, *again, *more]
        self.process = self.files.enter_context(children.started(words, stderr=said))

    @property
    def device(self) -> int | None:
        """The device that the command has to be told; None where it names one, or there is no choice."""
        told = self.task.ready.arguments.device is not None
        return None if told or len(self.devices) != 1 else min(self.devices)

    @property
    def pipe(self) -> int:
        """Where its output comes from."""
        return self.process.stdout.fileno()  # type: ignore[union-attr]

    @property
    def late(self) -> bool:
        """Whether its time is over."""
        return self.allowed is not None and self.seconds > self.allowed

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.started

    def relay(self) -> bool:
        """Write what came into the log; return whether more may come."""
        found = os.read(self.pipe, BLOCK)
        with self.written():
            self.stream.write(found)
        return bool(found)

    def written(self) -> contextlib.AbstractContextManager[None]:
        """Raise what the system says of a failed write as what is lost by it."""
        return written(self.log, LOST.format(self.task.cell.name))

    def end(self, late: bool) -> Ended:
        """Wait for the process, or end it where it is late, and return how it ended."""
        if late:
            with children.ended(self.process):
                while self.relay():
                    pass
        with self.written():
            self.files.close()
        code = None if late else self.process.returncode
        seconds, wrote = self.seconds, digests(self.task.outputs.paths if code == 0 else ())
        return Ended(self.start_time, seconds, code, self.allowed, self.inputs, wrote, self.resumes)


@dataclass
class LocalRunner:
    """Runs tasks on this machine, which has so many of each resource.

    `keep` takes each log when its cell is done, `show` hears often which run, each for how many seconds, and which
    wait; `tell` hears what the user may want to know.
    """

    place: Workplace
    sweep: str
    here: Mapping[str, float]
    allowed: float | None
    keep: Callable[[Path], None]
    show: Callable[[Sequence[tuple[Task, float]], Sequence[Task]], None]
    tell: Callable[[str], None] = note
    _running: list[Running] = field(default_factory=list)
    _waiting: list[Task] = field(default_factory=list)

    def run(self, tasks: Sequence[Task]) -> None:
        """Run every task as often as it is left, and return when all are done."""
        waiting = self._waiting = [task for task in tasks for _ in range(task.left)]
        with contextlib.ExitStack() as everything, selectors.DefaultSelector() as selector:
            try:
                while waiting or self._running:
                    for task in [*waiting]:
                        if self._fits(task):
                            waiting.remove(task)
                            one = self._start(task, everything)
                            selector.register(one.pipe, selectors.EVENT_READ, one)
                            self._tell()
                    self._heed(selector)
                    self._tell()
            except BaseException:
                for one in self._running:  # all at once: the contexts end them one after the other
                    children.signal_all(one.process, signal.SIGTERM)
                raise

    def _tell(self) -> None:
        self.show([(one.task, one.seconds) for one in self._running], self._waiting)

    def _heed(self, selector: selectors.BaseSelector) -> None:
        """Sleep until something was printed, and take note of what has ended."""
        more = {key.data.log: key.data.relay() for key, _ in selector.select(AWAKE)}
        for one in [*self._running]:
            self.place.see(one.task.cell)
            if not more.get(one.log, True) or one.late:
                selector.unregister(one.pipe)
                self._finish(one, late=more.get(one.log, True))

    def _fits(self, task: Task) -> bool:
        """Whether a task may start beside what runs."""
        if self._alone(task) or any(self._alone(one.task) for one in self._running):
            return not self._running
        for name, count in task.needs.items():
            if sum(one.task.needs.get(name, 0) for one in self._running) + count > self.here.get(name, 0):
                return False
        asked = task.ready.arguments.device
        return asked is None or not any(asked in one.devices for one in self._running)

    def _alone(self, task: Task) -> bool:
        """Whether a task would be disturbed by any other, or disturb it: it has no device of its own."""
        return task.ready.platform.resource == HOST

    def _devices(self, task: Task) -> set[int]:
        """Return which devices a task is given: those that it names, or the first that are free."""
        if not task.ready.platform.numbered:
            return set()
        if task.ready.arguments.device is not None:
            return {task.ready.arguments.device}
        resource = task.ready.platform.resource
        free = set(range(int(self.here.get(resource, 0)))).difference(*(one.devices for one in self._running))
        return set(sorted(free)[: int(task.needs.get(resource, 1))])

    def _start(self, task: Task, everything: contextlib.ExitStack) -> Running:
        log = self.place.log(task.cell)
        resumes = task.ready.resume is not None and self.place.take_up(log)
        one = Running(task, log, self._devices(task), self.allowed, resumes)
        everything.enter_context(one.files)
        if task.outputs.taken:
            self.place.unmark(task.cell.id)
        elif task.writes:
            self.place.mark(task.cell)
        one.start()
        self._running.append(one)
        return one

    def _finish(self, one: Running, late: bool) -> None:
        ended = one.end(late)
        self._running.remove(one)
        if one.resumes and ended.exit_code == UsageError.exit_code:  # the log is of another fingerprint
            reason = last_error(said_beside(one.log))
            self.tell(f"{one.task.cell.name}: runs anew, without what was measured of it before: {reason}")
            discard(one.log)
            self._waiting.insert(0, one.task)
            return
        with one.written():
            close_log(one.log, said_beside(one.log), one.task.cell, one.task.ready, self.sweep, ended)
        self.place.hand_over(one.log, self.keep)
