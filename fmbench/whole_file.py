"""A file that is there whole or not at all."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from fmbench.errors import FmbenchError, UsageError, first_line
from fmbench.leftovers import new_part, release
from fmbench.walk import inside

# No fault of who named the file.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@contextlib.contextmanager
def whole_file(target: Path) -> Iterator[TextIO]:
    """Yield a stream to a new file beside the target that takes its place when all went well.

    A device or a pipe is written to: there is nothing to take the place of. Raises UsageError for a target that cannot
    be written, FmbenchError where writing fails half-way (a full disk): what was there is there still.
    """
    if target.exists() and not target.is_file() and not target.is_dir():
        with written(target), target.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        return
    real = target.resolve()  # a link stays one
    if real.is_dir():
        raise UsageError(f"{target}: is a folder; name a file")
    with written(target), part_beside(real, f".{cut(real.name, 100)}.") as part:
        with part.open("w", encoding="utf-8", newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if real.exists():
            part.chmod(real.stat().st_mode & 0o777)
        part.replace(real)


def write_whole(path: Path, content: bytes, prefix: str = ".", kept: str = "") -> None:
    """Write a file beside its place and move it there, so that nobody ever sees half of it.

    `prefix` begins its name until it is whole. Raises FmbenchError, which says what is `kept`, where there is no room.
    """
    with written(path, kept), part_beside(path, prefix) as part:
        with part.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)


@contextlib.contextmanager
def part_beside(path: Path, prefix: str = ".") -> Iterator[Path]:
    """Yield a new file in a path's folder; it is gone afterwards where nobody moved it.

    Its permissions are those that the umask leaves; the files of `tempfile` can be read by their owner alone.
    Raises UsageError where no file can be made there.
    """
    try:
        part, handle = new_part(path.parent, prefix)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise
        raise UsageError(f"{path}: cannot be written ({error.strerror or first_line(error)})") from None
    try:
        yield part
    finally:
        release(part, handle)


def share(folder: Path) -> None:
    """Give a new folder's files the permissions that a new file gets: what safetensors writes is its owner's alone."""
    with part_beside(folder / "mode") as usual:
        mode = usual.stat().st_mode & 0o777
    for entry in inside(folder):
        if entry.is_file(follow_symlinks=False):
            Path(entry.path).chmod(mode)


@contextlib.contextmanager
def written(target: object, kept: str = "") -> Iterator[None]:
    """Turn what the system says of a failed write into one line, and say behind it what is `kept`."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise FmbenchError(f"{target}: not written ({reason}){'; ' if kept else ''}{kept}") from None


def cut(name: str, most: int) -> str:
    """Return the beginning of a name, of at most so many bytes: that is what file systems count."""
    return os.fsencode(name)[:most].decode("utf-8", "ignore")
