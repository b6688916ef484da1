"""Waiting until a moment of the monotonic clock."""

import asyncio
import ctypes
import os
import platform
import struct
import threading
import time

import pytest

from fmbench.timer import LIBC, SCHED_SETATTR, SLICE, Timer, take_short_turns, timer

GETATTR = {"x86_64": 315, "aarch64": 275}
KNOWN = platform.system() == "Linux" and platform.machine() in GETATTR
KERNEL = tuple(map(int, platform.release().split(".")[:2])) if KNOWN else (0, 0)


@pytest.mark.parametrize("exact", [True, False])
def test_everybody_is_woken_in_the_order_of_their_moments_and_never_early(exact):
    woken = []

    async def sleep(clock, place, moment):
        await clock.until(moment)
        woken.append((place, time.monotonic() >= moment - 1e-3 * (not exact)))

    async def run():
        with timer() as clock:
            clock = clock if exact else Timer(asyncio.get_running_loop(), None)
            start = time.monotonic()
            moments = {3: 0.32, 1: 0.3, 2: 0.31, -1: -0.01, 0: 0}  # seconds, which come when all wait
            await asyncio.gather(*(sleep(clock, place, start + later) for place, later in moments.items()))

    asyncio.run(run())
    assert [place for place, _ in woken[2:]] == [1, 2, 3] and {place for place, _ in woken[:2]} == {-1, 0}
    assert all(late for _, late in woken)


def scheduled():
    """What Linux says of this thread: its policy and the nanoseconds of its slice."""
    found = ctypes.create_string_buffer(48)
    assert LIBC.syscall(GETATTR[platform.machine()], 0, found, 48, 0) == 0
    _, policy, _, nice, _, turn, _, _ = struct.unpack("IIQiIQQQ", found.raw)
    return policy, nice, turn


@pytest.mark.skipif(KERNEL < (6, 12), reason="no slices of one's own before Linux 6.12")
def test_a_thread_takes_short_turns_and_keeps_its_priority():
    seen = []

    def run():
        long = struct.pack("IIQiIQQQ", 48, os.SCHED_OTHER, 0, scheduled()[1], 0, 20 * SLICE, 0, 0)
        LIBC.syscall(SCHED_SETATTR[platform.machine()], 0, long, 0)
        seen.append(scheduled())
        take_short_turns()
        seen.append(scheduled())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    (policy, nice, before), after = seen
    assert (policy, before) == (os.SCHED_OTHER, 20 * SLICE) and after == (policy, nice, SLICE)
