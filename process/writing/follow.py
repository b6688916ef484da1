"""`process --follow LOG`: shows a run while it goes on."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from fmbench.console import Progress, note
from fmbench.errors import UsageError, first_line
from fmbench.lines import UTF16

from ..reading.sources import GZIP_MAGIC
from .output import standard_output
from .progress import HEADER, Watch

EVERY = 0.5  # seconds between two looks at the file
QUIET = 3.0  # seconds without a line after which a run that is whole has ended


def follow(path: str, warn: Callable[[str], None], every: float = EVERY) -> None:
    """Print a row for every shape that ends, until the run has ended. Raises UsageError for a file that is none."""
    check_source(path)
    out, progress = standard_output(), Progress()
    watch = Watch(path, warn)
    out.write(HEADER + "\n")
    try:
        for raw, idle in arriving(path, every):
            if raw is None:
                watch = Watch(path, warn)
                continue
            for row in watch.take(raw) if raw else ():
                progress.clear()
                out.write(row + "\n")
            if not raw:
                out.flush()
                if watch.finished or (watch.whole and idle >= QUIET):
                    break
                progress.show(watch.progress(idle))
    finally:
        progress.clear()
        out.flush()
    note(f"{path}: {watch.done} of {watch.total or watch.done} shapes; the run has ended")


def check_source(path: str) -> None:
    """Raise UsageError for what is no file that can be followed."""
    if path == "-" and sys.stdin is None:
        raise UsageError("--follow -: standard input is closed")
    if path == "-":
        return
    if not Path(path).is_file():
        raise UsageError(f"--follow {path}: no such file; a driver's log, or - for standard input")
    try:
        with Path(path).open("rb") as stream:
            begin = stream.read(4)
    except OSError as error:
        raise UsageError(f"--follow {path}: cannot be read ({first_line(error)})") from None
    if UTF16.match(begin):
        raise UsageError(f"--follow {path}: is UTF-16, as PowerShell's > writes it; `process --path` reads it")
    if begin.startswith(GZIP_MAGIC):
        raise UsageError(f"--follow {path}: is packed, so its run has ended; `process --path` reads it")


def arriving(path: str, every: float) -> Iterator[tuple[bytes | None, float]]:
    """Yield each line of a log, and empty bytes with the seconds without a line each time that there is none.

    None says that the log begins again. Standard input (`-`) ends with its end.
    """
    if path == "-":
        for raw in sys.stdin.buffer:
            yield raw, 0.0
        return
    try:
        with Path(path).open("rb") as stream:
            yield from growing(stream, every)
    except OSError as error:
        raise UsageError(f"--follow {path}: cannot be read ({first_line(error)})") from None


def growing(stream: BinaryIO, every: float) -> Iterator[tuple[bytes | None, float]]:
    """Yield the lines of a file that is being written, for ever. A line counts when its end is there."""
    part, last = b"", time.monotonic()
    while True:
        raw = stream.readline()
        if raw:
            part += raw
            if part.endswith(b"\n"):
                yield part, 0.0
                part, last = b"", time.monotonic()
        else:
            yield b"", time.monotonic() - last
            if os.fstat(stream.fileno()).st_size < stream.tell():
                stream.seek(0)
                part = b""
                yield None, 0.0
            time.sleep(every)
