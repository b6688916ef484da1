"""Client processes: each sends its share, and hands over what it kept."""

import contextlib
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from threading import BrokenBarrierError
from typing import Any

from fmbench.children import bound
from fmbench.ending import allow, in_one
from fmbench.errors import FmbenchError

from .client import Plan, send
from .records import Records, together

HEAD_START = 0.05  # seconds from when every process is ready until the run starts
TO_START = 60.0  # seconds in which every process is ready
TO_STOP = 10.0  # seconds in which an interrupted run hands over what it has


def shares(plan: Plan, count: int) -> list[Plan]:
    """Return the plans of so many processes."""
    found = []
    for place in range(count):
        share = replace(plan, first=place, step=count, offset=plan.offset + place)
        if plan.due is not None:
            share = replace(share, due=plan.due[place::count])
        else:
            requests = None if plan.requests is None else len(range(place, plan.requests, count))
            share = replace(share, concurrency=len(range(place, plan.concurrency, count)), requests=requests)
        found.append(share)
    return found


def run(plan: Plan, count: int, tell: Callable[[float], None]) -> tuple[Records, KeyboardInterrupt | None]:
    """Send a plan's requests from so many processes; return what happened, and what ended it early, if anything.

    `tell` hears how many seconds have passed. Raises FmbenchError where a process dies.
    """
    plans = shares(plan, min(count, plan.concurrency) if plan.due is None else count)
    context = multiprocessing.get_context("fork")  # bodies are shared, not copied; no torch is in here
    start = context.Value("d", lock=False)

    def agree() -> None:
        start.value = time.monotonic() + HEAD_START

    barrier = context.Barrier(len(plans), agree, TO_START)
    pipes: list[Connection[object, object]] = []
    children = []
    with in_one():  # what is raised where Python forks is lost
        for share in plans:
            receiver, sender = context.Pipe(duplex=False)
            child = context.Process(target=work, args=(share, sender, pipes, os.getpid(), start, barrier), daemon=True)
            pipes.append(receiver)
            child.start()
            sender.close()
            children.append(child)
    interruption: KeyboardInterrupt | None = None
    begun = time.monotonic()
    try:
        for pipe in pipes:
            while not pipe.poll(1.0):
                tell(time.monotonic() - begun)
    except KeyboardInterrupt as error:
        allow(TO_STOP)
        interruption = error
        for child in children:
            child.terminate()
    found = [received(pipe) for pipe in pipes]
    for child in children:
        child.join()
    return together(found), interruption


def received(pipe: "Connection[object, object]") -> Records:
    """Return what a client process hands over. Raises FmbenchError where it died."""
    try:
        found = pipe.recv()
    except EOFError:
        raise FmbenchError("a client process died; was memory short?") from None
    if isinstance(found, Records):
        return found
    raise FmbenchError(f"a client process failed: {found}")


def work(
    plan: Plan,
    sender: "Connection[object, object]",
    receivers: "Sequence[Connection[object, object]]",
    parent: int,
    start: Any,
    barrier: Barrier,
) -> None:
    """Send, in a process of its own, and hand over what was kept, or what went wrong."""
    if (bind := bound(parent)) is not None:
        bind()
    for receiver in receivers:  # the parent's: while one is open here, nothing says that nobody reads
        receiver.close()

    def ready() -> float:
        barrier.wait()
        return float(start.value)

    try:
        found: Records | str = send(plan, ready)
    except KeyboardInterrupt:  # before it began
        found = Records()
    except BrokenBarrierError:
        found = f"another one was not ready within {TO_START:g} s"
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    with contextlib.suppress(BrokenPipeError):  # the parent is dead
        sender.send(found)
