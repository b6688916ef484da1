"""Whether other work had the CPUs: how often it took one from this process, and how long threads waited for one."""

import contextlib
import resource
from pathlib import Path

TASKS = Path("/proc/self/task")
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
