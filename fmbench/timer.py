"""Waiting until a moment, to tens of microseconds: event loops round their timers to whole milliseconds."""

import asyncio
import contextlib
import ctypes
import heapq
import os
import platform
import struct
import sys
import time
from collections.abc import Iterator

ABSOLUTE = 1  # TFD_TIMER_ABSTIME
LIBC = ctypes.CDLL(None)
SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
SLICE = 100_000  # nanoseconds, the least that Linux takes


class Timer:
    """Wakes coroutines of one event loop at moments of `time.monotonic`; made by `timer()`.

    On Linux by a timerfd, elsewhere by the loop's own timers.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, descriptor: int | None) -> None:
        self._loop, self._descriptor = loop, descriptor
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    async def until(self, moment: float) -> None:
        """Return at a moment in seconds; at once where it has passed."""
        if moment <= time.monotonic():
            return
        future = self._loop.create_future()
        if self._descriptor is None:
            self._loop.call_later(moment - time.monotonic(), self._wake, future)
        else:
            self._count += 1
            heapq.heappush(self._waiting, (moment, self._count, future))
            if self._waiting[0][2] is future:
                self._set(moment)
        await future

    @staticmethod
    def _wake(future: "asyncio.Future[None]") -> None:
        if not future.done():
            future.set_result(None)

    def _set(self, moment: float) -> None:
        seconds, rest = divmod(max(1, round(moment * 1e9)), 1_000_000_000)
        LIBC.timerfd_settime(self._descriptor, ABSOLUTE, struct.pack("4l", 0, 0, seconds, rest), None)

    def _ring(self) -> None:
        """Wake everybody whose moment has come."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor or 0, 8)
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            self._wake(heapq.heappop(self._waiting)[2])
        if self._waiting:
            self._set(self._waiting[0][0])


@contextlib.contextmanager
def timer() -> Iterator[Timer]:
    """Yield a timer of the running loop."""
    loop = asyncio.get_running_loop()
    linux = sys.platform == "linux"
    descriptor = LIBC.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC) if linux else -1
    if descriptor < 0:
        yield Timer(loop, None)
        return
    take_short_turns()
    made = Timer(loop, descriptor)
    loop.add_reader(descriptor, made._ring)
    try:
        yield made
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def take_short_turns() -> None:
    """Let this thread run in short slices: whoever takes these runs at once when it wakes, not after another's slice.

    Linux 6.12 and later; elsewhere nothing changes. It gets no larger share of a core.
    """
    if (number := SCHED_SETATTR.get(platform.machine())) and os.sched_getscheduler(0) == os.SCHED_OTHER:
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        LIBC.syscall(number, 0, struct.pack("IIQiIQQQ", 48, os.SCHED_OTHER, 0, nice, 0, SLICE, 0, 0), 0)
