"""A store in an object store, through fsspec (extra `remote`): nothing can be renamed there, so that order must do.

An entry's files are uploaded one after the other, environment.json last: what has none is no entry.
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from fmbench.distribution import to_install
from fmbench.errors import FmbenchError, UsageError, first_line
from fmbench.leftovers import temporary_folder
from fmbench.secrets import masked_text

from .entry import COMMIT, FILES
from .place import Place

BATCH = 500  # small files that are read at once


class RemotePlace(Place):
    """Whatever fsspec has a protocol for: s3://bucket/folder, gs://bucket/folder."""

    def __init__(self, url: str) -> None:
        self.name = masked_text(url)
        try:
            import fsspec
        except ImportError:
            raise UsageError(f"{self.name} needs fsspec: {to_install('remote')}") from None
        with self._told():
            try:
                self._system, root = fsspec.url_to_fs(url, use_listings_cache=False)
            except ImportError as error:
                raise UsageError(
                    f"{self.name}: {first_line(error)} ({to_install('remote')} brings what s3 needs)"
                ) from None
            except ValueError as error:
                raise UsageError(f"{self.name}: {first_line(error)}") from None
        self._root = root.rstrip("/")

    def paths(self) -> list[str] | None:
        """Return the paths of all files three levels down and above, sorted; None where nothing is there at all."""
        with self._told():
            try:
                found = self._system.find(self._root)
            except FileNotFoundError:
                return None
        paths = (path.removeprefix(f"{self._root}/") for path in found if path.startswith(f"{self._root}/"))
        seen = sorted(path for path in paths if path.count("/") < 3 and not any(p[:1] == "." for p in path.split("/")))
        return seen or None

    def read(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        """Yield the contents of small files, in order, many of them asked for at once; None for one that is gone."""
        whole = [self._full(path) for path in paths]
        for start in range(0, len(whole), BATCH):
            batch = whole[start : start + BATCH]
            with self._told():
                found = self._system.cat(batch, on_error="return")
                for error in found.values():
                    if isinstance(error, Exception) and not isinstance(error, FileNotFoundError):
                        raise error
            yield from (None if isinstance(found[path], Exception) else found[path] for path in batch)

    def has(self, path: str) -> bool:
        """Whether a file is there now."""
        with self._told():
            return bool(self._system.exists(self._full(path)))

    @contextlib.contextmanager
    def file(self, path: str) -> Iterator[Path]:
        """Give a copy of a file, in a temporary folder."""
        with temporary_folder() as folder:
            copy = Path(folder, Path(path).name)
            with self._told():
                self._system.get_file(self._full(path), str(copy))
            yield copy

    def put(self, source: Path, path: str) -> None:
        """Upload a file: an object store shows it when it is whole."""
        with self._told():
            self._system.put_file(str(source), self._full(path))

    def delete(self, path: str) -> None:
        """Delete a file; it is no error where there is none."""
        with self._told(), contextlib.suppress(FileNotFoundError):
            self._system.rm_file(self._full(path))

    @contextlib.contextmanager
    def workspace(self) -> Iterator[Path]:
        """Give a temporary folder on this machine."""
        with temporary_folder() as folder:
            try:
                yield Path(folder)
            except OSError as error:
                raise FmbenchError(f"{folder}: not written ({error.strerror or first_line(error)})") from None

    def publish(self, prepared: Path, folder: str) -> bool:
        """Upload the files; False where a whole entry is. Of two at once the files are the same, and one is first."""
        if self.has(f"{folder}/{COMMIT}"):
            if all(self.has(f"{folder}/{file}") for file in FILES):
                return False
            self.delete(f"{folder}/{COMMIT}")  # it has lost a file
        for file in FILES[:-1]:
            self.put(prepared / file, f"{folder}/{file}")
        return self._commit((prepared / COMMIT).read_bytes(), self._full(f"{folder}/{COMMIT}"))

    def _commit(self, content: bytes, path: str) -> bool:
        """Write the last file, and only where there is none, as far as the service knows how to do that."""
        with self._told():
            try:
                self._system.pipe_file(path, content, mode="create")
            except FileExistsError:
                return False
            except (OSError, NotImplementedError, TypeError):
                self._system.pipe_file(path, content)
        return True

    def remove(self, folder: str) -> None:
        """Delete the files of an entry, and first the one that makes it one."""
        for file in reversed(FILES):
            self.delete(f"{folder}/{file}")

    def leftovers(self) -> list[str]:
        """Return nothing: uploads that were interrupted leave no files, and half an entry is found by its files."""
        return []

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}"

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn whatever a protocol's library raises into one line."""
        try:
            yield
        except FmbenchError:
            raise
        except Exception as error:
            raise FmbenchError(f"{self.name}: {type(error).__name__}: {masked_text(first_line(error))}") from None
