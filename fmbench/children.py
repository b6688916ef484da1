"""Programs that this one starts. None outlives it, however it ends."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from fmbench.main_thread import MainThread

PATIENCE = 1.5  # seconds of its own that a child has to end by itself: below what this program has (`fmbench.ending`)
PR_SET_PDEATHSIG = 1
_running: "set[subprocess.Popen[str]]" = set()


@contextlib.contextmanager
def started(
    words: Sequence[str],
    environment: Mapping[str, str] | None = None,
    stderr: "int | IO[str] | None" = None,
    stdout: int | None = subprocess.PIPE,
) -> "Iterator[subprocess.Popen[str]]":
    """Start a program whose stdout is a pipe unless said, in a process group of its own, without a standard input.

    With the context it ends: by itself, or with what is raised there; it ends with this process too (on Linux).
    """
    from fmbench import ending  # which imports this file

    process = None
    try:
        with ending.in_one():  # what is raised where Python forks is lost, and a child that nobody knows is not ended
            process = subprocess.Popen(  # noqa: S603 (callers name the program)
                words, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, text=True, encoding="utf-8",
                env=environment, process_group=0, preexec_fn=bound(os.getpid()),
            )  # fmt: skip
            _running.add(process)
        yield process
        process.wait()
    except BaseException:
        if process is not None:
            with ended(process):
                pass
        raise
    finally:
        if process is not None:
            _running.discard(process)
            for pipe in filter(None, (process.stdout, process.stderr)):
                pipe.close()


def python(*words: str, program: str = sys.executable) -> list[str]:
    """Return the command of a Python that finds the modules which this one finds.

    `python -m` and `-c` look in the current folder first, where somebody's folder `fmbench` may hide the package; a
    command of fmbench does not, and so does not what it starts.
    """
    here = {"", str(Path.cwd())} & {*sys.path}  # where this one looks there itself, it is somebody's wish
    return [program, *([] if here else ["-P"]), *words]


def run(words: Sequence[str], environment: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end; what it said is kept."""
    with started(words, environment, subprocess.PIPE) as process:
        said = process.communicate()
    return subprocess.CompletedProcess(list(words), process.returncode, *said)


@contextlib.contextmanager
def ended(process: "subprocess.Popen[str]") -> Iterator[None]:
    """Ask a child, and all that it started, to end, and take its last words in the context; after a while, end them."""
    has_ended = threading.Event()
    signal_all(process, signal.SIGTERM)
    threading.Thread(target=end_late, args=(process, has_ended), daemon=True).start()
    try:
        yield
        process.wait()
    finally:
        has_ended.set()
        signal_all(process, signal.SIGKILL)


def end_late(process: "subprocess.Popen[str]", has_ended: threading.Event) -> None:
    """End a child that had its time; this program has as much more as the child was held up by a disk or a CPU."""
    from fmbench import ending  # which imports this file

    main, left = MainThread.of(process.pid), PATIENCE
    while left > 0:
        if has_ended.wait(ending.STEP):
            return
        left -= main.had(ending.STEP)
        ending.allow(left + ending.PATIENCE - PATIENCE)
    signal_all(process, signal.SIGKILL)


def kill_all() -> None:
    """End every child: this program ends where it stands."""
    for process in list(_running):
        signal_all(process, signal.SIGKILL)


def signal_all(process: "subprocess.Popen[str]", number: signal.Signals) -> None:
    """Send a signal to a child's process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def bound(parent: int) -> Callable[[], None] | None:
    """Return what a child of `parent` calls, itself: it is asked to end when its parent dies, even by SIGKILL."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def bind() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died meanwhile
            os._exit(1)

    return bind


def killed_by(number: int) -> str:
    """Return how a message says which signal ended a process: nobody knows who sent it."""
    hint = ", which a system sends where memory runs out" if number == signal.SIGKILL else ""
    return f"killed by signal {number} ({signal.Signals(number).name}){hint}"
