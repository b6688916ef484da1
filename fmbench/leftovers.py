"""Temporary files and folders, on which their owner holds a lock: what nobody holds is of a program that was killed.

The next program that writes there removes it, on whichever machine and after whichever restart.
"""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import uuid
import weakref
from pathlib import Path

from fmbench.walk import inside

FOLDER = "fmbench-"
NAME = re.compile(r"\..*[0-9a-f]{32}\.part|fmbench-[0-9a-f]{32}-[a-z0-9_]{8}", re.DOTALL)
_own: set[Path] = set()
_cleaned: set[Path] = set()


def new_part(folder: Path, prefix: str) -> tuple[Path, int]:
    """Make an empty file in a folder, and return it with the handle that it is to be released with.

    Its permissions are those that the umask leaves. Raises OSError where no file can be made there.
    """
    clean(folder)
    while True:
        part = folder / f"{prefix}{uuid.uuid4().hex}.part"
        handle = os.open(part, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o666)
        if hold(part, handle):
            return part, handle


def temporary_folder() -> "tempfile.TemporaryDirectory[str]":
    """Return a new temporary folder, which goes with its context, or with the last reference to it."""
    clean(Path(tempfile.gettempdir()))
    while True:
        folder = tempfile.TemporaryDirectory(prefix=f"{FOLDER}{uuid.uuid4().hex}-")
        with contextlib.suppress(FileNotFoundError):  # who cleans up was faster
            handle = os.open(folder.name, os.O_RDONLY)
            if hold(path := Path(folder.name), handle):
                weakref.finalize(folder, release, path, handle)
                return folder


def hold(path: Path, handle: int) -> bool:
    """Lock a path for as long as its handle is open; return whether it is there still, and close the handle if not."""
    with contextlib.suppress(OSError):  # on a file system without locks nothing is ever removed
        fcntl.flock(handle, fcntl.LOCK_EX)
    if path.exists():
        _own.add(path)
        return True
    os.close(handle)
    return False


def release(path: Path, handle: int) -> None:
    """Let go of what was held; it is removed where it is there still."""
    remove(path)
    _own.discard(path)
    os.close(handle)


def clean(folder: Path) -> None:
    """Remove what killed programs left in a folder, the first time that this program comes to it."""
    if folder in _cleaned:
        return
    _cleaned.add(folder)
    with contextlib.suppress(OSError):
        for entry in inside(folder):
            if NAME.fullmatch(entry.name) and not entry.is_symlink():
                remove_abandoned(Path(entry.path))


def remove_abandoned(path: Path) -> None:
    """Remove a file or folder that nobody holds."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(path)
        finally:
            os.close(handle)


def remove_own() -> None:
    """Remove what this program has: it ends where it stands."""
    for path in list(_own):
        remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder, as far as that can be done."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
