"""A fake: `fmbench serve` with faults on request. `python -m tests.fake_service --corrupt 500 -- --platform null ...`.

What is a fault is drawn by the count of requests, so that a run of a known number meets it.
"""

import argparse
import dataclasses
import os
import sys
import time

import numpy as np

from fmbench.console import run_main
from fmbench.converted import Output
from fmbench.drivers.serve.serve import serve
from fmbench.serving import parse


class FakeEngine:
    """Another engine, whose answers go wrong."""

    def __init__(self, engine, given):
        self._engine, self._given, self._count, self._vectors = engine, given, 0, 0
        self.limit, self.max_length = engine.limit, engine.max_length
        if given.turns:
            turn(engine._encoder._compute, given.turns)

    @property
    def waiting(self):
        return self._engine.waiting

    @property
    def wrong(self):
        return self._engine.wrong

    @property
    def looked(self):
        return self._engine.looked

    async def answer(self, texts, role, cut):
        self._count += 1
        if self._count == self._given.die:
            os._exit(1)
        if self._count == self._given.stall_at:
            time.sleep(self._given.stall)  # the whole server stands still
        found = await self._engine.answer(texts, role, cut)
        vectors = np.array(found.vectors)
        if self._given.swap and len(vectors) > 1:
            vectors[[0, 1]] = vectors[[1, 0]]
        if self._given.nan and self._count % self._given.nan == 0:
            vectors[0, 0] = np.nan
        if self._given.longer:
            vectors *= 2
        if self._given.zero:
            vectors *= 0
        if self._given.one:
            vectors[:] = np.eye(1, vectors.shape[1])
        for place in range(len(vectors)):
            self._vectors += 1
            if self._given.corrupt and self._vectors % self._given.corrupt == 0:
                vectors[place] = np.roll(vectors[place], 7)
        return dataclasses.replace(found, vectors=vectors)


def turn(compute, after):
    """Let a platform's call return the rows of a batch in another order, after so many calls."""
    right, calls = compute._forward, iter(range(10**9))

    def call(batch):
        found = right(batch).last_hidden_state
        return Output(found if next(calls) < after else found.flip(0))

    compute._forward = call


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("corrupt", "nan", "die", "stall_at", "turns"):
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--stall", type=float, default=0.0)
    for name in ("swap", "longer", "zero", "one"):
        parser.add_argument(f"--{name}", action="store_true")
    place = sys.argv.index("--")
    given = parser.parse_args(sys.argv[1:place])

    def wrap(served):
        return dataclasses.replace(served, engine=FakeEngine(served.engine, given))

    return run_main("fake service", lambda: serve(parse(sys.argv[place + 1 :]), wrap))


if __name__ == "__main__":
    sys.exit(main())
