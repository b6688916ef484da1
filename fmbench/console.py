"""What a program says to its user. stdout carries results only; everything here goes to stderr."""

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import TextIO

from fmbench.errors import FmbenchError, first_line
from fmbench.markdown import visible
from fmbench.secrets import masked_message

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
    say(f"note: {one_line(text)}")


def warn(text: str) -> None:
    """Say something that the user should know."""
    say(f"warning: {one_line(text)}")


def say(text: str) -> None:
    """Write text to stderr: without secrets, and without what a terminal obeys."""
    sys.stderr.write(f"{visible(masked_message(text).expandtabs())}\n")
    sys.stderr.flush()


def one_line(text: str) -> str:
    """Return a text whose line breaks are blanks: nothing in it can pass for another message."""
    return text.replace("\n", " ")


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
            self._stream.write(f"\r\x1b[K{one_line(visible(masked_message(text)))}")
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
        return body()
    except KeyboardInterrupt as interruption:
        say(f"{program}: interrupted; what was printed so far is whole")
        return TERMINATED if isinstance(interruption, Terminated) else INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`driver | head`). Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return BROKEN_PIPE
    except FmbenchError as error:
        debug()
        say(f"{program}: error: {' '.join(str(error).split())}")
        return error.exit_code
    except ModuleNotFoundError as error:
        debug()
        say(f"{program}: error: the package {error.name} is missing; `fmbench doctor` says what to install")
        return 1
    except Exception as error:
        debug()
        say(f"{program}: error: {type(error).__name__}: {first_line(error)} (FMBENCH_DEBUG=1 shows the traceback)")
        return 1


def debug() -> None:
    """Print the current exception's traceback where the user asked for it."""
    if os.environ.get("FMBENCH_DEBUG"):
        say(traceback.format_exc().rstrip())


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
        with open(real, "w", encoding="utf-8", errors="backslashreplace", closefd=False) as stream:
            yield stream
    finally:
        sys.stdout.flush()
        os.dup2(real, 1)
        os.close(real)
