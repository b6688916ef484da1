"""Where results go: standard output, or a file that is there whole or not at all."""

import contextlib
import sys
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from fmbench.whole_file import whole_file, written


@contextlib.contextmanager
def opened(target: Path | None) -> Iterator[TextIO]:
    """Yield a stream to a file, or to standard output where there is no target.

    The file is written beside the target and renamed when all went well, so that a failure leaves what was there.
    Raises UsageError for a target that cannot be written, FmbenchError where writing fails half-way (a full disk).
    """
    if target is None:
        yield standard_output()
        sys.stdout.flush()
    elif target.exists() and not target.is_file() and not target.is_dir():
        with written(target), target.open("w", encoding="utf-8", newline="") as stream:
            yield stream  # a device or a pipe: there is nothing to rename
    else:
        with whole_file(target) as stream:
            yield stream


def standard_output() -> TextIO:
    """Return standard output; what its encoding cannot say is escaped."""
    stream = sys.stdout
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream
