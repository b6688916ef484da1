"""`--on ray`: cells as tasks of a Ray cluster, each on a node that has what it needs.

What is done here with one cell is done there by the same code: it is checked, held against the store, run, and its log
ended, so that all that is said of the machine is said of the node. What comes back is the log. Where a node dies, Ray
runs its cells again elsewhere. The library environment is the nodes' own.
"""

import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fmbench.distribution import to_install
from fmbench.errors import FmbenchError, UsageError, first_line
from fmbench.leftovers import temporary_folder
from fmbench.whole_file import written

from .cell import Cell
from .kept import Kept
from .local import AWAKE, LOST, LocalRunner
from .plan import HOST, Redo, Task, task_of
from .workplace import Workplace

PATIENCE = 10  # seconds for a cluster to answer
LEAST = {HOST: 1.0}  # what a cell takes that says nothing
OPTIONS = {"cpu": "num_cpus", "gpu": "num_gpus"}  # what Ray calls these; all others are resources by name
NAMES = {"cpu": "CPU", "gpu": "GPU"}  # of a node

Needs = Mapping[str, float]


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that this process is connected to."""

    ray: Any

    @classmethod
    @contextlib.contextmanager
    def connected(cls, address: str | None) -> Iterator["Cluster"]:
        """Connect to a cluster; without an address, to the one that Ray finds, or makes of this machine.

        Raises UsageError where Ray is missing, FmbenchError where no cluster answers.
        """
        try:
            import ray
        except ImportError:
            raise UsageError(f"--on ray needs Ray: {to_install('ray')}") from None
        try:
            check_answer(address)
            before = signal.getsignal(signal.SIGTERM)
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            signal.signal(signal.SIGTERM, before)  # Ray has put its own in its place
        except Exception as error:
            raise FmbenchError(f"--on ray: no cluster at {address or 'hand'} ({first_line(error)})") from None
        try:
            yield cls(ray)
        finally:
            ray.shutdown()

    def has(self, needs: Needs) -> bool:
        """Whether a node that lives has so much of each resource."""
        nodes = (node["Resources"] for node in self.ray.nodes() if node["Alive"])
        return any(all(node.get(NAMES.get(name, name), 0) >= count for name, count in needs.items()) for node in nodes)

    def start(self, function: Callable[..., Any], needs: Needs, *arguments: Any) -> Any:
        """Start a function on a node that has what it needs, as often as nodes die under it."""
        own = {OPTIONS[name]: count for name, count in needs.items() if name in OPTIONS}
        others = {name: count for name, count in needs.items() if name not in OPTIONS}
        options = {"num_cpus": 0, **own, "resources": others, "max_retries": -1}
        return self.ray.remote(function).options(**options).remote(*arguments)

    def plan(self, cells: Sequence[Cell], kept: Kept, repeat: int, redo: Redo | None) -> list[Task]:
        """Return a task a cell, each checked on a node that has what it needs; refused where none has."""
        groups: dict[tuple[tuple[str, float], ...], list[Cell]] = {}
        for cell in cells:
            groups.setdefault(tuple(sorted((cell.needs or LEAST).items())), []).append(cell)
        found: dict[str, Task] = {}
        for key, members in groups.items():
            needs = dict(key)
            if self.has(needs):
                tasks = self.ray.get(self.start(plan_there, needs, members, replace(kept, cut={}), repeat, redo))
            else:
                reason = f"needs {', '.join(f'{name} {count:g}' for name, count in key)}, and no node has that"
                tasks = [
                    Task(cell, None, needs, kept.runs.get(cell.id, ()), repeat, refused=reason) for cell in members
                ]
            found |= {task.cell.id: replace(task, needs=needs, ever=kept.runs.get(task.cell.id, ())) for task in tasks}
        return [found[cell.id] for cell in cells]


def check_answer(address: str | None) -> None:
    """Raise OSError where nothing answers at HOST:PORT: Ray would ask for minutes."""
    host, _, port = (address or "").rpartition("/")[2].rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), timeout=PATIENCE).close()
        except TimeoutError:
            raise TimeoutError(f"it does not answer within {PATIENCE} s") from None


def plan_there(cells: Sequence[Cell], kept: Kept, repeat: int, redo: Redo | None) -> list[Task]:
    """Check cells on the node that this runs on."""
    return [task_of(cell, kept, repeat, redo) for cell in cells]


def run_there(task: Task, sweep: str, allowed: float | None) -> bytes:
    """Run a cell on the node that this runs on, and return its log."""
    logs: list[bytes] = []
    with temporary_folder() as folder:
        runner = LocalRunner(
            Workplace(Path(folder)), sweep, task.needs, allowed, lambda log: logs.append(log.read_bytes()), silent
        )
        runner.run([replace(task, left=1)])
    return logs[0]


def silent(*_: object) -> None:
    """Show nothing: who runs the sweep does."""


@dataclass
class RayRunner:
    """Runs tasks on a cluster; `keep` and `show` are as for a LocalRunner."""

    cluster: Cluster
    place: Workplace
    sweep: str
    allowed: float | None
    keep: Callable[[Path], None]
    show: Callable[[Sequence[tuple[Task, float]], Sequence[Task]], None]

    def run(self, tasks: Sequence[Task]) -> None:
        """Run every task as often as it is left, and return when all are done; what writes, one run after the other."""
        waiting = [task for task in tasks for _ in range(task.left)]
        pending: dict[Any, Task] = {}
        while waiting or pending:
            for task in [*waiting]:
                if not task.writes or all(one.cell.id != task.cell.id for one in pending.values()):
                    waiting.remove(task)
                    pending[self.cluster.start(run_there, task.needs, task, self.sweep, self.allowed)] = task
            done, _ = self.cluster.ray.wait(list(pending), num_returns=1, timeout=AWAKE)
            for reference in done:
                task = pending.pop(reference)
                log = self.place.log(task.cell)
                with written(log, LOST.format(task.cell.name)):
                    log.write_bytes(self.cluster.ray.get(reference))
                self.place.hand_over(log, self.keep)
            self.show([], [*pending.values(), *waiting])
