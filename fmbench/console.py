"""What a program says to its user. stdout carries results only; everything here goes to stderr."""

import contextlib
import errno
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import TextIO

from fmbench.errors import FmbenchError, UsageError, first_line
from fmbench.whole_file import written

INTERRUPTED = 130
BROKEN_PIPE = 141


TERMINATED = 143


class Terminated(KeyboardInterrupt):
    """The system, or a scheduler, asks the process to end (SIGTERM): what was measured is kept, as after Ctrl-C."""


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Turn SIGTERM into an exception inside the context, where that is possible: in the main thread."""

    def end(*_: object) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def note(text: str) -> None:
    """Say something that the user may want to know."""
    say(f"note: {text}")


def warn(text: str) -> None:
    """Say something that the user should know."""
    say(f"warning: {text}")


def say(text: str) -> None:
    """Write one line to stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


class Progress:
    """One line on a terminal that is written over; nothing where stderr is no terminal."""

    def __init__(self, stream: TextIO | None = None, every: float = 0.2) -> None:
        self._stream = stream or sys.stderr
        self._every = every
        self._next = 0.0 if self._stream.isatty() else float("inf")
        self._shown = False

    def show(self, text: str) -> None:
        """Write the line, at most once in `every` seconds."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._every
            self._shown = True
            self._stream.write(f"\r\x1b[K{text}")
            self._stream.flush()

    def clear(self) -> None:
        """Remove the line."""
        if self._shown:
            self._shown = False
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def run_main(program: str, body: Callable[[], int]) -> int:
    """Run a program's body and return its exit code; every failure is one line on stderr.

    The variable FMBENCH_DEBUG asks for the traceback as well.
    """
    try:
        code = body()
        with written("standard output"):
            sys.stdout.flush()
        return code
    except KeyboardInterrupt as interruption:
        say(f"{program}: interrupted; what was printed so far is whole")
        return TERMINATED if isinstance(interruption, Terminated) else INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`driver | head`). Python would complain once more when it closes stdout.
        discard_output()
        return BROKEN_PIPE
    except FmbenchError as error:
        debug()
        say(f"{program}: error: {' '.join(str(error).split())}")
        discard_output()
        return error.exit_code
    except ModuleNotFoundError as error:
        debug()
        say(f"{program}: error: the package {error.name} is missing; `fmbench doctor` says what to install")
        return 1
    except OSError as error:
        debug()
        discard_output()
        where = error.filename if error.filename is not None else "standard output, or another file without a name"
        fix = "; name a shorter path" if error.errno == errno.ENAMETOOLONG else ""
        say(f"{program}: error: {where}: {error.strerror or first_line(error)}{fix} (FMBENCH_DEBUG=1 shows where)")
        return UsageError.exit_code if fix else 1
    except Exception as error:
        debug()
        say(f"{program}: error: {type(error).__name__}: {first_line(error)} (FMBENCH_DEBUG=1 shows the traceback)")
        return 1


def discard_output() -> None:
    """Write what is left for stdout, or drop it: Python would try again in the end, and complain."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def debug() -> None:
    """Print the current exception's traceback where the user asked for it."""
    if os.environ.get("FMBENCH_DEBUG"):
        traceback.print_exc()


@contextlib.contextmanager
def reserved_stdout() -> Iterator[TextIO]:
    """Yield a stream to the real stdout, and send everything else that is written there to stderr.

    Libraries, compiled ones too, print what they like; the log must hold our lines only. Where stdout is not the
    process's own (a test captures it), it is yielded as it is.
    """
    try:
        ours = sys.stdout.fileno() == 1
    except (OSError, ValueError, AttributeError):
        ours = False
    if not ours:
        yield sys.stdout
        return
    sys.stdout.flush()
    real = os.dup(1)
    os.dup2(2, 1)
    try:
        stream = open(real, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        try:
            yield stream
        finally:
            with written("standard output"):
                stream.close()
    finally:
        sys.stdout.flush()
        os.dup2(real, 1)
        os.close(real)
