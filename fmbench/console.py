"""What a program says to its user. stdout carries results only; everything here goes to stderr."""

import contextlib
import errno
import gc
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from fmbench.ending import exit_code, terminable
from fmbench.errors import FmbenchError, UsageError, first_line
from fmbench.markdown import visible
from fmbench.secrets import masked_message
from fmbench.whole_file import written

BROKEN_PIPE = 141


def note(text: str) -> None:
    """Say something that the user may want to know."""
    say(f"note: {one_line(text)}")


def warn(text: str) -> None:
    """Say something that the user should know."""
    say(f"warning: {one_line(text)}")


def say(text: str) -> None:
    """Write text to stderr: without secrets, and without what a terminal obeys."""
    tell(sys.stderr, f"{visible(masked_message(text).expandtabs())}\n")


def tell(stream: TextIO, text: str) -> None:
    """Write to a stream that somebody may read. Where it cannot be written to (a full disk), the work goes on."""
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):  # no file: a test's
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def one_line(text: str) -> str:
    """Return a text whose line breaks are blanks: nothing in it can pass for another message."""
    return text.replace("\n", " ")


class Progress:
    """How far a program is: on a terminal one line that is written over, elsewhere a line now and then."""

    def __init__(self, stream: TextIO | None = None, every: float = 0.2, apart: float = 10.0) -> None:
        """Take where it goes, and the seconds between two texts: `every` on a terminal, `apart` elsewhere."""
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._every = every if self._terminal else apart
        self._next = 0.0 if self._terminal else time.monotonic() + apart
        self._shown = False

    @property
    def is_due(self) -> bool:
        """Whether it is time to say how far it is."""
        return time.monotonic() >= self._next

    def show(self, text: str, at_once: bool = False) -> None:
        """Say how far it is, if it is time to, or `at_once`: before what takes long, and says nothing."""
        if at_once or self.is_due:
            self._next = time.monotonic() + self._every
            self._shown = True
            shown = one_line(visible(masked_message(text)))
            tell(self._stream, f"\r\x1b[K{shown}" if self._terminal else f"{shown}\n")

    def count(self, done: int, total: int, text: str) -> None:
        """Say that so many of a total are done, if it is time to; and the last of them, where any of it was said."""
        self.show(text, at_once=self._shown and done == total)

    def clear(self) -> None:
        """Remove the line."""
        if self._shown and self._terminal:
            tell(self._stream, "\r\x1b[K")
        self._shown = False


def run_main(program: str, body: Callable[[], int]) -> int:
    """Run a program's body and return its exit code; every failure is one line on stderr, and so is being asked to end.

    The variable FMBENCH_DEBUG asks for the traceback as well.
    """
    if sys.stderr is None:  # closed; what is said goes nowhere, and no file that is opened takes its place
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 (lives as long as the process)
    if sys.stdout is None:
        say(f"{program}: error: standard output is closed; send it to /dev/null where nobody wants it")
        return FmbenchError.exit_code
    try:
        with terminable():
            return guarded(program, body)
    except KeyboardInterrupt as interruption:  # as the program was about to end
        return exit_code(interruption)


def guarded(program: str, body: Callable[[], int]) -> int:
    """Run a program's body and return its exit code; what it raises is said."""
    try:
        try:
            return body()
        finally:
            with written("standard output"):
                sys.stdout.flush()
    except KeyboardInterrupt as interruption:
        say(f"{program}: interrupted; what was printed so far is whole")
        gc.freeze()  # Python would look through all that torch has for two seconds more before it ends
        return exit_code(interruption)
    except BrokenPipeError:
        mute()  # the reader went away (`driver | head`)
        return BROKEN_PIPE
    except FmbenchError as error:
        debug()
        say(f"{program}: error: {' '.join(str(error).split())}")
        mute()
        gc.freeze()  # as above: whoever asked it to end waits for the exit code
        return error.exit_code
    except ModuleNotFoundError as error:
        debug()
        say(f"{program}: error: the package {error.name} is missing; `fmbench doctor` says what to install")
        return 1
    except OSError as error:
        debug()
        mute()
        say(f"{program}: error: {told(error)}")
        return UsageError.exit_code if error.errno == errno.ENAMETOOLONG else 1
    except Exception as error:
        debug()
        say(f"{program}: error: {type(error).__name__}: {first_line(error)} (FMBENCH_DEBUG=1 shows the traceback)")
        return 1


def told(error: OSError) -> str:
    """Return what the system refused, with the name of the file where it has one."""
    if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"standard output: not written ({error.strerror})"
    where = error.filename if error.filename is not None else "a file without a name"
    fix = "; name a shorter path" if error.errno == errno.ENAMETOOLONG else ""
    return f"{where}: {error.strerror or first_line(error)}{fix} (FMBENCH_DEBUG=1 shows where)"


def mute() -> None:
    """Let Python close a stdout that nothing can be written to any more without another complaint."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


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
    stream = open(real, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    try:
        yield stream
        with written("standard output"):
            stream.flush()
    finally:
        with contextlib.suppress(OSError):  # what could not be written was said
            stream.close()
        sys.stdout.flush()
        os.dup2(real, 1)
        os.close(real)
