"""Where logs come from: files, folders, standard input, packed or not. Yields undecoded lines."""

import codecs
import contextlib
import gzip
import io
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from fmbench.console import note
from fmbench.errors import UsageError
from fmbench.lines import UTF16
from fmbench.walk import files_below

GZIP_MAGIC = b"\x1f\x8b"
# What a folder is searched for: logs, and where it has none, results.
PATTERNS = (("*.log", "*.log.gz"), ("*.json", "*.jsonl", "*.json.gz", "*.jsonl.gz"))
ENTRY, LOG = "environment.json", "driver.log.gz"  # of a store
MARKER = "store.json"
OF_A_STORE = (MARKER, ENTRY)  # these hold no results
WARNINGS_PER_LOG = 20
LONGEST = 2**24  # bytes of a line
BLOCK = 2**20  # bytes of whole lines


@dataclass(frozen=True, slots=True)
class Source:
    """One log: a file, or standard input where there is no path. `label` is what messages call it, if not its path.

    One that was `found` in a folder, and not named, may be gone again.
    """

    path: Path | None
    label: str | None = None
    found: bool = False

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.label or ("standard input" if self.path is None else str(self.path))

    def lines(self, warn: Callable[[str], None]) -> Iterator[bytes]:
        """Yield every line with its line end; one without end (a binary file) in parts, as memory has to hold it.

        A packed log that was cut off (its run was killed) gives what can be read of it, and a warning; one that was
        found in a folder, and is gone again, gives a warning alone.
        Raises UsageError for a file that cannot be read, or is damaged.
        """
        with self._reading(warn) as stream:
            yield from iter(partial(stream.readline, LONGEST), b"")

    def whole_lines(self, warn: Callable[[str], None]) -> Iterator[bytes]:
        """Yield what `lines` does, many lines at a time."""
        part, end = bytearray(), 0
        for block in self.blocks(warn):
            if (last := block.rfind(b"\n")) >= 0:
                end = len(part) + last + 1
            part += block
            if len(part) >= (BLOCK if end else LONGEST):
                yield bytes(part[: end or None])
                del part[: end or None]
                end = 0
        if part:
            yield bytes(part)

    def blocks(self, warn: Callable[[str], None]) -> Iterator[bytes]:
        """Yield the unpacked content, some bytes at a time, with the warnings and the errors of `lines`."""
        with self._reading(warn) as stream:
            yield from iter(partial(stream.read1, io.DEFAULT_BUFFER_SIZE), b"")

    @contextlib.contextmanager
    def _reading(self, warn: Callable[[str], None]) -> Iterator[io.BufferedReader]:
        if self.found and self.path is not None and not os.path.lexists(self.path):
            warn(f"{self.name}: is gone, and left out")
            yield io.BufferedReader(io.BytesIO())
            return
        begun = False
        try:
            with self._open() as stream:
                begun = True
                yield stream
        except EOFError:
            warn(f"{self.name}: the gzip file is cut off; what comes before the cut is used")
            if not begun:  # before its first block
                yield io.BufferedReader(io.BytesIO())
        except (OSError, zlib.error) as error:
            raise UsageError(f"{self.name}: cannot be read ({error})") from None

    @contextlib.contextmanager
    def _open(self) -> Iterator[io.BufferedReader]:
        with contextlib.ExitStack() as stack:
            if self.path is None and sys.stdin is None:
                raise UsageError("standard input is closed")
            found = sys.stdin.buffer if self.path is None else stack.enter_context(self.path.open("rb"))
            stream = cast(io.BufferedReader, found)
            named_gzip = self.path is not None and self.path.suffix == ".gz"
            if named_gzip or stream.peek(2)[:2] == GZIP_MAGIC:
                # gzip's own line reading is slow; a buffer over it is not.
                stream = stack.enter_context(io.BufferedReader(gzip.GzipFile(fileobj=stream)))
            if UTF16.match(stream.peek(4)):
                stream = io.BufferedReader(Recoded(stream))
            yield stream


class Recoded(io.RawIOBase):
    """A UTF-16 stream with a byte order mark, as PowerShell's `>` writes it, as UTF-8."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-16")("replace")
        self._waiting = b""

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Put the next bytes into a buffer, and return how many; 0 at the end."""
        while not self._waiting and (raw := self._stream.read1(io.DEFAULT_BUFFER_SIZE)):
            self._waiting = self._decoder.decode(raw).encode("utf-8", "surrogatepass")
        part, self._waiting = self._waiting[: len(buffer)], self._waiting[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def find_sources(paths: Iterable[str], option: str = "") -> list[Source]:
    """Return the logs that a command line names: a file, all below a folder (sorted), `-` for standard input.

    One that is named twice is read once.
    Raises UsageError for a path that does not exist and for a folder without logs, before anything is read;
    `option` is what the message calls the path by.
    """
    sources: list[Source] = []
    for text in paths:
        path = Path(text)
        if text == "-":
            sources.append(Source(None))
        elif path.is_dir():
            sources.extend(logs_below(path, option))
        elif path.exists():
            sources.append(Source(path))
        else:
            raise UsageError(f"{option}{text}: no such file or folder")
    once: dict[Path | None, Source] = {}
    for source in sources:
        once.setdefault(source.path and source.path.resolve(), source)
    return list(once.values())


def logs_below(folder: Path, option: str) -> list[Source]:
    """Return every log below a folder, sorted by path; where there is none, every file of results.

    What is hidden, or below a hidden folder, is not looked at: a store keeps what is not whole yet in such folders.
    """
    try:
        every = list(files_below(folder))
    except OSError as error:
        raise UsageError(f"{option}{error.filename}: cannot be read ({error.strerror})") from None
    every = [*without_nested(folder, every)]
    files = [path for path in every if path.name not in OF_A_STORE]
    for patterns in PATTERNS:
        if found := {path for path in files if any(path.match(pattern) for pattern in patterns)}:
            lost = {path.with_name(LOG) for path in every if path.name == ENTRY} if patterns == PATTERNS[0] else set()
            return [Source(path, found=True) for path in sorted(found | lost)]  # what is lost says so when it is read
    raise UsageError(f"{option}{folder}: the folder holds no {' or '.join(PATTERNS[0])}; name a file")


def without_nested(store: Path, files: Sequence[Path]) -> Sequence[Path]:
    """Return the files of a store without those of stores in it, each of which is named; all of any other folder."""
    if store / MARKER not in files:
        return files
    nested = [path.parent for path in files if path.name == MARKER and path.parent != store]
    for folder in nested:
        note(f"{folder}: is a store of its own, and no part of {store}; name it to read it too")
    return [path for path in files if not any(path.is_relative_to(folder) for folder in nested)]


class Complaints:
    """Warnings about the lines of one log: the first ones are given, the rest is counted."""

    def __init__(self, name: str, warn: Callable[[str], None]) -> None:
        self.name = name
        self._warn = warn
        self._count = 0

    def add(self, number: int, text: str) -> None:
        """Warn about a line, by its number."""
        self._count += 1
        if self._count <= WARNINGS_PER_LOG:
            self._warn(f"{self.name}:{number}: {text}")

    def close(self) -> None:
        """Say how many warnings were held back."""
        if self._count > WARNINGS_PER_LOG:
            self._warn(f"{self.name}: {self._count - WARNINGS_PER_LOG} more lines that do not parse were skipped")
