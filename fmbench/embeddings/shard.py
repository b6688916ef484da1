"""One file of vectors and the ids of their texts: a safetensors file whose name holds its own checksum."""

import functools
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fmbench.tensor_file import map_tensors
from fmbench.walk import inside
from fmbench.whole_file import write_whole

if TYPE_CHECKING:
    import numpy as np

NAME = re.compile(r"(?P<index>\d{6})-(?P<checksum>[0-9a-f]{32})\.safetensors")
KEPT = "what was written before is kept, and the same command goes on from there"


@dataclass(frozen=True)
class Shard:
    """A whole file. Its vectors are mapped into memory, so that only what is looked at is read."""

    path: Path

    @functools.cached_property
    def vectors(self) -> "np.ndarray":
        """The vectors, (n, d), read-only; the file is not read until they are looked at."""
        return self._tensors["vectors"]

    @functools.cached_property
    def ids(self) -> tuple[str, ...]:
        """The ids of the texts, in the order of the vectors."""
        return tuple(json.loads(self._tensors["ids"].tobytes()))

    @functools.cached_property
    def _tensors(self) -> "dict[str, np.ndarray]":
        """What the file holds, by name."""
        return map_tensors(self.path)

    def is_whole(self) -> bool:
        """Whether the bytes are those that were written. Raises FileNotFoundError where another process deleted it."""
        with self.path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        return self.path.name.partition("-")[2].startswith(found[:32])

    def fault(self, texts: int, dimension: int, dtype: str) -> str | None:
        """Return why these are not the vectors (texts, dimension) of a type with their ids; None where they are."""
        try:
            if not self.is_whole():
                return "its checksum is wrong"
            held = (self.vectors.shape, self.vectors.dtype.name, len(self.ids))
        except FileNotFoundError:
            return "it is gone"
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            return "it holds no vectors"
        return None if held == ((texts, dimension), dtype, texts) else "it holds other vectors"


def write(folder: Path, index: int, ids: Sequence[str], vectors: "np.ndarray", prefix: str = ".") -> Shard:
    """Write a shard; it is there whole or not at all. The same vectors give the same file.

    `prefix` begins the name of the file until it is whole.
    """
    import numpy as np

    text = np.frombuffer(json.dumps(list(ids)).encode(), dtype=np.uint8)
    tensors = {"vectors": np.ascontiguousarray(vectors), "ids": text}
    return Shard(write_checked(folder, f"{index:06}", ".safetensors", tensors, prefix))


def write_checked(folder: Path, name: str, suffix: str, tensors: "dict[str, np.ndarray]", prefix: str) -> Path:
    """Write a file of tensors, whole or not at all, and return its path: the name, the checksum, the suffix."""
    from safetensors.numpy import save

    content = save(tensors)
    path = folder / f"{name}-{hashlib.sha256(content).hexdigest()[:32]}{suffix}"
    write_whole(path, content, prefix, KEPT)
    return path


def find(folder: Path) -> dict[int, list[Shard]]:
    """Return the shards in a folder by number; two where two processes came to other last bits."""
    found: dict[int, list[Shard]] = {}
    for entry in inside(folder):
        match = NAME.fullmatch(entry.name)
        if match:
            found.setdefault(int(match["index"]), []).append(Shard(Path(entry.path)))
    return found
