"""Where the logs of cells are until a store has them: a folder beside the sweep file, held by one sweep at a time.

A log whose sweep was killed is there still: one that its CELL line ends is done, any other is of a cell that is not. It
is kept as PART where something was measured, and its cell goes on with it where its command can. A cell that writes a
folder of its own is marked as WRITING until its log is kept, so that the next sweep knows whose that is.
"""

import contextlib
import fcntl
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmbench import ending
from fmbench.console import note
from fmbench.errors import UsageError, first_line
from fmbench.whole_file import write_whole

from .cell import Cell
from .log import is_closed

PART = ".part"
WRITING = ".writing"
ASKED = "asked.json"
WHOLE = "1-of-1"
MEASURED = b"\nFMWORK RES "


@dataclass(frozen=True)
class Workplace:
    """The folder of one share of a sweep."""

    folder: Path

    @classmethod
    @contextlib.contextmanager
    def held(cls, file: Path, share: tuple[int, int], **told: Any) -> Iterator["Workplace"]:
        """Make the folder of a share of a file, and hold it; it goes with its last log.

        What its sweep was `told` (JSON values by name) and when are there for `asked`.
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
            write_whole(folder / ASKED, json.dumps({**told, "since": time.time()}).encode())
            yield place
            parts = [*folder.glob(f"*{PART}")]  # of cells that the file no longer has
            if parts:
                note(f"deleted, as no run goes on with them: what was measured of cells before: {len(parts)}")
            for left in (*parts, *folder.glob(f"*{WRITING}")):
                left.unlink()
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

    def mark(self, cell: Cell) -> None:
        """Note that a run of a cell writes its own folder from now on."""
        self._mark(cell).write_text(platform.node(), encoding="utf-8")

    def see(self, cell: Cell) -> None:
        """Note that such a run is at it still."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._mark(cell))

    def hand_over(self, log: Path, keep: Callable[[Path], None]) -> None:
        """Let a store `keep` the log of a run; then delete it, and the marks of its cell."""
        with ending.in_one():  # or what a sweep that is asked to end says of its runs is not what its store has
            keep(log)
            discard(log)
            self.unmark(id_of(log))

    def unmark(self, cell: str) -> None:
        """Delete the marks of a cell, by its id, of whichever share."""
        for mark in (self.folder / f"{cell}{WRITING}", *self.folder.parent.glob(f"*-of-*/{cell}{WRITING}")):
            mark.unlink(missing_ok=True)

    def _mark(self, cell: Cell) -> Path:
        return self.folder / f"{cell.id}{WRITING}"

    def abandoned(self) -> Iterator["Workplace"]:
        """Yield the folder of each share that nobody runs, held meanwhile; what is in it then comes into this one.

        None where this is a share itself: the others may be about to start.
        """
        if self.folder.name != WHOLE:
            return
        for folder in sorted(self.folder.parent.glob("*-of-*")):
            handle = os.open(folder, os.O_RDONLY)
            if not is_held(handle):
                yield Workplace(folder)
                for path in (*folder.glob(f"*{PART}"), *folder.glob(f"*{WRITING}")):
                    path.rename(self.folder / path.name)
                (folder / ASKED).unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    folder.rmdir()
            os.close(handle)

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


def cut(file: Path) -> dict[str, float]:
    """Return the id of each cell that was writing on this machine when its sweep was killed, and when it was last seen.

    That is in seconds since the epoch; of a sweep that runs now, of those that write too.
    """
    found = {}
    for mark in root_of(file).glob(f"*-of-*/*{WRITING}"):
        with contextlib.suppress(FileNotFoundError):  # its run has ended
            if mark.read_text(encoding="utf-8") == platform.node():
                found[id_of(mark)] = mark.stat().st_mtime
    return found


def asked(file: Path) -> dict[str, Any]:
    """Return what the first sweep that runs a file was told, and since when (seconds since the epoch); else nothing."""
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
