"""Ranks on this machine, started by the command itself: `--processes N` for its torchrun with shared-out threads."""

import contextlib
import dataclasses
import os
import socket
import sys
from collections.abc import Sequence
from typing import TypeVar

from fmbench import children, host
from fmbench.errors import UsageError
from fmbench.options import Arguments

from .environment import Launch

A = TypeVar("A", bound=Arguments)


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


def start_ranks(count: int, words: Sequence[str]) -> int:
    """Run a command of fmbench as so many ranks, and return the exit code of the first one that failed, else 0."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    shared = {"WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    with contextlib.ExitStack() as stack:
        ranks = []
        for rank in range(count):
            own = {name: str(value) for name, value in {**shared, "RANK": rank, "LOCAL_RANK": rank}.items()}
            command = [sys.executable, "-m", "fmbench", *words]
            ranks.append(stack.enter_context(children.started(command, {**os.environ, **own}, stdout=None)))
    codes = [code if code >= 0 else 128 - code for code in (process.returncode for process in ranks)]
    return next(filter(None, codes), 0)
