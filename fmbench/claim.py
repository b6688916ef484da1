"""Files and folders that one run writes to at a time."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from fmbench.errors import UsageError, first_line


def lock_handle(handle: int, name: str, fix: str) -> bool:
    """Lock an open file or folder for as long as its handle is open, and return whether that is possible.

    A file system without locks is no obstacle. Raises UsageError, with what messages call it and what to do instead,
    where another process has it.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"{name}: another run writes to it{holder(handle)}; {fix}") from None
    except OSError:
        return False
    return True


def holder(handle: int) -> str:
    """Return which process holds the lock of a file, in brackets, where the system tells."""
    found = os.fstat(handle)
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    with contextlib.suppress(OSError):
        for row in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            fields = row.split()
            if "FLOCK" in fields and place in fields and int(process := fields[fields.index(place) - 1]) > 0:
                return f" (process {process})"
    return ""


@contextlib.contextmanager
def one_writer(folder: Path | None, option: str) -> Iterator[None]:
    """Make a folder, if any, and keep it from other runs; where the context ends with an exception, an empty one goes.

    Raises UsageError, which names the option, where it cannot be made, and where another run writes to it.
    """
    if folder is None:
        yield
        return
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise UsageError(f"{option} {folder}: cannot be made ({error.strerror or first_line(error)})") from None
    try:
        lock_handle(handle, f"{option} {folder}", "wait for it, or name another folder")
        try:
            yield
        except BaseException:
            with contextlib.suppress(OSError):  # a folder that holds something stays
                for path in made:
                    path.rmdir()
            raise
    finally:
        os.close(handle)
