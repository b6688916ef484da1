"""Vectors with the ids of their texts, on disk, read a block at a time."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .shard import Shard

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Block:
    """Some consecutive texts: their ids, and their vectors (n, d) in the type that they are stored in."""

    ids: Sequence[str]
    vectors: "np.ndarray"


@dataclass(frozen=True)
class Embeddings:
    """The vectors of one rank's texts, in the order of the texts. Never all in memory.

    `tokens_per_batch` is what they were made with: where a cache was begun with another budget, it is that one.
    """

    shards: Sequence[Shard]
    dim: int
    dtype: str
    tokens_per_batch: int
    _folder: "tempfile.TemporaryDirectory[str] | None" = field(default=None, repr=False)  # lives as long as they do

    def __len__(self) -> int:
        return sum(len(shard.vectors) for shard in self.shards)

    @property
    def ids(self) -> list[str]:
        """The ids of the texts."""
        return [identifier for shard in self.shards for identifier in shard.ids]

    def blocks(self, rows: int) -> Iterator[Block]:
        """Yield all vectors, `rows` at a time; the last block may have fewer. Copies a block where files meet."""
        import numpy as np

        ids: list[str] = []
        parts: list[np.ndarray] = []
        for shard in self.shards:
            start = 0
            while start < len(shard.vectors):
                end = start + rows - len(ids)
                parts.append(shard.vectors[start:end])
                ids += shard.ids[start:end]
                start = end
                if len(ids) == rows:
                    yield Block(ids, parts[0] if len(parts) == 1 else np.concatenate(parts))
                    ids, parts = [], []
        if ids:
            yield Block(ids, parts[0] if len(parts) == 1 else np.concatenate(parts))

    def rows(self, places: Sequence[int]) -> "np.ndarray":
        """Return the vectors (p, d) at places among all texts. Nothing else is read of the files."""
        import numpy as np

        wanted = np.array(places, dtype=np.int64)
        ends = np.cumsum([len(shard.vectors) for shard in self.shards])
        owners = np.searchsorted(ends, wanted, side="right")
        found = np.empty((len(wanted), self.dim), self.dtype)
        for owner in np.unique(owners):
            vectors, mine = self.shards[owner].vectors, owners == owner
            found[mine] = vectors[wanted[mine] - (ends[owner] - len(vectors))]
        return found

    def as_array(self) -> "np.ndarray":
        """Return all vectors, (n, d): mapped from the file where it is one, else a copy in memory."""
        import numpy as np

        if len(self.shards) == 1:
            return self.shards[0].vectors
        return np.concatenate([np.empty((0, self.dim), self.dtype), *(shard.vectors for shard in self.shards)])
