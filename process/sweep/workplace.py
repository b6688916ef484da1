"""Where the logs of cells are until a store has them: a folder beside the sweep file, held by one sweep at a time.

A log whose sweep was killed is there still: one that its CELL line ends is done, any other is of a cell that is not. It
is kept as PART where something was measured, and its cell goes on with it where its command can.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmbench.errors import UsageError, first_line
from fmbench.whole_file import write_whole

from .cell import Cell
from .log import is_closed

PART = ".part"
ASKED = "asked.json"
MEASURED = b"\nFMWORK RES "


@dataclass(frozen=True)
class Workplace:
    """The folder of one share of a sweep."""

    folder: Path

    @classmethod
    @contextlib.contextmanager
    def held(
        cls, file: Path, share: tuple[int, int], repeat: int = 1, redo: str | None = None
    ) -> Iterator["Workplace"]:
        """Make the folder of a share of a file, and hold it; it goes with its last log.

        What was asked for (--repeat, --redo) and when are there for `asked`.
        Raises UsageError where another sweep holds it, or it cannot be made.
        """
        folder = root_of(file) / "{}-of-{}".format(*share)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder, os.O_RDONLY)  # the lock is on the folder itself, so that no file is needed
        except OSError as error:
            raise UsageError(f"{folder}: cannot be made ({error.strerror or first_line(error)})") from None
        if is_held(handle):
            os.close(handle)
            raise UsageError(f"{file}: another process runs it; `fmbench sweep status {file}` shows how far it is")
        place = cls(folder)
        try:
            told = {"repeat": repeat, "redo": redo, "since": time.time()}
            write_whole(folder / ASKED, json.dumps(told).encode())
            yield place
            for part in folder.glob(f"*{PART}"):  # of cells that the file no longer has
                part.unlink()
        finally:
            list(place.leftovers())
            (folder / ASKED).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # a log is left, or another share is at work
                folder.rmdir()
                folder.parent.rmdir()
            os.close(handle)

    def log(self, cell: Cell) -> Path:
        """Return a new place for the log of a cell."""
        numbered = (self.folder / f"{cell.id}-{number}.log" for number in range(1, 10**6))
        return next(path for path in numbered if not path.exists())

    def take_up(self, log: Path) -> bool:
        """Make what a sweep that was killed left of a cell its log; return whether there is anything."""
        with contextlib.suppress(FileNotFoundError):
            part_of(log).rename(log)
        return log.exists()

    def leftovers(self) -> Iterator[Path]:
        """Yield the whole logs that a sweep left which was killed; of the others, keep what was measured."""
        for path in sorted(self.folder.glob("*.log")):
            if is_closed(path):
                yield path
            else:
                if MEASURED in path.read_bytes():
                    path.rename(part_of(path))
                discard(path)


def part_of(log: Path) -> Path:
    """Return where what was measured of a cell is kept: one part a cell."""
    return log.with_name(id_of(log) + PART)


def id_of(log: Path) -> str:
    """Return which cell a log is of."""
    return log.stem.partition("-")[0]


def discard(log: Path) -> None:
    """Delete a log, and what its command said."""
    for path in (log, said_beside(log)):
        path.unlink(missing_ok=True)


def said_beside(log: Path) -> Path:
    """Return where the stderr of a log's command goes."""
    return log.with_suffix(".err")


def root_of(file: Path) -> Path:
    """Return the folder of all shares of a file."""
    return file.with_name(f"{file.name}.running")


def held_now(file: Path) -> Iterator[Path]:
    """Yield the folder of each share of a file that a sweep holds."""
    for folder in sorted(root_of(file).glob("*-of-*")):
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(folder, os.O_RDONLY)
            if is_held(handle):
                yield folder
            os.close(handle)


def running(file: Path) -> list[str]:
    """Return the id of each cell of a file that runs now."""
    return [id_of(path) for folder in held_now(file) for path in sorted(folder.glob("*.log"))]


def asked(file: Path) -> dict[str, Any]:
    """Return the repeat, redo and since (seconds since the epoch) of the first sweep that runs a file; else nothing."""
    for folder in held_now(file):
        with contextlib.suppress(FileNotFoundError):  # it is about to write it, or has ended
            return dict(json.loads((folder / ASKED).read_bytes()))
    return {}


def is_held(handle: int) -> bool:
    """Whether another sweep holds a folder; if not, it is locked from here on, for as long as its handle is open."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
