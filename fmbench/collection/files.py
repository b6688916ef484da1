"""Text files line by line: plain, gzip, bzip2, xz or Zstandard, told apart by their first bytes."""

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from fmbench.errors import UsageError, first_line

from . import zst

PACKED = (
    ("gzip", (b"\x1f\x8b",), gzip.open),
    ("bzip2", tuple(b"BZh%d1AY&SY" % level for level in range(1, 10)), bz2.open),
    ("xz", (b"\xfd7zXZ\0",), lzma.open),
)
ZSTANDARD = (b"\xb5\x2f\xfd", b"\x2a\x4d\x18")  # after the first byte: a frame, and one to be skipped
NO_TEXT = {b"PK\x03\x04": "a zip archive; unpack it", b"PAR1": "Parquet; write its rows as JSON lines"}
HUB_FILE = re.compile(r"hf://(?P<datasets>datasets/)?(?P<name>[^/@]+/[^/@]+)(@(?P<revision>[^/]+))?/(?P<file>.+)")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class RowError(ValueError):
    """What is wrong with one line; whoever knows file and number says them."""


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of every line, blank ones too, without line end and byte order mark.

    Raises UsageError for what is no file, no UTF-8 or damaged; it names the line.
    """
    refuse_no_file(path)
    with opened(path) as stream:
        for number, raw in enumerate(stream, 1):
            if number == 1:
                raw = raw.removeprefix(BYTE_ORDER_MARK)
            yield number, decoded(raw, path, number)


def full_lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of every line that is not blank."""
    return ((number, line) for number, line in lines_of(path) if line.strip())


def decoded(raw: bytes, path: Path, number: int) -> str:
    """Return the text of a line. Raises UsageError for what is no UTF-8 or holds a NUL byte."""
    if b"\0" in raw:
        raise UsageError(f"{path}, line {number}: holds a NUL byte; is the file UTF-16, or damaged?")
    try:
        return raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        why = f"is no UTF-8 ({error.reason} at byte {error.start + 1}); save it as UTF-8"
        raise UsageError(f"{path}, line {number}: {why}") from None


def fetched(path: Path) -> Path:
    """Return a path; of `hf://[datasets/]ORG/NAME[@REVISION]/FILE`, that of the copy that the hub's client keeps.

    Raises UsageError where it names no file, or the hub does not give it.
    """
    if path.parts[:1] != ("hf:",):
        return path
    address = f"hf://{'/'.join(path.parts[1:])}"
    found = HUB_FILE.fullmatch(address)
    if found is None:
        raise UsageError(f"{address}: names no file; write hf://datasets/ORG/NAME/FILE")
    import huggingface_hub

    from fmbench.source import why_no_hub

    kind, silent = "dataset" if found["datasets"] else "model", why_no_hub()
    try:
        copy = huggingface_hub.hf_hub_download(
            found["name"], found["file"], repo_type=kind, revision=found["revision"], local_files_only=bool(silent)
        )
    except Exception as error:  # the hub's client has a dozen kinds
        raise UsageError(f"{address}: not to be had from the hub ({silent or type(error).__name__})") from None
    return Path(copy)


def refuse_no_file(path: Path) -> None:
    """Raise UsageError for what is no regular file: it will be read more than once."""
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; name a file")
    if not path.exists():
        raise UsageError(f"{path}: no such file")
    if not path.is_file():
        raise UsageError(f"{path}: is no regular file, and it must be read more than once")


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Yield a stream of a file's content, decompressed. Raises UsageError where it cannot be read."""
    kind = ""
    try:
        with path.open("rb") as stream:
            start = stream.peek(10)[:10]
            kind, unpack = next(((name, way) for name, first, way in PACKED if start.startswith(first)), ("", None))
            if start[:4] in NO_TEXT:
                raise UsageError(f"{path}: is {NO_TEXT[start[:4]]}")
            if unpack is not None:
                with unpack(stream) as content:
                    yield cast(BinaryIO, content)
            elif start[1:4] in ZSTANDARD:
                yield zst.decompressed(stream, path)
            else:
                yield stream
    except EOFError:
        raise UsageError(f"{path}: the {kind} data end too early; the file was cut off") from None
    except (OSError, zlib.error, lzma.LZMAError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise UsageError(f"{path}: cannot be read ({error.strerror or first_line(error)})") from None
        raise UsageError(f"{path}: damaged {kind} data ({first_line(error)})") from None


def some(names: Sequence[str], most: int = 5) -> str:
    """Return the first of some names, and how many more there are."""
    shown = ", ".join(repr(name) for name in names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown
