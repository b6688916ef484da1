"""Retrieval from within a distributed program: every rank asks for its own queries, and gets its own answers."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, chain, islice, pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fmbench.errors import FmbenchError, UsageError
from fmbench.search import Block, Index, Similarity
from fmbench.search.choice import default_engine
from fmbench.search.engine import Engine

from .group import Group
from .merging import merge_everywhere
from .sharding import shares

if TYPE_CHECKING:
    import torch

ROWS = 65_536  # documents of a block

Answer = tuple[np.ndarray, np.ndarray, list[list[Any]]]


class Vectors(Protocol):
    """What is indexed: `fmbench.embeddings.Embeddings`, or anything else that yields blocks."""

    def __len__(self) -> int:
        """Return how many documents there are."""

    def blocks(self, rows: int) -> Iterable[Block]:
        """Yield all documents with their vectors, in order, some at a time."""


@dataclass(frozen=True)
class Part:
    """Some consecutive documents of a larger corpus. What is mapped into memory is not read for it."""

    whole: Vectors
    rows: range

    def __len__(self) -> int:
        return len(self.rows)

    def blocks(self, rows: int) -> Iterator[Block]:
        """Yield the documents, at most so many at a time."""
        first = 0
        for block in self.whole.blocks(rows):
            inside = slice(max(self.rows.start - first, 0), max(self.rows.stop - first, 0))
            first += len(block.ids)
            if len(block.ids[inside]):
                yield Block(block.ids[inside], block.vectors[inside])


def share_of(whole: Vectors, group: Group, *, sharded: bool = True) -> Part:
    """Return this rank's part of a corpus that every rank can open: a share, or all of it on rank 0."""
    weights = [1.0 if sharded or rank == 0 else 0.0 for rank in range(group.world_size)]
    return Part(whole, shares(len(whole), weights)[group.rank])


class DistributedRetriever:
    """An index of which each rank holds a part. All ranks call every method, together.

    `embeddings` is this rank's part: the parts of all ranks, in their order, are the corpus. A part may be empty, or
    None, so that one rank may hold the whole index. `documents` maps a document's id to the document, on every rank.
    Without a `group` the ranks that the environment names form one; a process that is alone needs nothing.
    """

    def __init__(
        self,
        embeddings: Vectors | None,
        documents: Mapping[str, Any],
        group: Group | None = None,
        *,
        similarity: Similarity = "dot",
        engine: Engine | None = None,
    ) -> None:
        self._embeddings, self._documents = embeddings, documents
        self._similarity, self._engine = similarity, engine
        self._group = group
        self._index: SharedIndex | None = None

    def init_retrieval(self) -> None:
        """Form the group where there is none, load this rank's part of the index, and wait for the others.

        Raises UsageError, on every rank, where the parts have vectors of different sizes.
        """
        group = self._group or Group()
        counts = tell_all(group, 0 if self._embeddings is None else len(self._embeddings))
        blocks = iter(() if self._embeddings is None else self._embeddings.blocks(ROWS))
        some = list(islice(blocks, 1))
        engine = self._engine or default_engine(some[0].vectors.shape[1] if some else 0)
        firsts = np.cumsum([0, *counts])
        index = Index(chain(some, blocks), self._similarity, engine, int(firsts[group.rank]))
        sizes = tell_all(group, index.dimensions or 0)
        for rank, size in enumerate(sizes):
            if size not in (0, max(sizes)):
                raise UsageError(f"rank {rank} holds vectors of {size} dimensions, another rank of {max(sizes)}")
        self._group, self._index = group, SharedIndex(group, index, firsts, max(sizes))

    def retrieve(self, question_hidden_states: "np.ndarray | torch.Tensor", n_docs: int) -> Answer:
        """Return the n_docs best documents of each of this rank's queries (n, d); n may be 0, and differ by rank.

        Returns their vectors (n, n_docs, d) in float32, their positions in the corpus (n, n_docs) in int64, and the
        documents, a list of n_docs for each query. Queries have no ids here, so one that is a document of the corpus
        finds itself: ask for one more, and leave it out. Raises UsageError, on every rank, for more documents than the
        corpus has, for queries of another size than the index or with NaN, and where the ranks ask for different
        numbers of documents.
        """
        if self._index is None:
            raise FmbenchError("call init_retrieval() first, on every rank")
        vectors, positions, names = self._index.ask(array_of(question_hidden_states), n_docs)
        return vectors, positions, [[self._document(name) for name in mine] for mine in names]

    def _document(self, name: str) -> Any:
        try:
            return self._documents[name]
        except KeyError:
            raise UsageError(f"document {name!r} is in the index and not in the collection") from None


