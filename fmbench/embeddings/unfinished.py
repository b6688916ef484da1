"""What is there of a file of vectors that is not whole: batches that are written every few seconds, against a kill."""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fmbench.walk import inside

from .shard import Shard, write_checked

if TYPE_CHECKING:
    import numpy as np

SECONDS = 2.0  # of work, and one batch, are what a kill loses at most
NAME = re.compile(r"(?P<index>\d{6})-[0-9a-f]{32}\.batches")


class Unfinished:
    """The vectors of one file's texts that are computed already, as the encoder made them (float32).

    Texts are told by their positions in the file. `prefix` begins the name of what is being written.
    """

    def __init__(self, folder: Path, index: int, prefix: str, dimension: int, paths: Iterable[Path] = ()) -> None:
        """Read what an earlier process left; a damaged file of it counts for nothing."""
        self.index, self.prefix = index, prefix
        self._folder, self._dimension = folder, dimension
        self._paths = list(paths)
        self._known: dict[int, np.ndarray] = {}
        for path in self._paths:
            self._read(path)
        self._pending: list[tuple[np.ndarray, np.ndarray]] = []
        self._written: float | None = None

    def __len__(self) -> int:
        return len(self._known)

    def _read(self, path: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            found = load(path.read_bytes()) if Shard(path).is_whole() else {}
        except (FileNotFoundError, SafetensorError):  # another process has finished this file; or nobody wrote it
            return
        positions, vectors = found.get("positions"), found.get("vectors")
        if positions is not None and vectors is not None and vectors.shape == (len(positions), self._dimension):
            self._known.update(zip(positions.tolist(), vectors, strict=True))

    def take(self, positions: "np.ndarray") -> "np.ndarray | None":
        """Return the vectors (n, d) at positions (n,), or None where one of them is not there."""
        import numpy as np

        if not self._known:
            return None
        rows = [self._known.get(position) for position in positions.tolist()]
        return None if any(row is None for row in rows) else np.stack([row for row in rows if row is not None])

    def due(self) -> bool:
        """Whether the last write, or the first batch, is long enough ago."""
        if self._written is None:
            self._written = time.monotonic()
        return time.monotonic() - self._written >= SECONDS

    def keep(self, positions: "np.ndarray", vectors: "np.ndarray") -> None:
        """Take the vectors (n, d) at positions (n,), and write what was taken since the last write, where that is due.

        What holds NaN or infinity is not written: it would come back after whatever was wrong is mended.
        """
        import numpy as np

        if np.isfinite(vectors).all():
            self._pending.append((positions, vectors))
        if not self.due() or not self._pending:
            return
        tensors = {
            "positions": np.concatenate([some for some, _ in self._pending]).astype(np.int64),
            "vectors": np.concatenate([some for _, some in self._pending]),
        }
        self._paths.append(write_checked(self._folder, f"{self.index:06}", ".batches", tensors, self.prefix))
        self._pending.clear()
        self._written = time.monotonic()

    def clear(self) -> None:
        """Delete what was written: the file is whole."""
        for path in self._paths:
            path.unlink(missing_ok=True)
        self._pending.clear()
        self._known.clear()


@dataclass(frozen=True)
class Part:
    """One chunk of an unfinished file; `first` is where it begins, and positions are those of the chunk."""

    unfinished: Unfinished
    first: int

    def take(self, positions: "np.ndarray") -> "np.ndarray | None":
        """Return the vectors (n, d) at positions (n,), or None where one of them is not there."""
        return self.unfinished.take(positions + self.first)

    def due(self) -> bool:
        """Whether it is time to write."""
        return self.unfinished.due()

    def keep(self, positions: "np.ndarray", vectors: "np.ndarray") -> None:
        """Take the vectors (n, d) at positions (n,), and write what is due."""
        self.unfinished.keep(positions + self.first, vectors)


def find_unfinished(folder: Path) -> dict[int, list[Path]]:
    """Return the files of batches in a folder, by the number of the file of vectors that they are of."""
    found: dict[int, list[Path]] = {}
    for entry in inside(folder):
        match = NAME.fullmatch(entry.name)
        if match:
            found.setdefault(int(match["index"]), []).append(Path(entry.path))
    return found
