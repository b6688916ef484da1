"""Texts and an encoder for the cache's tests: no model, so that a test takes milliseconds."""

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fmbench.embeddings.unfinished import Part
from fmbench.encoder import Timings

DIMENSION = 4


@dataclass(frozen=True)
class Line:
    """A text, as fmbench.collection has them."""

    id: str
    text: str
    title: str = ""

    @property
    def passage(self) -> str:
        return f"{self.title} {self.text}".strip()


@dataclass(frozen=True)
class Lines:
    """Some numbered texts that may be iterated again and again."""

    size: int
    word: str = "text"

    def __iter__(self) -> Iterator[Line]:
        return (Line(f"id {index}", f"{self.word} {index}", title="title") for index in range(self.size))

    def digest(self) -> str:
        return hashlib.sha256(f"{self.size} {self.word}".encode()).hexdigest()

    def count(self) -> int:
        return self.size


@dataclass
class FakeEncoder:
    """A fake: the vector of a text is drawn from its hash. `encoded` holds the first text of each chunk."""

    name: str = "org/fake"
    seconds: float = 0.0  # that a chunk takes
    parts: dict[str, Any] = field(default_factory=dict)
    tokens_per_batch: int | None = 1024
    budgets: list[int] = field(default_factory=list)
    encoded: list[str] = field(default_factory=list)
    dimension: int = DIMENSION
    timings: Timings = field(default_factory=Timings)

    def key(self, role: str) -> dict[str, Any]:
        return {
            "weights": "w0",
            "configuration": "c0",
            "code": None,
            "libraries": {"torch": "2"},
            "prompt": "",
            **self.parts,
        }

    def settle(self, texts: Sequence[str], role: str) -> int:
        return self.tokens_per_batch or 4 * len(texts)

    def encode_chunks(
        self,
        chunks: Iterable[Sequence[str]],
        role: str,
        tokens_per_batch: int | None = None,
        kept: Iterator[Part] | None = None,
    ) -> Iterator[np.ndarray]:
        self.budgets.append(tokens_per_batch or 0)
        for chunk in chunks:
            time.sleep(self.seconds)
            self.encoded.append(chunk[0])
            yield np.stack([vector(text) for text in chunk])


def vector(text: str) -> np.ndarray:
    """The fake's vector of a text."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")
    return np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


def files(folder: Path) -> dict[str, bytes]:
    """The files of a cache that count, with their content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
