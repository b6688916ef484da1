"""Waiting for programs that a test started: for what is to happen, since no time is long enough on every machine."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

STEP = 0.01  # seconds: counted in steps, since the tests themselves may be stopped meanwhile
LONGEST = 120.0  # seconds, after which it is a failure
Found = TypeVar("Found")


def until(found: Callable[[], Found]) -> Found:
    """Wait for something true, and return it."""
    for _ in range(round(LONGEST / STEP)):
        if value := found():
            return value
        time.sleep(STEP)
    raise AssertionError("it does not come")


def command_of(process_id: str) -> bytes:
    """Return what /proc says that a process runs: nothing when it has ended."""
    try:
        return Path("/proc", process_id, "cmdline").read_bytes()
    except OSError:
        return b""


def rest(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Wait for a program's end; return what it printed and said since the last line that was read.

    `communicate` would lose what was read together with that line.
    """
    assert process.stdout is not None and process.stderr is not None
    with process:
        return process.stdout.read(), process.stderr.read()


def until_it_computes(process: subprocess.Popen[str]) -> None:
    """Wait until a program that has nothing left to do but to compute is at that."""

    def spent() -> int:
        fields = Path("/proc", str(process.pid), "stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])  # of the user and the system

    before = spent()
    until(lambda: spent() > before + os.sysconf("SC_CLK_TCK") / 10)
