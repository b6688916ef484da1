"""Where results go: standard output, or a file that is there whole or not at all."""

import contextlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from fmbench.errors import UsageError
from fmbench.whole_file import whole_file, written

from ..reading.sources import Source


@contextlib.contextmanager
def opened(target: Path | None) -> Iterator[TextIO]:
    """Yield a stream to a file, or to standard output where there is no target.

    The file is written beside the target and renamed when all went well, so that a failure leaves what was there.
    Raises UsageError for a target that cannot be written, FmbenchError where writing fails half-way (a full disk).
    """
    if target is None:
        with written("standard output"):
            yield standard_output()
            sys.stdout.flush()
    else:
        with whole_file(target) as stream:
            yield stream


def check_targets(targets: Mapping[str, Path | None], sources: Iterable[Source]) -> None:
    """Raise UsageError for an output, by its option, that is a folder, or takes the place of an input or of another."""
    inputs = {source.path.resolve() for source in sources if source.path is not None}
    options: dict[Path, str] = {}
    for option, target in targets.items():
        if target is not None and target.is_dir():
            raise UsageError(f"{option} {target}: is a folder; name a file")
        if target is None or (target.exists() and not target.is_file()):
            continue
        if target.resolve() in inputs:
            raise UsageError(f"{option} {target}: is one of the files that are read; name another")
        if (other := options.setdefault(target.resolve(), option)) != option:
            raise UsageError(f"{option} {target}: is the file of {other} too; name another")


def standard_output() -> TextIO:
    """Return standard output; what its encoding cannot say is escaped."""
    stream = sys.stdout
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream
