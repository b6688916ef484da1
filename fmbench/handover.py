"""How far the CPUs of this machine are from each other, now: the time to read what another CPU has just written.

A hypervisor runs the CPUs of a virtual machine on cores that share a cache, or on cores that do not, and changes that
within seconds. Threads that read what other threads wrote then take another time, which nothing else here shows.
"""

import contextlib
import ctypes
import os
import threading
import time

BYTES = 2**18  # fits into the cache of one core
LINE = 64
ROUNDS = 20
WRITTEN, ABSENT = 7, 1
PATIENCE = 1.0  # seconds


def handover() -> float | None:
    """Return the nanoseconds that a cache line takes from the last CPU of this process to its first: the least of some.

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
