"""Ranks on this machine, started by the command itself: `--processes N` for its torchrun with shared-out threads."""

import contextlib
import dataclasses
import os
import random
import socket
import sys
from collections.abc import Sequence
from typing import TypeVar

from fmbench import children, host
from fmbench.errors import UsageError
from fmbench.options import Arguments

from .environment import Launch

A = TypeVar("A", bound=Arguments)
PORTS = range(20_000, 32_000)  # below those that Linux, the BSDs and Windows hand out


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
            command = [sys.executable, "-m", "fmbench", *words]
            ranks.append(stack.enter_context(children.started(command, {**os.environ, **own}, stdout=None)))
    codes = [code if code >= 0 else 128 - code for code in (process.returncode for process in ranks)]
    return next(filter(None, codes), 0)
