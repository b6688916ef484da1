"""What is read before and after repetitions: who else had the CPUs, peak memory, energy, how far CPUs are apart.

Energy is what a device's own counter says, or why it says nothing; never an estimate.
"""

import contextlib
import ctypes
import math
import numbers
import os
import resource
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmbench.cgroup import ControlGroups, read

TASKS = Path("/proc/self/task")
SHORTEST = 0.1  # seconds: in less, one preemption would look like many
SHORTEST_SHARE = 1.0  # seconds: in less, one thread that the kernel ran for a millisecond would look like much


def preemptions() -> int:
    """Return how often the system took a CPU away from any thread of this process, since it began."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def preemption_rate(count: int, seconds: float) -> float:
    """Return preemptions a second."""
    return round(count / max(seconds, SHORTEST), 1)


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Nanoseconds, over all threads of this process: `on_a_cpu` they ran, `in_line` they wanted to and had none."""

    on_a_cpu: int
    in_line: int


def cpu_time() -> CpuTime | None:
    """Return what the threads of this process had of the CPUs; None where the kernel is silent.

    `in_line` also counts for threads that give their CPU away while they have nothing to do, of which preemptions say
    nothing.
    """
    ran = waited = 0
    for path in TASKS.glob("*/schedstat"):
        with contextlib.suppress(OSError):  # a thread that ended meanwhile
            on_a_cpu, in_line = map(int, path.read_text().split()[:2])
            ran, waited = ran + on_a_cpu, waited + in_line
    return CpuTime(ran, waited) if ran else None  # a kernel that does not count prints zeros


def waiting_threads(start: CpuTime | None, end: CpuTime | None, seconds: float) -> float | None:
    """Return how many threads stood in line on average, from two readings of `cpu_time`."""
    if start is None or end is None:
        return None
    return round(max(end.in_line - start.in_line, 0) / 1e9 / max(seconds, SHORTEST), 3)


def share_in_line(start: CpuTime | None, end: CpuTime | None, seconds: float) -> float | None:
    """Return in what share of the time that threads wanted a CPU they stood in line for it.

    Where they wanted less than one CPU, as beside a device that computes, it is the share of the `seconds`.
    """
    if start is None or end is None:
        return None
    ran, waited = max(end.on_a_cpu - start.on_a_cpu, 0), max(end.in_line - start.in_line, 0)
    return round(waited / max(ran + waited, max(seconds, SHORTEST_SHARE) * 1e9), 4)


STATUS = "/proc/self/status"
CLEAR = Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # see proc(5): resets the peak resident set size


def reset_host_peak() -> bool:
    """Start a new peak; return whether the kernel let us."""
    try:
        CLEAR.write_text(RESET_PEAK)
    except OSError:
        return False
    return True


def host_peak() -> int | None:
    """Return the peak resident bytes since the last reset, or None where no kernel counts them."""
    return field_bytes(read(STATUS), "VmHWM")


def host_resident() -> int | None:
    """Return the bytes of memory that this process holds, or None where no kernel counts them."""
    return field_bytes(read(STATUS), "VmRSS")


def host_available() -> int | None:
    """Return the bytes that this process can have without swapping, or None where the kernel does not say.

    The least of what the machine has, what the limits of its control groups leave, and what its address space may grow.
    """
    known = (field_bytes(read("/proc/meminfo"), "MemAvailable"), ControlGroups().memory_left(), address_space_left())
    return min((left for left in known if left is not None), default=None)


def address_space_left() -> int | None:
    """Return the bytes by which the address space may grow (ulimit -v), or None where nothing limits it."""
    limit, used = resource.getrlimit(resource.RLIMIT_AS)[0], field_bytes(read(STATUS), "VmSize")
    return None if limit == resource.RLIM_INFINITY or used is None else max(limit - used, 0)


def field_bytes(text: str, name: str) -> int | None:
    """Return the field `name: N kB` in bytes."""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    return None


MOST_BYTES = 2**60  # of a device's memory: what is above is no count of them


@dataclass(frozen=True, slots=True)
class Memory:
    """Peak bytes on the device since the last reset."""

    peak: int


LEAST_OF_WEIGHTS = 1 / 8  # of a model's bytes: a device may hold 32 bits as 4


def is_peak(value: Any, weights: bool, model_bytes: int = 0) -> bool:
    """Whether a value is Memory with a count of bytes, which is above zero where there are `weights` among them.

    Of so many `model_bytes` before the device took them.
    """
    if not (isinstance(value, Memory) and is_count(value.peak)):
        return False
    return max(int(weights), weights * model_bytes * LEAST_OF_WEIGHTS) <= value.peak <= MOST_BYTES


def is_count(value: Any) -> bool:
    """Whether a value is a whole number, zero or above."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


LEAST_SECONDS = 0.5  # counters advance in steps of up to a tenth of a second; a shorter window reads noise


@dataclass(frozen=True, slots=True)
class Counter:
    """One reading: joules since an arbitrary start, or None and the reason; `source` names what counts.

    Raises TypeError for joules that are no number from zero on, that nothing counts, or that a reason says are none.
    """

    joules: float | None
    source: str | None
    reason: str | None

    def __post_init__(self) -> None:
        said: Any = self.joules  # of a vendor's library NumPy's may come
        if said is None:
            return
        if not (isinstance(said, numbers.Real) and math.isfinite(said) and float(said) >= 0):
            raise TypeError(f"Counter: joules is a number, zero or above, or None, not {said!r}")
        if not self.source or self.reason is not None:
            raise TypeError(f"Counter: joules have a source and no reason why there are none: {self}")
        object.__setattr__(self, "joules", float(said))

    def since(self, start: "Counter") -> "Counter":
        """Return the joules that were counted since a start, or None and the reason."""
        if self.joules is None or start.joules is None:
            return Counter(None, self.source, self.reason or start.reason)
        if self.source != start.source:
            return Counter(None, self.source, f"it was another counter before, {start.source}")
        spent = self.joules - start.joules
        if spent < 0:
            went = f"the counter went back, from {start.joules:g} to {self.joules:g} joules"
            return Counter(None, self.source, went)
        return Counter(spent, self.source, None)

    def over(self, seconds: float) -> "Counter":
        """Return the same, or None and the reason where no figure is to be had of joules that a window counted."""
        if self.joules is None:
            return self
        if seconds < LEAST_SECONDS:
            short = f"{seconds:.2f} s are too short for the counter; {LEAST_SECONDS} s is the least"
            return Counter(None, self.source, short)
        if not self.joules:  # nothing computes for so long on nothing
            return Counter(None, self.source, f"the counter did not move in {seconds:.2f} s")
        return self


NO_COUNTER = Counter(None, None, "the platform has no energy counter")


def energy_spent(before: Counter, after: Counter, seconds: float, sequences: int) -> dict[str, Any]:
    """Return what a window took: joules and joules a sequence, or null and the reason. For the ENERGY line."""
    spent = after.since(before).over(seconds)
    return {
        "joules": spent.joules,
        "joules_per_sequence": None if spent.joules is None else spent.joules / sequences,
        "seconds": round(seconds, 6),
        "source": spent.source,
        "reason": spent.reason,
    }


BYTES = 2**18  # fits into the cache of one core
LINE = 64
ROUNDS = 20
WRITTEN, ABSENT = 7, 1
PATIENCE = 1.0  # seconds


def handover() -> float | None:
    """Return the nanoseconds that a cache line takes from the last CPU of this process to its first: the least of some.

    A hypervisor runs the CPUs of a virtual machine on cores that share a cache, or on cores that do not, and changes
    that within seconds. Threads that read what other threads wrote then take another time, which nothing else shows.

    None with one CPU, and where a thread cannot be kept on a CPU. It takes some milliseconds.
    """
    if not hasattr(os, "sched_setaffinity") or len(usable := sorted(os.sched_getaffinity(0))) < 2:
        return None
    try:
        os.sched_setaffinity(0, usable[:1])  # of this thread alone
    except OSError:  # a sandbox
        return None
    memory = ctypes.create_string_buffer(BYTES)
    writer = Writer(usable[-1], memory)
    writer.start()
    try:
        found = [search(memory) for _ in range(ROUNDS) if writer.write()]
    finally:
        writer.end()
        os.sched_setaffinity(0, usable)
    return round(min(found) * LINE / BYTES, 2) if found else None


def search(memory: ctypes.Array[ctypes.c_char]) -> int:
    """Return the nanoseconds in which this thread reads all of some memory: it looks for what is not there."""
    find, size = ctypes.CDLL(None).memchr, ctypes.c_size_t(BYTES)
    start = time.perf_counter_ns()
    find(memory, ABSENT, size)
    return time.perf_counter_ns() - start


class Writer(threading.Thread):
    """Writes all of some memory from one CPU, as often as it is told."""

    def __init__(self, cpu: int, memory: ctypes.Array[ctypes.c_char]) -> None:
        super().__init__(daemon=True)
        self._cpu, self._memory = cpu, memory
        self._told, self._written, self._over = threading.Event(), threading.Event(), False

    def run(self) -> None:
        """Write until the end."""
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, [self._cpu])
        while self._told.wait() and not self._over:
            self._told.clear()
            ctypes.memset(self._memory, WRITTEN, BYTES)
            self._written.set()

    def write(self) -> bool:
        """Have it written, and return afterwards whether that was done in time."""
        self._written.clear()
        self._told.set()
        return self._written.wait(PATIENCE)

    def end(self) -> None:
        """End the thread."""
        self._over = True
        self._told.set()
        self.join()
