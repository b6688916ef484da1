"""Some queries of a search on their way through the corpus: candidates first, exact scores in the end."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from fmbench.errors import FmbenchError

from .block import Block
from .candidates import Candidates, Found, grouped, kth_best
from .engine import Engine
from .exact import ExactScores, Similarity
from .topk import Hit, best
from .vectors import Documents, prepared


@dataclass(frozen=True)
class Held:
    """A block whose candidates are not settled yet. `first` is its first document's position."""

    first: int
    block: Block


class Questions:
    """As many queries as an engine takes at once, and the best documents that were found for each."""

    def __init__(self, ids: Sequence[str], vectors: np.ndarray, k: int, similarity: Similarity, engine: Engine) -> None:
        self._k, self._engine = k, engine
        self._placed = engine.place_queries(*prepared(ids, vectors, similarity, "query"), k)
        self._exact = ExactScores(vectors, similarity)
        self._candidates = Candidates(len(ids), k)
        self.hits: list[list[Hit]] = [[] for _ in ids]

    @property
    def undecided(self) -> int:
        """How many candidates there are."""
        return self._candidates.count

    def scan(self, documents: Documents) -> None:
        """Add the candidates among some documents."""
        found, floor = self._engine.scan(self._placed, documents.placed, self._k, self._candidates.floor)
        self._candidates.raise_to(floor)
        self._candidates.add(Found(found.query, found.position + documents.first, found.low, found.high))

    def settle(self, held: Sequence[Held], threads: int) -> None:
        """Score the candidates exactly and keep the best; they all must be in the blocks that are held.

        The k that look best come first: their exact scores show that most of the others need none.
        """
        found = self._candidates.take()
        likely = found.high >= kth_best(found.query, found.high, len(self.hits), self._k)[found.query]
        first = self._score(found.only(likely), held, threads)
        rest = found.only(~likely)
        rest = rest.only(rest.high >= self._candidates.floor[rest.query])
        self._keep(Found.joined([first, self._score(rest, held, threads)]), held)

    def _score(self, found: Found, held: Sequence[Held], threads: int) -> Found:
        """Return pairs with exact scores for intervals, and raise the floors to them."""
        scores = np.empty(len(found), dtype=np.float32)
        where = np.searchsorted([part.first for part in held], found.position, side="right") - 1
        for index in np.unique(where):
            pairs = np.flatnonzero(where == index)
            part = held[index]
            rows = found.position[pairs] - part.first
            scores[pairs] = self._exact.of(found.query[pairs], part.block.vectors, rows, threads)
        if not ((found.low <= scores) & (scores <= found.high)).all():
            raise FmbenchError(
                f"the search engine {self._engine.name} multiplies less exactly than it says on this device; "
                "choose another engine"
            )
        self._candidates.raise_to(kth_best(found.query, scores, len(self.hits), self._k))
        return Found(found.query, found.position, scores, scores)

    def _keep(self, scored: Found, held: Sequence[Held]) -> None:
        """Put scored pairs into the hits."""
        scored = scored.only(scored.low >= self._candidates.floor[scored.query])
        order, counts = grouped(scored.query, len(self.hits))
        ends = np.cumsum(counts)
        for query, (end, count) in enumerate(zip(ends.tolist(), counts.tolist(), strict=True)):
            pairs = order[end - count : end]
            positions = scored.position[pairs].tolist()
            new = zip(scored.low[pairs].tolist(), ids_at(positions, held), positions, strict=True)
            self.hits[query] = best(chain(self.hits[query], new), self._k)
        floors = [hits[-1][0] if len(hits) == self._k else -np.inf for hits in self.hits]
        self._candidates.raise_to(np.array(floors, dtype=np.float32))


def ids_at(positions: Sequence[int], held: Sequence[Held]) -> list[str]:
    """Return the ids of the documents at some positions."""
    if len(held) == 1:
        ids, first = held[0].block.ids, held[0].first
        return [ids[position - first] for position in positions]
    parts = [held[bisect_right(held, position, key=lambda part: part.first) - 1] for position in positions]
    return [part.block.ids[position - part.first] for part, position in zip(parts, positions, strict=True)]
