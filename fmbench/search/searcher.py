"""Exact search: the k best documents of every query, over blocks that come one by one."""

import mmap
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from fmbench.errors import UsageError

from .block import Block
from .engine import Engine
from .exact import SIMILARITIES, Similarity
from .questions import Held, Questions
from .topk import TopK
from .vectors import Documents, check_shape, place_block, stored

OWN_BYTES = 256_000_000  # of blocks that are kept in memory until their candidates are settled
SMALLEST_GROUP = 64  # queries that are not divided among threads
CANDIDATES = 10_000_000  # that are kept until they are settled, at 20 bytes each


def search(
    queries: np.ndarray,
    query_ids: Sequence[str],
    blocks: Iterable[Block],
    k: int,
    similarity: Similarity = "dot",
    *,
    engine: Engine,
    ignore_identical_ids: bool,
    first: int = 0,
) -> TopK:
    """Return the k best documents of every query (fewer where the corpus is smaller), exactly, in the total order.

    `ignore_identical_ids`: a document that has the query's id is none of them, as in BEIR, whose queries may be
    documents of the corpus; the next best takes its place.

    `queries` has shape (m, d). Blocks are taken one by one, so that a corpus may be larger than memory, or be encoded
    while it is searched. `first` is the position of the first document, for a part of a corpus. The result depends on
    the stored vectors and the ids alone: not on the engine, the sizes of blocks, or how a corpus is divided.

    Raises UsageError for k below 1, another similarity, shapes that do not fit, and for a vector with NaN or infinity,
    which it names.
    """
    searcher = Searcher(queries, query_ids, k, similarity, engine, ignore_identical_ids, first)
    for block in blocks:
        searcher.add(block)
    return searcher.finish()


class Searcher:
    """A search that takes documents as they come. See `search`."""

    def __init__(
        self,
        queries: np.ndarray,
        query_ids: Sequence[str],
        k: int,
        similarity: Similarity,
        engine: Engine,
        ignore_identical_ids: bool,
        first: int = 0,
    ) -> None:
        if k < 1:
            raise UsageError(f"k = {k}: a search returns at least one document")
        if similarity not in SIMILARITIES:
            raise UsageError(f"similarity {similarity!r}: known are {' and '.join(SIMILARITIES)}")
        queries = stored(queries)
        check_shape(query_ids, queries, None, "query")
        self._query_ids = tuple(query_ids)
        self._dimensions = queries.shape[1]
        self._k, self._others = k, ignore_identical_ids
        self._similarity, self._engine, self._next = similarity, engine, first
        self._held: list[Held] = []
        self._own_bytes = 0
        depth = k + ignore_identical_ids
        step = min(engine.queries_at_once, max(SMALLEST_GROUP, -(-len(queries) // engine.workers)))
        self._questions = [
            Questions(self._query_ids[start : start + step], queries[start : start + step], depth, similarity, engine)
            for start in range(0, len(queries), step)
        ]

    def add(self, block: Block) -> None:
        """Search some more documents."""
        block = Block(block.ids, stored(block.vectors))
        self.add_placed(block, place_block(block, self._next, self._similarity, self._engine))

    def add_placed(self, block: Block, documents: Iterable[Documents]) -> None:
        """Search a block whose documents the engine has placed already."""
        check_shape(block.ids, block.vectors, self._dimensions, "document")
        self._held.append(Held(self._next, block))
        self._next += len(block.ids)
        self._own_bytes += own_bytes(block.vectors)
        for part in documents:
            self._engine.each(partial(Questions.scan, documents=part), self._questions)
            if sum(questions.undecided for questions in self._questions) > CANDIDATES:
                self._settle()
        if self._own_bytes > OWN_BYTES:
            self._settle()
            self._held.clear()
            self._own_bytes = 0

    def _settle(self) -> None:
        import torch

        threads = max(torch.get_num_threads() // self._engine.workers, 1)
        self._engine.each(partial(Questions.settle, held=self._held, threads=threads), self._questions)

    def finish(self) -> TopK:
        """Return the best of all documents that were added."""
        self._settle()
        found = TopK.of(self._query_ids, (hits for questions in self._questions for hits in questions.hits))
        return found.others(self._k) if self._others else found


class Index:
    """A corpus that is searched more than once: its documents stay where the engine wants them."""

    def __init__(self, blocks: Iterable[Block], similarity: Similarity, engine: Engine, first: int = 0) -> None:
        """Place all documents. Beside the vectors this takes up to 5 bytes a component, by engine and similarity."""
        self._similarity, self._engine, self._first = similarity, engine, first
        self._blocks: list[tuple[Block, list[Documents]]] = []
        self._count = 0
        for block in blocks:
            block = Block(block.ids, stored(block.vectors))
            check_shape(block.ids, block.vectors, None, "document")
            placed = place_block(block, first + self._count, similarity, engine)
            self._blocks.append((block, [Documents(engine.kept(part.placed), part.first) for part in placed]))
            self._count += len(block.ids)

    def __len__(self) -> int:
        return self._count

    @property
    def dimensions(self) -> int | None:
        """How many numbers a vector has; None where there is none."""
        return self._blocks[0][0].vectors.shape[1] if self._blocks else None

    def vectors(self, positions: np.ndarray) -> np.ndarray:
        """Return the vectors (p, d) at positions (p,) of the corpus, in float32."""
        found = np.empty((len(positions), self.dimensions or 0), dtype=np.float32)
        start = self._first
        for block, _ in self._blocks:
            inside = (positions >= start) & (positions < start + len(block.ids))
            found[inside] = block.vectors[positions[inside] - start]
            start += len(block.ids)
        return found

    def search(self, queries: np.ndarray, query_ids: Sequence[str], k: int) -> TopK:
        """Return the k best documents of every query. See `search`."""
        searcher = Searcher(queries, query_ids, k, self._similarity, self._engine, False, self._first)
        for block, placed in self._blocks:
            searcher.add_placed(block, placed)
        return searcher.finish()


def own_bytes(vectors: np.ndarray) -> int:
    """Return the bytes of memory that an array keeps: none where it is a view of a mapped file."""
    base: Any = vectors
    while base is not None:
        if isinstance(base, (np.memmap, mmap.mmap)):
            return 0
        base = base.obj if isinstance(base, memoryview) else getattr(base, "base", None)
    return vectors.nbytes
