"""The vectors of a sparse model: a number a word, nearly all of them zero. They stay in memory, without the zeros."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

from fmbench.embeddings import Block
from fmbench.embeddings.store import Progress, Texts
from fmbench.encoder import CHUNK, Encoder, Role


@dataclass(frozen=True)
class SparseVectors:
    """Vectors with the ids of their texts, as `Embeddings` has dense ones; `matrix` (n, words) is scipy's."""

    ids: Sequence[str]
    matrix: Any
    tokens_per_batch: int | None = None  # what they were made with

    @classmethod
    def encode(cls, texts: Texts, encoder: Encoder, role: Role, progress: Progress | None = None) -> Self:
        """Encode texts, a chunk at a time. Raises what the encoder raises."""
        from scipy.sparse import csr_array, vstack

        ids: list[str] = []
        parts = [csr_array((0, encoder.dimension), dtype="float32")]
        waiting, count = iter(texts), texts.count()
        while chunk := list(islice(waiting, CHUNK)):
            said = [text.text if role == "query" else text.passage for text in chunk]
            parts.append(csr_array(encoder.encode(said, role)))
            ids += [text.id for text in chunk]
            if progress is not None:
                progress(len(ids), count)
        budget = encoder.budget(role)
        return cls(ids, vstack(parts, format="csr"), budget.tokens if budget else None)

    @property
    def dim(self) -> int:
        """How many numbers a vector has."""
        return int(self.matrix.shape[1])

    def blocks(self, rows: int) -> Iterator[Block]:
        """Yield all vectors, zeros and all, `rows` at a time."""
        for start in range(0, len(self.ids), rows):
            yield Block(self.ids[start : start + rows], self.matrix[start : start + rows].toarray())
