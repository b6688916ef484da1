"""Folders of the user's cache, each made once, by one process, and there whole or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from fmbench.console import note, warn
from fmbench.errors import FmbenchError, first_line
from fmbench.whole_file import share

Make = Callable[[Path], None]  # fills a new folder


def root() -> Path:
    """Return where this user's cache is. All of it may be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "fmbench"


@contextlib.contextmanager
def folder(name: str | None, make: Make) -> Iterator[Path]:
    """Yield the folder of this name, made where it is not there yet. None: made for this once, and gone afterwards.

    The name has to say everything that decides what is in the folder. A cache that cannot be written is warned of.
    """
    if name is None or not writable(root()):
        with tempfile.TemporaryDirectory(prefix="fmbench-") as there:
            make(Path(there))
            yield Path(there)
        return
    target = root() / name
    with alone(root() / f".{name}.lock", f"another process makes {name}", f"{name} may be made twice"):
        if not target.is_dir():
            for left in root().glob(f".{name}.*.part"):
                shutil.rmtree(left, ignore_errors=True)  # what a killed process left
            with tempfile.TemporaryDirectory(dir=root(), prefix=f".{name}.", suffix=".part") as part:
                made = Path(part) / "whole"
                made.mkdir()
                make(made)
                share(made)
                try:
                    made.rename(target)
                except OSError:  # without locks, another process may have been first
                    if not target.is_dir():
                        raise
    yield target


@contextlib.contextmanager
def sound_folder(name: str | None, make: Make, use: Callable[[Path], None]) -> Iterator[Path]:
    """Yield the folder of this name once `use`, which raises FmbenchError for one that is none, has passed it.

    None is kept that did not pass. One that was there already and does not pass any more is made again, after a
    warning.
    """
    passed: list[Path] = []

    def make_and_use(folder: Path) -> None:
        make(folder)
        use(folder)
        passed.append(folder)

    with contextlib.ExitStack() as stack:
        found = stack.enter_context(folder(name, make_and_use))
        try:
            if not passed:
                use(found)
        except FmbenchError as error:
            warn(f"{found} cannot be used any more, and is made again: {error}")
            discard(found)
            stack.enter_context(folder(name, make_and_use))
            if not passed:  # another process was first
                use(found)
        yield found


def discard(target: Path) -> None:
    """Remove a folder of the cache; what another process has open stays open."""
    there = tempfile.TemporaryDirectory(dir=root(), prefix=f".{target.name}.", suffix=".part")
    with there as part, contextlib.suppress(FileNotFoundError):  # another process was first
        target.rename(Path(part) / "discarded")


def writable(place: Path) -> bool:
    """Whether files can be made in a folder, which is made itself; where they cannot, that is said."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            return True
    except OSError as error:
        warn(f"{place}: nothing is kept there ({error.strerror or first_line(error)}); XDG_CACHE_HOME names another")
        return False


@contextlib.contextmanager
def alone(lock: Path, said: str, otherwise: str) -> Iterator[bool]:
    """Hold a lock between processes. Where another one has it, `said` is said, and it is waited for.

    Yield False, after a warning of what happens `otherwise`, on a file system that has no locks.
    """
    import filelock

    held = filelock.FileLock(lock)
    try:
        held.acquire(timeout=0)
    except filelock.Timeout:
        note(f"{said}; waiting for it")
        held.acquire()
    except NotImplementedError:
        warn(f"{lock.parent}: its file system has no locks; {otherwise}")
        yield False
        return
    try:
        yield True
    finally:
        held.release()
