"""Vectors as an engine takes them: checked, in float32, of unit length for a cosine, with their lengths."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fmbench.errors import UsageError

from .block import Block
from .engine import Engine, Placed
from .exact import Similarity

LONGEST = 1e18  # beyond it a product of two vectors may not fit in float32
SHORTEST = 1e-15  # below it a square sum in float32 loses digits


@dataclass(frozen=True)
class Documents:
    """As many documents of a block as an engine takes at once. `first` is the position of the first one."""

    placed: Placed
    first: int


def stored(vectors: np.ndarray) -> np.ndarray:
    """Return vectors whose products are exact in float64: float16 and float32 as they are, others in float32."""
    vectors = np.asarray(vectors)
    return vectors if vectors.dtype in (np.float16, np.float32) else vectors.astype(np.float32)


def place_block(block: Block, first: int, similarity: Similarity, engine: Engine) -> Iterator[Documents]:
    """Yield a block's documents where the engine wants them."""
    for start in range(0, len(block.ids), engine.rows):
        part = slice(start, start + engine.rows)
        vectors, lengths = prepared(block.ids[part], block.vectors[part], similarity, "document")
        yield Documents(engine.place_documents(vectors, lengths), first + start)


def prepared(
    ids: Sequence[str], vectors: np.ndarray, similarity: Similarity, what: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors in float32, contiguous, of unit length for a cosine, and upper bounds of their lengths (float64).

    Raises UsageError that names the first vector with a component that is no finite number.
    """
    single = np.ascontiguousarray(vectors, dtype=np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", single, single).astype(np.float64))
    short = np.flatnonzero(lengths < SHORTEST)
    lengths[short] = np.linalg.norm(single[short].astype(np.float64), axis=1)
    if not (lengths < LONGEST).all():
        refuse(ids, single, lengths, what)
    if similarity == "cosine":
        factors = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        factors[short] = 0
        unit = single * factors.astype(np.float32)[:, None]
        for row in short[lengths[short] > 0]:
            unit[row] = single[row] / lengths[row]
        single, lengths = unit, (lengths > 0).astype(np.float64)
    return single, lengths * (1 + (single.shape[1] + 8) * 2.0**-23)


def refuse(ids: Sequence[str], vectors: np.ndarray, lengths: np.ndarray, what: str) -> None:
    """Raise UsageError for the first vector that is not finite, or too long."""
    faulty = np.flatnonzero(~(lengths < LONGEST))
    name = f"the vector of {what} {ids[int(faulty[0])]!r}"
    others = f" (and of {len(faulty) - 1} more)" if len(faulty) > 1 else ""
    if np.isfinite(vectors[faulty[0]]).all():
        raise UsageError(f"{name}{others} is longer than {LONGEST:g}, too long for scores in float32")
    raise UsageError(f"{name}{others} holds NaN or infinity; encode it in a wider dtype, as with float32")


def check_shape(ids: Sequence[str], vectors: np.ndarray, dimensions: int | None, what: str) -> None:
    """Raise UsageError for vectors that are not one row an id, or not of the queries' number of dimensions."""
    if vectors.ndim != 2 or len(vectors) != len(ids):
        raise UsageError(f"{what} vectors of shape {vectors.shape} for {len(ids)} ids: one row an id is needed")
    if dimensions is not None and vectors.shape[1] != dimensions:
        raise UsageError(
            f"{what} vectors have {vectors.shape[1]} dimensions and the query vectors {dimensions}: "
            "encode both with one model, cut to one size"
        )
