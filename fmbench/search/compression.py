"""Compressed vectors: what is stored of a vector, what that stands for, and an index of it that faiss searches.

A ranking by compressed vectors is the exact one by what they stand for, in the same total order as every other. Codes
of float16, bfloat16 and int8 are those of faiss's scalar quantiser, those of binary are the signs.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmbench.errors import UsageError, nearest
from fmbench.parsing import Parser, adder, positive

from .faiss_engine import load_faiss

BITS = {"float32": 32, "float16": 16, "bfloat16": 16, "int8": 8, "binary": 1}  # of a component
QUANTISERS = {"float16": "QT_fp16", "bfloat16": "QT_bf16", "int8": "QT_8bit"}
FORM = re.compile(r"(\w+)(?:@(\d+))?")
AT_ONCE = 64  # queries that are rescored together


@dataclass(frozen=True, slots=True)
class Compression:
    """A type of components, and how many of the first ones are kept; None: all."""

    kind: str
    dimensions: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Compression":
        """Read `int8` or `int8@128`. Raises UsageError."""
        found = FORM.fullmatch(text)
        if found is None or found[1] not in BITS:
            kind = text.partition("@")[0]
            raise UsageError(f"--compress {text}: unknown{nearest(kind, tuple(BITS))} (known: {', '.join(BITS)}; "
                             "int8@128 keeps the first 128 dimensions)")  # fmt: skip
        if found[2] is not None and int(found[2]) < 1:
            raise UsageError(f"--compress {text}: a vector keeps at least one dimension")
        return cls(found[1], int(found[2]) if found[2] else None)

    @property
    def name(self) -> str:
        """What it is called, as it is asked for."""
        return self.kind if self.dimensions is None else f"{self.kind}@{self.dimensions}"

    def kept(self, dimensions: int) -> int:
        """Return how many dimensions stay of vectors that have so many. Raises UsageError for more than there are."""
        if self.dimensions is not None and self.dimensions > dimensions:
            raise UsageError(f"--compress {self.name}: the vectors have {dimensions} dimensions; keep at most that")
        return self.dimensions or dimensions


def add_compression_arguments(parser: Parser, description: str | None = None) -> None:
    """Add which other types the vectors are searched in."""
    add = adder(parser.add_argument_group("compressed vectors", description))
    add("--compress", type=compressions, metavar="TYPE,TYPE,...",
        help="search the vectors as float32, float16, bfloat16, int8 (ranges of the corpus) or binary (signs) too; "
             "int8@128 keeps the first 128 dimensions (Matryoshka)")  # fmt: skip
    add("--rescore", type=positive, metavar="N", help="order the N best of binary once more, by whole queries")


def compressions(text: str) -> tuple[Compression, ...]:
    """Read a comma list. Raises UsageError."""
    found = tuple(Compression.parse(one.strip()) for one in text.split(","))
    twice = next((one.name for one in found if found.count(one) > 1), None)
    if twice is not None:
        raise UsageError(f"--compress {text}: {twice} is named twice")
    return found


def check_dimensions(compress: Sequence[Compression], dimensions: int | None) -> None:
    """Raise UsageError for more dimensions than vectors have, where that is known."""
    if dimensions is not None:
        for one in compress:
            one.kept(dimensions)


def check_rescore(compress: Sequence[Compression], rescore: int | None, depth: int, option: str = "") -> None:
    """Raise UsageError for a second ordering that nothing needs, or that is of fewer than are retrieved."""
    if rescore and not any(one.kind == "binary" for one in compress):
        raise UsageError("--rescore: binary vectors are ordered once more, and --compress names none; the other types "
                         "are compared with whole queries already")  # fmt: skip
    if rescore and rescore < depth:
        raise UsageError(f"--rescore {rescore}: {depth} documents are retrieved a query{option}; order at least as "
                         "many once more")  # fmt: skip


class Codec:
    """One compression of vectors of `dimensions` numbers: codes, uint8 of shape (n, bytes), and back.

    `unit`: vectors are made one long, after they were cut, before they are compressed: then products are cosines.
    int8 divides the range of each component into 255 steps: `limits` (2, dimensions) are its least and greatest values
    in the corpus.
    """

    def __init__(self, compression: Compression, dimensions: int, unit: bool, limits: np.ndarray | None = None) -> None:
        self._faiss = load_faiss()
        self.compression, self._unit = compression, unit
        self.dimensions = compression.kept(dimensions)
        self._quantiser = self._index() if compression.kind in QUANTISERS else None
        if self._quantiser is not None and limits is not None:
            ends = np.concatenate([limits[0], limits[1] - limits[0]]).astype(np.float32)
            self._faiss.copy_array_to_vector(ends, self._quantiser.sq.trained)

    @property
    def bytes(self) -> int:
        """Bytes of a document's code."""
        return -(-BITS[self.compression.kind] * self.dimensions // 8)

    def cut(self, vectors: np.ndarray) -> np.ndarray:
        """Return what is compressed of vectors (n, d), in float32."""
        kept = np.ascontiguousarray(vectors[:, : self.dimensions], dtype=np.float32)
        if not self._unit:
            return kept
        lengths = np.linalg.norm(kept, axis=1, keepdims=True)
        return np.divide(kept, lengths, out=np.zeros_like(kept), where=lengths > 0)

    def encode(self, vectors: np.ndarray) -> np.ndarray:
        """Return the codes of vectors that were cut."""
        if self._quantiser is not None:
            return np.asarray(self._quantiser.sq.compute_codes(vectors))
        if self.compression.kind == "binary":
            return np.packbits(vectors > 0, axis=1)
        return vectors.view(np.uint8)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Return what codes stand for, in float32: of binary, 1 and -1."""
        if self._quantiser is not None:
            return np.asarray(self._quantiser.sq.decode(codes))
        if self.compression.kind == "binary":
            return signs(np.unpackbits(codes, axis=1, count=self.dimensions).astype(bool))
        return codes.view(np.float32)

    def question(self, queries: np.ndarray) -> np.ndarray:
        """Return what queries (m, d) are compared as: cut, and for binary compressed themselves."""
        kept = self.cut(queries)
        return signs(kept > 0) if self.compression.kind == "binary" else kept

    def index(self, parts: Iterable[np.ndarray]) -> "FlatIndex":
        """Return an index of documents' codes, all in memory once, but for those of binary, which are there twice."""
        index, kept = self._index(), [np.empty((0, self.bytes), np.uint8)]
        if self._quantiser is not None:
            index.sq.trained, index.is_trained = self._quantiser.sq.trained, True
        for codes in parts:
            if self._quantiser is not None:
                index.add_sa_codes(codes)
            elif self.compression.kind == "binary":
                index.add(codes)
                kept.append(codes)  # which are rescored
            else:
                index.add(self.decode(codes))
        return FlatIndex(self, index, np.concatenate(kept))

    def _index(self) -> Any:
        """Return an empty index of faiss."""
        faiss, product = self._faiss, self._faiss.METRIC_INNER_PRODUCT
        if self.compression.kind == "binary":
            return faiss.IndexBinaryFlat(self.bytes * 8)
        if self.compression.kind == "float32":
            return faiss.IndexFlatIP(self.dimensions)
        quantiser = getattr(faiss.ScalarQuantizer, QUANTISERS[self.compression.kind])
        return faiss.IndexScalarQuantizer(self.dimensions, quantiser, product)


class FlatIndex:
    """Codes in memory, searched by brute force: what is timed. Equal scores come in faiss's order.

    `codes` are those of binary, which are rescored.
    """

    def __init__(self, codec: Codec, index: Any, codes: np.ndarray) -> None:
        self._codec, self._index, self._codes = codec, index, codes
        self.name = f"faiss {type(index).__name__}"

    def search(self, queries: np.ndarray, k: int, rescore: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return scores and rows (m, k) of the best for queries (m, d), their compression included.

        `rescore`: that many are found first, and their order is that of the products with the whole queries.
        """
        kept, k = self._codec.cut(queries), min(k, self._index.ntotal)
        if self._codec.compression.kind != "binary":
            scores, rows = self._index.search(kept, k)
            return scores, rows
        depth = min(max(k, rescore or 0), self._index.ntotal)
        distances, rows = self._index.search(self._codec.encode(kept), depth)
        if rescore is None:
            return self._codec.dimensions - 2 * distances.astype(np.float32), rows
        return self._rescored(kept, rows, k)

    def _rescored(self, queries: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        parts = []
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            documents = self._codec.decode(self._codes[some.ravel()]).reshape(*some.shape, -1)
            products = np.einsum("qd,qnd->qn", queries[start : start + AT_ONCE], documents)
            order = np.argsort(-products, axis=1, kind="stable")[:, :k]
            parts.append((np.take_along_axis(products, order, 1), np.take_along_axis(some, order, 1)))
        scores, found = zip(*parts, strict=True)
        return np.concatenate(scores), np.concatenate(found)


def signs(positive: np.ndarray) -> np.ndarray:
    """Return 1 where something is true, else -1, in float32."""
    return np.where(positive, np.float32(1), np.float32(-1))


def limits_of(least: np.ndarray | None, vectors: np.ndarray) -> np.ndarray:
    """Return the least and greatest value of each component (2, d) of some vectors, and of those seen before."""
    ends = np.stack([vectors.min(axis=0), vectors.max(axis=0)])
    return ends if least is None else np.stack([np.minimum(least[0], ends[0]), np.maximum(least[1], ends[1])])
