"""A file that is there whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from fmbench.errors import FmbenchError, UsageError, first_line


@contextlib.contextmanager
def whole_file(target: Path) -> Iterator[TextIO]:
    """Yield a stream to a new file beside the target that takes its place when all went well.

    A device or a pipe is written to: there is nothing to take the place of. Raises UsageError for a target that cannot
    be written, FmbenchError where writing fails half-way (a full disk).
    """
    if target.exists() and not target.is_file() and not target.is_dir():
        with written(target), target.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        return
    real = target.resolve()  # a link stays one
    if real.is_dir():
        raise UsageError(f"{target}: is a folder; name a file")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{real.name[:100]}.", suffix=".part", dir=real.parent)
    except OSError as error:
        raise UsageError(f"{target}: cannot be written ({error.strerror or first_line(error)})") from None
    part = Path(name)
    try:
        with written(target):
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            part.chmod(mode_of(real))
            part.replace(real)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def written(target: object) -> Iterator[None]:
    """Turn what the system says of a failed write into one line."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise FmbenchError(f"{target}: not written ({error.strerror or first_line(error)})") from None


def mode_of(path: Path) -> int:
    """Return the permissions that a file has, or that a new one gets: others may have to read it."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
