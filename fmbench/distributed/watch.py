"""One rank that dies, or fails, ends the job: every rank says which one it was, and goes.

A thread of every rank counts its own heartbeats in a store that rank 0 serves. Rank 0 watches all hearts, the others
that of rank 0; what rank 0 finds, or a failing rank says of itself, all others read from the store.
"""

import contextlib
import json
import os
import signal
import socket
import threading
import time
from dataclasses import dataclass
from datetime import timedelta

from fmbench import ending
from fmbench.console import say

BEAT = 0.5  # seconds between two heartbeats
PATIENCE = 30.0  # seconds without one, after which a rank is dead
HURRIED = 5.0  # the same once a connection broke, or this rank was asked to end and others were not
SOON = 1.0  # seconds in which a signal reaches all ranks, and one that lives beats
GRACE = 2.0  # seconds in which the main thread may clean up: below `fmbench.ending.PATIENCE`
RELEASE = 8.0  # seconds in which a rank that fails has ended, and lets go of those that wait for it


@dataclass(frozen=True)
class Failure:
    """Why the job ends, and with which exit code."""

    text: str
    code: int
    rank: int


class Watch:
    """The heartbeat of this rank, and its eye on the others."""

    def __init__(self, rank: int, world_size: int, address: str, port: int | None, patience: float = PATIENCE) -> None:
        """Connect to the store at rank 0, or serve it where there is no port."""
        from torch.distributed import TCPStore

        self.rank, self._world_size, self._patience = rank, world_size, patience
        self._store = TCPStore(
            "localhost" if port is None else address,
            port or 0,
            is_master=port is None,
            wait_for_workers=False,
            timeout=timedelta(seconds=patience),
        )
        self.port = self._store.port
        self._failure: Failure | None = None
        self._said = threading.Event()  # the failure, to everybody
        self._awaited = False  # by the main thread, which then needs no interruption
        self._reported = False  # by this rank, of itself
        self._lost = False  # the store
        self.waits = False  # the main thread, for another rank
        self._stopped = threading.Event()
        self._store.set(f"host/{rank}", socket.gethostname())
        self._main_host = socket.gethostname() if rank == 0 else self._store.get("host/0").decode()
        self._own = 0  # beats, which are the clock: while all are stopped, or starved, nobody is silent
        self._beats = dict.fromkeys(range(1, world_size) if rank == 0 else [0], (0, 0))
        self._thread = threading.Thread(target=self._run, daemon=True, name="fmbench-watch")
        self._thread.start()

    @property
    def failure(self) -> Failure | None:
        """Why the watch ends the job, once everybody has been told."""
        return self._failure if self._said.is_set() else None

    def _run(self) -> None:
        while not self._stopped.wait(BEAT):
            failure = self._look()
            if failure is not None:
                if not self._reported:
                    self._failure = failure
                    self._end(failure)
                return

    def _look(self) -> Failure | None:
        """Beat once, and return what has gone wrong."""
        try:
            self._own = self._store.add(f"beat/{self.rank}", 1)
            if not self._store.check(["failure"]):
                dead = self._without_beat()
                if dead is None:
                    return None
                self._publish(Failure(f"{self._name(dead)} died: no sign of life; the job ends", 1, dead))
            return Failure(**json.loads(self._store.get("failure")))
        except RuntimeError:  # the store went with the process that served it
            if self._stopped.is_set():
                return None
            self._lost = True
            return Failure(f"rank 0 ({self._main_host}) died: its connections are closed; the job ends", 1, 0)

    def _without_beat(self) -> int | None:
        """Return the rank that has been silent for too long."""
        limit = min(HURRIED, self._patience) if self._store.add("hurry", 0) else self._patience
        for rank, (count, since) in self._beats.items():
            current = self._store.add(f"beat/{rank}", 0)
            if current != count:
                self._beats[rank] = (current, self._own)
            elif (self._own - since) * BEAT > limit and not self._store.check([f"ended/{rank}"]):
                return rank
        return None

    def _name(self, rank: int) -> str:
        host = self._store.get(f"host/{rank}").decode() if self._store.check([f"host/{rank}"]) else "unknown host"
        return f"rank {rank} ({host})"

    def _publish(self, failure: Failure) -> None:
        """Write why the job ends, unless somebody has."""
        self._store.compare_set("failure", "", json.dumps(vars(failure)))

    def _end(self, failure: Failure) -> None:
        """Say why, and end this process: by an interruption of the main thread, else at once."""
        say(failure.text)
        if not self._lost:
            self._wait_until_told()
        self._said.set()
        ending.allow(RELEASE + 2 * GRACE)
        if not self._awaited:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)  # ends a wait, but gloo's
        for _ in range(round(RELEASE / GRACE * 10)):
            if self.waits:
                ending.pause(GRACE / 10)
        ending.pause(GRACE)
        os._exit(failure.code)

    def _wait_until_told(self, seconds: float = GRACE) -> None:
        """Count this rank as told; where the store is its own, wait for the others, who have yet to read it."""
        deadline = time.monotonic() + seconds
        try:
            told = self._store.add("told", 1)
            while self.rank == 0 and told < self._world_size - 1 and time.monotonic() < deadline:
                time.sleep(0.05)
                told = self._store.add("told", 0)
        except RuntimeError:
            return

    def report(self, text: str, code: int) -> None:
        """Tell all ranks that this one fails, and return once they know."""
        self._reported = True
        with contextlib.suppress(RuntimeError):
            self._publish(Failure(f"{self._name(self.rank)} failed: {text}; the job ends", code, self.rank))
            deadline = time.monotonic() + 2 * GRACE
            while self._store.add("told", 0) < self._world_size - 1 and time.monotonic() < deadline:
                time.sleep(0.05)

    def verdict(self) -> Failure | None:
        """Wait for the reason why a connection broke, or why the system ends this rank: another may have died."""
        self._awaited = True
        if self._failure is None:
            with contextlib.suppress(RuntimeError):
                self._store.add("hurry", 1)
        self._said.wait(HURRIED + GRACE + 4 * BEAT)
        return self.failure

    def all_asked(self) -> bool:
        """Return whether all ranks were asked to end, as this one was: then nobody has died, and each ends by itself.

        Otherwise one has, or was asked alone; the launcher asks the others when one has died. Which one it was is known
        afterwards, or that all live. Ranks in code that heeds no signal count as asked where they live.
        """
        others = [rank for rank in range(self._world_size) if rank != self.rank]
        try:
            self._store.set(f"asked/{self.rank}", "")
            before = {rank: self._store.add(f"beat/{rank}", 0) for rank in others}
            deadline = time.monotonic() + SOON
            while time.monotonic() < deadline and self._failure is None:
                if self._store.check([f"asked/{rank}" for rank in others]):
                    self._part()
                    return True
                time.sleep(0.05)
            alive = [rank for rank in others if self._store.add(f"beat/{rank}", 0) > before[rank]]
        except RuntimeError:  # the store went with rank 0
            alive = []
        if self._failure is not None or len(alive) < len(others):
            ending.allow(HURRIED + 2 * GRACE + 4 * BEAT)
            self.verdict()
        return False

    def _part(self) -> None:
        """Stop watching; rank 0 serves its store until all others have, or are gone."""
        self._stopped.set()
        with contextlib.suppress(RuntimeError):
            parted = self._store.add("parted", 1)
            deadline = time.monotonic() + SOON
            while self.rank == 0 and parted < self._world_size and time.monotonic() < deadline:
                time.sleep(0.02)
                parted = self._store.add("parted", 0)

    def leave(self) -> None:
        """End the watch over this rank, which has done its work. Rank 0 stays until nobody needs its store any more."""
        with contextlib.suppress(RuntimeError):
            self._store.set(f"ended/{self.rank}", "")
            ended = self._store.add("ended", 1)
            while self.rank == 0 and ended < self._world_size and self._thread.is_alive():
                time.sleep(0.02)
                ended = self._store.add("ended", 0)
        self._stopped.set()
        self._thread.join(GRACE)
