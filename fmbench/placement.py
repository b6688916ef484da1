"""Where a process computes: on one CPU a core, of one NUMA node (`--pin`)."""

import contextlib
import os
from pathlib import Path

from fmbench import host
from fmbench.cgroup import read
from fmbench.errors import UsageError

TASKS = Path("/proc/self/task")  # a folder for each thread
_held: list[int] = []  # the CPUs of this process, once it is pinned


def nodes() -> list[list[int]]:
    """Return one CPU of each core that this process may run on, by NUMA node, the largest node first.

    Raises UsageError where the system does not say.
    """
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    found: dict[str, dict[str, int]] = {}
    for cpu in allowed:
        folder = host.CPU_FOLDER / f"cpu{cpu}"
        siblings = read(folder / "topology/thread_siblings_list").strip()
        if not siblings:
            raise UsageError("--pin: the kernel does not say which CPUs are one core; leave it out, or use taskset")
        node = next((path.name for path in folder.glob("node[0-9]*")), "")
        found.setdefault(node, {}).setdefault(siblings, cpu)
    if not found:
        raise UsageError("--pin: this system lets no program choose its CPUs; leave it out")
    return sorted((list(cores.values()) for cores in found.values()), key=len, reverse=True)


def choose(threads: int | None) -> list[int]:
    """Return the CPUs of this process, as many as it has threads, where not given as the largest node has cores.

    Of several processes of one machine, which a launcher numbers by LOCAL_RANK, each has its own. Raises UsageError.
    """
    every, rank = nodes(), int(os.environ.get("LOCAL_RANK") or 0)
    count = threads or len(every[0])
    groups = [cores[first : first + count] for cores in every for first in range(0, len(cores) - count + 1, count)]
    if rank >= len(groups):
        sizes = ", ".join(str(len(cores)) for cores in every)
        raise UsageError(
            f"--pin: {count} threads for process {rank + 1} of this machine need as many cores of one NUMA node, all "
            f"their own; the nodes have {sizes} here; lower --threads"
        )
    return groups[rank]


def pin(threads: int | None) -> None:
    """Let every thread of this process run on these CPUs alone: those that libraries start later have the same.

    A process is pinned once. Raises UsageError, also for more threads than it was pinned for.
    """
    if not _held:
        _held[:] = choose(threads)
        for task in TASKS.iterdir():
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.sched_setaffinity(int(task.name), _held)
    if threads and threads > len(_held):
        raise UsageError(f"--threads {threads}: --pin has {len(_held)} cores for this process")


def facts() -> dict[str, list[int]]:
    """Return which CPUs this process is pinned to; nothing where it is not."""
    return {"pinned_cpus": list(_held)} if _held else {}