@dataclass(frozen=True)
class SharedIndex:
    """The parts of all ranks: `firsts` holds the position of each one's first document, and the total."""

    group: Group
    part: Index
    firsts: np.ndarray
    dimensions: int

    def ask(self, queries: np.ndarray, n_docs: int) -> tuple[np.ndarray, np.ndarray, list[list[str]]]:
        """Return vectors, positions and ids of what is best for this rank's queries."""
        import torch

        counts = self._check(queries, n_docs)
        everyone = self.group.gather_all(torch.from_numpy(queries.reshape(-1, self.dimensions)))
        names = [str(number) for number in range(sum(counts))]
        found = merge_everywhere(self.group, self.part.search(torch.cat(everyone).numpy(), names, n_docs), n_docs)
        positions = np.concatenate([*found.positions, np.empty(0, np.int64)]).reshape(-1, n_docs)
        ends = [0, *accumulate(counts)]
        asked = [slice(start, end) for start, end in pairwise(ends)]
        mine = asked[self.group.rank]
        return self._vectors([positions[part] for part in asked]), positions[mine], found.ids[mine]

    def _check(self, queries: np.ndarray, n_docs: int) -> list[int]:
        """Return how many queries each rank has. Raises UsageError on all ranks for what is wrong on any."""
        total = int(self.firsts[-1])
        size = queries.shape[1] if queries.ndim == 2 else -1
        rows = tell_all(self.group, (len(queries), size, n_docs, int(np.isfinite(queries).all())))
        for rank, (count, size, depth, finite) in enumerate(rows):
            if size < 0 or (count and size != self.dimensions):
                raise UsageError(f"rank {rank}: queries (n, {self.dimensions}) are needed, like the index's vectors")
            if not finite:
                raise UsageError(f"rank {rank}: a query holds NaN or infinity")
            if not 1 <= depth <= total:
                raise UsageError(f"n_docs = {depth}: the corpus has {total} documents")
            if depth != rows[0][2]:
                raise UsageError(f"rank {rank} asks for {depth} documents a query, rank 0 for {rows[0][2]}")
        return [row[0] for row in rows]

    def _vectors(self, positions: list[np.ndarray]) -> np.ndarray:
        """Return the vectors at this rank's positions, of those (n, n_docs) that each rank wants; all ranks help."""
        import torch

        holders = [np.searchsorted(self.firsts[1:], wanted, side="right") for wanted in positions]
        mine = holders[self.group.rank]
        received = self.group.exchange(
            [
                torch.from_numpy(self._rows(wanted[holder == self.group.rank]))
                for wanted, holder in zip(positions, holders, strict=True)
            ],
            [int(np.count_nonzero(mine == rank)) for rank in range(self.group.world_size)],
        )
        vectors = np.empty((*mine.shape, self.dimensions), dtype=np.float32)
        for rank, part in enumerate(received):
            vectors[mine == rank] = part.numpy()
        return vectors

    def _rows(self, positions: np.ndarray) -> np.ndarray:
        return self.part.vectors(positions).reshape(len(positions), self.dimensions)


def tell_all(group: Group, numbers: Any) -> list[Any]:
    """Return a number, or a tuple of some, of every rank."""
    import torch

    return [row[0].tolist() for row in group.gather_all(torch.tensor([numbers], dtype=torch.int64))]


def array_of(vectors: "np.ndarray | torch.Tensor") -> np.ndarray:
    """Return vectors as a contiguous float32 array on the host."""
    if not isinstance(vectors, np.ndarray):
        vectors = vectors.detach().float().cpu().numpy()
    return np.ascontiguousarray(vectors, dtype=np.float32)
