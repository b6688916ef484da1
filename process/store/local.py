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

from .entry import COMMIT
from .place import Place

TEMPORARY = ".unfinished-"
ATTEMPTS = 5
OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST)


class LocalPlace(Place):
    """A folder. Who writes holds a shared lock on it; who has it alone may clean up after those that were killed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = str(root)

    def paths(self) -> list[str] | None:
        """Return the paths of all files three levels down and above, sorted; None where nothing is there at all.

        The deepest first: who adds an entry writes the store's marker before it, so whoever sees one sees the other.
        """
        with self._told():
            if not self.root.exists():
                return None
            if not self.root.is_dir():
                raise UsageError(f"{self.name}: is no folder")
            found = (path for pattern in ("*/*/*", "*/*", "*") for path in self.root.glob(pattern) if path.is_file())
            paths = (path.relative_to(self.root) for path in found)
            return sorted(path.as_posix() for path in paths if not any(part[0] == "." for part in path.parts))

    def read(self, paths: Iterable[str]) -> Iterator[bytes]:
        """Yield the contents of small files, in order."""
        for path in paths:
            with self._told():
                yield (self.root / path).read_bytes()

    @contextlib.contextmanager
    def file(self, path: str) -> Iterator[Path]:
        """Give a file."""
        yield self.root / path

    def put(self, source: Path, path: str) -> None:
        """Write a file: whole, or not at all."""
        target = self.root / path
        with self._told():
            target.parent.mkdir(parents=True, exist_ok=True)
        with self._lockable() as handle, self._told():
            with contextlib.suppress(OSError):  # or who cleans up takes the part for one of a program that was killed
                fcntl.flock(handle, fcntl.LOCK_SH)
            part = target.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
            try:
                shutil.copyfile(source, part)
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

        The place is made where there is none; it goes again where nothing is put into it.
        """
        new = not self.root.exists()
        with self._told():
            self.root.mkdir(parents=True, exist_ok=True)
        with self._lockable() as handle:
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for path in self._unfinished():
                    discard(path)
            with contextlib.suppress(OSError):  # a file system without locks is never cleaned
                fcntl.flock(handle, fcntl.LOCK_SH)
            folder = self.root / f"{TEMPORARY}{uuid.uuid4().hex}"
            with self._told():
                folder.mkdir()
            try:
                with self._told():
                    yield folder
            finally:
                discard(folder)
                if new:
                    with contextlib.suppress(OSError):
                        self.root.rmdir()

    def publish(self, prepared: Path, folder: str) -> bool:
        """Rename a workspace; False where an entry has its name already. Half an entry makes room."""
        target = self.root / folder
        with self._told():
            for path in prepared.iterdir():
                synced(path)
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
                    if (target / COMMIT).exists():
                        return False
                    self._take_away(target)
                else:
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
        with self._lockable() as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return []
            return [path.name for path in self._unfinished()]

    def _take_away(self, target: Path) -> None:
        hidden = self.root / f"{TEMPORARY}{uuid.uuid4().hex}"
        target.rename(hidden)
        discard(hidden)

    def _unfinished(self) -> list[Path]:
        return sorted(path for depth in ("", "*/", "*/*/") for path in self.root.glob(f"{depth}{TEMPORARY}*"))

    @contextlib.contextmanager
    def _lockable(self) -> Iterator[int]:
        """Open what the lock is on: the folder itself, so that no file is needed for it."""
        with self._told():
            handle = os.open(self.root, os.O_RDONLY)
        try:
            yield handle
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what the system says into one line."""
        try:
            yield
        except OSError as error:
            raise FmbenchError(f"{self.name}: {error.strerror or first_line(error)}") from None


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
