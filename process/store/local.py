"""A store in a folder: an entry is prepared in a hidden folder beside the others, and renamed."""

import contextlib
import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from fmbench.errors import FmbenchError, UsageError, first_line
from fmbench.walk import files_below, inside

from .entry import FILES
from .place import Place

TEMPORARY = ".unfinished-"
DEPTH = 3  # a machine, a run, a file
ATTEMPTS = 100  # of which each fails only because another program has got on
OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST)


class LocalPlace(Place):
    """A folder. Who writes holds a shared lock on it; who has it alone may clean up after those that were killed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = str(root)

    def paths(self) -> list[str] | None:
        """Return the paths of all files three levels down and above, sorted; None where nothing is there at all.

        The root is looked at once more in the end: who adds an entry writes the store's marker before it, so whoever
        sees one sees the other.
        """
        with self._told():
            if not self.root.exists():
                return None
            if not self.root.is_dir():
                raise UsageError(f"{self.name}: is no folder; name another store")
            found = [*files_below(self.root, DEPTH, links=True), *files_below(self.root, 1)]
            return sorted({path.relative_to(self.root).as_posix() for path in found})

    def read(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        """Yield the contents of small files, in order; None for one that is gone."""
        for path in paths:
            content = None
            with self._told(), contextlib.suppress(FileNotFoundError):
                content = (self.root / path).read_bytes()
            yield content

    def has(self, path: str) -> bool:
        """Whether a file is there now."""
        with self._told():
            return (self.root / path).is_file()

    @contextlib.contextmanager
    def file(self, path: str) -> Iterator[Path]:
        """Give a file."""
        yield self.root / path

    def put(self, source: Path, path: str) -> None:
        """Write a file: whole, or not at all."""
        target = self.root / path
        with self._shared(), self._told(target):  # or who cleans up takes the part for one of a program that was killed
            part = target.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
            try:
                for _ in range(ATTEMPTS):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with contextlib.suppress(FileNotFoundError):  # somebody deleted the folder, which was empty
                        shutil.copyfile(source, part)
                        break
                synced(part)
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)

    def holds(self, path: Path) -> bool:
        """Whether a file or folder is the place or lies in it."""
        return path.resolve().is_relative_to(self.root.resolve())

    def delete(self, path: str) -> None:
        """Delete a file, and its folder where that is empty then; it is no error where there is none."""
        with self._told():
            (self.root / path).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                (self.root / path).parent.rmdir()

    @contextlib.contextmanager
    def workspace(self) -> Iterator[Path]:
        """Give an empty hidden folder, and clean up before where nobody else is at work.

        The place is made where there is none; it goes again, and so do the folders above it, where nothing is put
        into it.
        """
        new = [path for path in (self.root, *self.root.parents) if not path.exists()]
        with self._shared(clean=True) as handle:
            folder = self.root / f"{TEMPORARY}{uuid.uuid4().hex}"
            with self._told(folder):
                folder.mkdir()
            try:
                with self._told(self.root, "nothing was added by this, and what was there is kept"):
                    yield folder
            finally:
                discard(folder)
                if new:
                    with contextlib.suppress(OSError):  # only who is alone may: others have their folder in it
                        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        for path in new:
                            path.rmdir()

    def publish(self, prepared: Path, folder: str) -> bool:
        """Rename a workspace; False where a whole entry has its name already. Half an entry makes room."""
        target = self.root / folder
        with self._told():
            for entry in inside(prepared):
                synced(Path(entry.path))
            synced(prepared)
            for _ in range(ATTEMPTS):
                target.parent.mkdir(exist_ok=True)
                try:
                    prepared.rename(target)
                except FileNotFoundError:  # somebody removed the machine's last run
                    continue
                except OSError as error:
                    if error.errno not in OCCUPIED:
                        raise
                    if all((target / file).exists() for file in FILES):
                        return False
                    self._take_away(target)
                else:
                    with contextlib.suppress(FileNotFoundError):  # somebody has removed it already
                        synced(target.parent)
                    synced(self.root)
                    return True
        raise FmbenchError(f"{target}: not written (others write to it)")

    def remove(self, folder: str) -> None:
        """Rename an entry to a hidden folder, and delete that; the machine goes with its last run."""
        with self._told():
            self._take_away(self.root / folder)
            with contextlib.suppress(OSError):
                (self.root / folder).parent.rmdir()

    def leftovers(self) -> list[str]:
        """Return the hidden folders of programs that were killed; none are known while one is at work."""
        with self._told():
            handle = os.open(self.root, os.O_RDONLY)  # the lock is on the folder itself, so that no file is needed
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return [path.name for path in leftovers_in(self.root)]
            except BlockingIOError:
                return []
            finally:
                os.close(handle)

    def _take_away(self, target: Path) -> None:
        hidden = self.root / f"{TEMPORARY}{uuid.uuid4().hex}"
        with contextlib.suppress(FileNotFoundError):  # somebody was faster
            target.rename(hidden)
        discard(hidden)

    @contextlib.contextmanager
    def _shared(self, clean: bool = False) -> Iterator[int]:
        """Make the place where there is none, and hold the shared lock on it; yield what the lock is on.

        With `clean`, delete before what programs left that were killed, where nobody else is at work.
        """
        handle = self._lock(clean)
        try:
            yield handle
        finally:
            os.close(handle)

    def _lock(self, clean: bool) -> int:
        for _ in range(ATTEMPTS):
            with self._told():
                self.root.mkdir(parents=True, exist_ok=True)
            with self._told(), contextlib.suppress(FileNotFoundError):
                handle = os.open(self.root, os.O_RDONLY)
                if clean:
                    with contextlib.suppress(OSError):
                        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        for path in leftovers_in(self.root):
                            discard(path)
                with contextlib.suppress(OSError):  # a file system without locks is never cleaned
                    fcntl.flock(handle, fcntl.LOCK_SH)
                if self.root.exists() and os.path.samestat(os.fstat(handle), self.root.stat()):
                    return handle
                os.close(handle)  # of a folder that another program made, and deleted again since it had nothing to add
        raise FmbenchError(f"{self.name}: not written (others make and delete it)")

    @contextlib.contextmanager
    def _told(self, path: Path | None = None, kept: str = "") -> Iterator[None]:
        """Turn what the system says into one line: of a path, the root where it names none, and what is `kept`."""
        try:
            yield
        except OSError as error:
            where = error.filename or path or self.root
            reason = error.strerror or first_line(error)
            raise FmbenchError(f"{where}: {reason}{'; ' if kept else ''}{kept}") from None


def leftovers_in(folder: Path, depth: int = DEPTH) -> Iterator[Path]:
    """Yield what is unfinished in a folder and in those below it. What lies behind a link is somebody else's."""
    for entry in inside(folder):
        if entry.name.startswith(TEMPORARY):
            yield Path(entry.path)
        elif depth > 1 and entry.is_dir(follow_symlinks=False):
            yield from leftovers_in(Path(entry.path), depth - 1)


def synced(path: Path) -> None:
    """Wait until a file, or the list of a folder's files, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def discard(path: Path) -> None:
    """Delete a file or a folder, as far as that can be done."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
