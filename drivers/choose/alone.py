"""Queries as they come in production, and as they race online: one at a time."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fmbench.encoder import Encoder, Role

if TYPE_CHECKING:
    import numpy as np


class Alone:
    """An encoder whose every text is a batch of its own: engines have other graphs for it, which round otherwise."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def key(self, role: Role) -> dict[str, Any]:
        """Return what decides the vectors: these are none of batches."""
        return {**self._encoder.key(role), "batches": "one text"}

    def encode(self, texts: Sequence[str], role: Role) -> "np.ndarray":
        """Return one vector a text, float32 (n, d). Raises what the encoder raises."""
        import numpy as np

        vectors = np.concatenate([self._encoder.encode([text], role) for text in texts])
        self._encoder.look_again()
        return vectors

    def encode_chunks(
        self, chunks: Iterable[Sequence[str]], role: Role, tokens_per_batch: int | None = None, kept: object = None
    ) -> "Iterator[np.ndarray]":
        """Yield the vectors of each chunk; there is no budget of a batch, and nothing of a chunk is kept before all."""
        for texts in chunks:
            yield self.encode(texts, role)
