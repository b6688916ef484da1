"""Ranks on this machine, started by the command itself: `--processes N` for its torchrun with shared-out threads."""

import contextlib
import dataclasses
import os
import queue
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import TypeVar

from fmbench import children, ending, host
from fmbench.console import say
from fmbench.errors import UsageError
from fmbench.options import Arguments

from .environment import Launch
from .watch import PATIENCE

A = TypeVar("A", bound=Arguments)
PORTS = range(20_000, 32_000)  # below those that Linux, the BSDs and Windows hand out
ALONE = 10.0  # seconds in which ranks that have met one that failed end by themselves, with its name
ASKED = 15.0  # seconds in which ranks that are asked to end do so


def share_of_threads(arguments: A, processes: int, launch: Launch) -> A:
    """Return the arguments of one of several processes, which share the threads: all cores', where none are given.

    Raises UsageError where they cannot be shared out, and under a launcher that started another number of ranks.
    """
    if processes == 1:
        return arguments
    if launch.world_size not in (1, processes):
        raise UsageError(f"--processes {processes}: the launcher started {launch.world_size}; leave it out")
    threads = arguments.threads or min(filter(None, (host.usable_cores(), host.useful_threads())), default=1)
    if threads % processes:
        raise UsageError(f"--processes {processes}: {threads} threads cannot be shared out evenly; give --threads")
    return dataclasses.replace(arguments, threads=threads // processes)


def free_port() -> int:
    """Return a port of this machine that nothing listens on, and that no system hands out by itself.

    Ranks listen on it seconds later, once they have imported torch: one of those handed out may be another's by then,
    and ranks that reach a stranger wait for the first of theirs without end. Raises UsageError where none is free.
    """
    for port in random.sample(PORTS, len(PORTS)):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise UsageError(f"no port from {PORTS[0]} to {PORTS[-1]} is free for ranks to meet at")


def start_ranks(count: int, words: Sequence[str]) -> int:
    """Run a command of fmbench as so many ranks, and return the exit code of the first one that failed, else 0."""
    shared = {"WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    with contextlib.ExitStack() as stack:
        ranks = []
        for rank in range(count):
            own = {name: str(value) for name, value in {**shared, "RANK": rank, "LOCAL_RANK": rank}.items()}
            command = children.python("-m", "fmbench", *words)
            ranks.append(stack.enter_context(children.started(command, {**os.environ, **own}, stdout=None)))
        return wait_for_all(ranks)


def wait_for_all(ranks: "Sequence[subprocess.Popen[str]]") -> int:
    """Wait until all ranks have ended, and return the exit code of the first one that failed, else 0.

    Those that never met one that ended would wait for it for minutes: it is named, and they are ended.
    """
    ended: queue.SimpleQueue[int] = queue.SimpleQueue()

    def wait(rank: int) -> None:
        ranks[rank].wait()
        ended.put(rank)

    for rank in range(len(ranks)):
        threading.Thread(target=wait, args=(rank,), daemon=True).start()
    try:
        first = ended.get()
        if not all_end(ranks, ALONE if ranks[first].returncode else PATIENCE):
            say(f"rank {first} {how_ended(ranks[first].returncode)}; the job ends")
            signal_living(ranks, signal.SIGTERM)
            if not all_end(ranks, ASKED):
                signal_living(ranks, signal.SIGKILL)
    except BaseException:
        signal_living(ranks, signal.SIGTERM)  # all at once: the contexts end them one after the other
        raise
    codes = [ranks[rank].returncode for rank in (first, *(ended.get() for _ in ranks[1:]))]
    return next((code if code > 0 else ending.BY_SIGNAL - code for code in codes if code), 0)


def all_end(ranks: "Sequence[subprocess.Popen[str]]", seconds: float) -> bool:
    """Wait for so long, and return whether all have ended."""
    for _ in range(round(seconds / ending.STEP)):
        if not living(ranks):
            return True
        time.sleep(ending.STEP)
    return False


def living(ranks: "Sequence[subprocess.Popen[str]]") -> "list[subprocess.Popen[str]]":
    """Return the ranks that have not ended."""
    return [process for process in ranks if process.poll() is None]


def signal_living(ranks: "Sequence[subprocess.Popen[str]]", number: signal.Signals) -> None:
    """Send a signal to every rank that has not ended, and to what it started."""
    for process in living(ranks):
        children.signal_all(process, number)


def how_ended(code: int) -> str:
    """Return how a message says that a rank ended, by its exit code, negative for a signal."""
    return f"was {children.killed_by(-code)}" if code < 0 else f"ended with exit code {code}"
