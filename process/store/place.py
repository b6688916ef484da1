"""Where a store is: what a folder and an object store must both be able to do."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from fmbench.leftovers import temporary_folder
from fmbench.whole_file import written


class Place(ABC):
    """A folder of files, by relative paths with slashes. What begins with a dot is never seen.

    Every method raises FmbenchError, in one line, where the place cannot be reached, read or written.
    """

    name: str  # what messages call it

    @abstractmethod
    def paths(self) -> list[str] | None:
        """Return the paths of all files three levels down and above, sorted; None where nothing is there at all."""

    @abstractmethod
    def read(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        """Yield the contents of small files, in order; None for one that is not there."""

    @abstractmethod
    def has(self, path: str) -> bool:
        """Whether a file is there now."""

    @abstractmethod
    def file(self, path: str) -> AbstractContextManager[Path]:
        """Give a file of any size as a local one, for as long as the context lasts."""

    @abstractmethod
    def put(self, source: Path, path: str) -> None:
        """Write a file: whole, or not at all."""

    def write(self, path: str, content: bytes) -> None:
        """Write a small file: whole, or not at all."""
        with temporary_folder() as folder:
            file = Path(folder, "content")
            with written(tempfile.gettempdir()):
                file.write_bytes(content)
            self.put(file, path)

    def holds(self, path: Path) -> bool:
        """Whether a local file or folder is the place or lies in it."""
        return False

    @abstractmethod
    def delete(self, path: str) -> None:
        """Delete a file; it is no error where there is none."""

    @abstractmethod
    def workspace(self) -> AbstractContextManager[Path]:
        """Give an empty local folder in which to prepare an entry. It is gone afterwards."""

    @abstractmethod
    def publish(self, prepared: Path, folder: str) -> bool:
        """Make the files of a workspace an entry, all at once for whoever reads; False where a whole one is there."""

    @abstractmethod
    def remove(self, folder: str) -> None:
        """Remove an entry, at once for whoever reads; it is no error where there is none."""

    @abstractmethod
    def leftovers(self) -> list[str]:
        """Return what interrupted programs have left, as far as it is known that they are not at work still."""
