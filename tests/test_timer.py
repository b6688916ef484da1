"""Waiting until a moment of the monotonic clock."""

import asyncio
import time

import pytest

from fmbench.timer import Timer, timer


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
            await asyncio.gather(*(sleep(clock, place, start + 0.01 * place) for place in (3, 1, 2, -1, 0)))

    asyncio.run(run())
    assert [place for place, _ in woken[2:]] == [1, 2, 3] and {place for place, _ in woken[:2]} == {-1, 0}
    assert all(late for _, late in woken)
