"""Writing the log: FMWORK lines and banners, flushed as they are made, so that a killed run keeps what it had."""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, TextIO

from fmbench import lines
from fmbench.console import reserved_stdout
from fmbench.errors import UsageError
from fmbench.secrets import hidden, masked_looks, masked_values
from fmbench.whole_file import written

OUTCOMES = (lines.Stat, lines.Err, lines.Pair, lines.Proc)
OUTCOME_STARTS = tuple(f"{lines.PREFIX}{kind.KIND} " for kind in OUTCOMES)


@contextlib.contextmanager
def open_log() -> Iterator[TextIO]:
    """Yield standard output for a log. Raises UsageError where it is a file that another driver writes to.

    The file is this driver's for as long as it writes; what shares the shell's redirect with it (the ranks of a
    launcher, the next command of a script) shares that.
    """
    with reserved_stdout() as stream:
        claimed = claim(stream, "standard output")
        try:
            yield stream
        finally:
            if claimed:
                fcntl.flock(stream, fcntl.LOCK_UN)


def claim(stream: IO[str], name: str) -> bool:
    """Make a file the caller's own, and return whether it is one that can be.

    Raises UsageError, with what messages call it, where another driver has it.
    """
    try:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            return False
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"{name}: another run writes to it; wait, or use a log of its own") from None
    except OSError:  # no file at all, or a file system without locks
        return False
    return True


class LogWriter:
    """Writes to one stream. Raises FmbenchError where it cannot be written to (a full disk)."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.outcomes: list[lines.JsonLine] = []  # what a person is told at the end

    def write(self, line: lines.Line) -> None:
        """Write one FMWORK line."""
        if isinstance(line, OUTCOMES):
            self.outcomes.append(line)
        self._put(without_secrets(line).format() + "\n")

    def text(self, text: str) -> None:
        """Pass a line on that another process wrote, its line break included."""
        if text.startswith(OUTCOME_STARTS) and isinstance(line := lines.parse_line(text), OUTCOMES):
            self.outcomes.append(line)
        self._put(text)

    def banner(self, *words: object) -> None:
        """Write a title between two rules."""
        self._put(lines.banner(*words) + "\n")

    def space(self) -> None:
        """Write a blank line."""
        self._put("\n")

    def _put(self, text: str) -> None:
        """Write at once. Raises FmbenchError where there is no room: what was written before is a log still."""
        name = getattr(self._stream, "name", None)
        named = name if isinstance(name, str) and name[:1] != "<" else "the log"
        with written(named, "what was written before is kept"):
            self._stream.write(text)
            self._stream.flush()


def without_secrets(line: lines.Line) -> lines.Line:
    """Return a line without the secrets that a library's error, or an address for a model's name, may bring into it."""
    if isinstance(line, lines.JsonLine):
        return type(line)(masked_values(line.data))
    if isinstance(line, lines.Res):
        return replace(line, model=masked_looks(line.model, hidden))
    return line


@contextlib.contextmanager
def log_of(rank: int, stdout: TextIO) -> Iterator[LogWriter]:
    """Yield the log of one of several processes: rank 0 prints it, the others print nothing."""
    if rank == 0:
        yield LogWriter(stdout)
        return
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        yield LogWriter(nowhere)
