"""Whether other work had the CPUs: how often it took one from this process, and how long threads waited for one."""

import contextlib
import resource
from pathlib import Path

TASKS = Path("/proc/self/task")
WAITED_LIMIT = 0.2  # threads in line for a CPU, on average; of two threads on two idle CPUs it stays below a tenth
SHORTEST = 0.1  # seconds: in less, one preemption would look like many


def preemptions() -> int:
    """Return how often the system took a CPU away from any thread of this process, since it began."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def rate(count: int, seconds: float) -> float:
    """Return preemptions a second."""
    return round(count / max(seconds, SHORTEST), 1)


def waited() -> int | None:
    """Return the nanoseconds that the threads of this process stood in line for a CPU; None where the kernel is silent.

    It also counts for threads that give their CPU away while they have nothing to do, of which preemptions say nothing.
    """
    ran = waited = 0
    for path in TASKS.glob("*/schedstat"):
        with contextlib.suppress(OSError):  # a thread that ended meanwhile
            on_a_cpu, in_line = map(int, path.read_text().split()[:2])
            ran, waited = ran + on_a_cpu, waited + in_line
    return waited if ran else None  # a kernel that does not count prints zeros


def waiting(start: int | None, end: int | None, seconds: float) -> float | None:
    """Return how many threads stood in line on average, from two readings of `waited`."""
    if start is None or end is None:
        return None
    return round(max(end - start, 0) / 1e9 / max(seconds, SHORTEST), 3)


def weightiest(reason: str | None, waiting: float | None) -> str | None:
    """Return why figures should not be trusted: for this `reason`, or for the threads that stood in line; or None."""
    if waiting is None or waiting <= WAITED_LIMIT or (reason or "").startswith("recompiled"):
        return reason
    return f"contended: {waiting:.1f} threads on average waited for a CPU that was busy"
