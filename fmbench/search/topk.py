"""The best documents of each query, in one total order: score descending, then document id descending.

The order is trec_eval's. Ids compare by code point, which is the order of their UTF-8 bytes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fmbench.errors import FmbenchError

Hit = tuple[float, str, int]  # score, document id, position in the corpus: tuples compare in the total order
UNKNOWN = -1  # the position of a document that a run file named


@dataclass(frozen=True)
class TopK:
    """What a search found: for each query its documents' ids and scores (float32), best first.

    `positions` (int64) are the documents' rows in the corpus, -1 where nobody knows (a run that was read).
    """

    query_ids: tuple[str, ...]
    ids: list[list[str]]
    scores: list[np.ndarray]
    positions: list[np.ndarray]

    @classmethod
    def of(cls, query_ids: Iterable[str], hits: Iterable[Sequence[Hit]]) -> "TopK":
        """Return what each query's hits, already in order, make."""
        hits = list(hits)
        return cls(
            tuple(query_ids),
            [[name for _, name, _ in found] for found in hits],
            [np.array([score for score, _, _ in found], dtype=np.float32) for found in hits],
            [np.array([position for _, _, position in found], dtype=np.int64) for found in hits],
        )

    def run(self) -> dict[str, dict[str, float]]:
        """Return the scores as `run[query id][document id]`, in order."""
        return {
            query_id: dict(zip(ids, scores.tolist(), strict=True))
            for query_id, ids, scores in zip(self.query_ids, self.ids, self.scores, strict=True)
        }

    def others(self, k: int) -> "TopK":
        """Return the k best of each query among the documents that do not have its own id."""
        keep = [
            [place for place, name in enumerate(ids[: k + 1]) if name != query_id][:k]
            for query_id, ids in zip(self.query_ids, self.ids, strict=True)
        ]
        return TopK(
            self.query_ids,
            [[ids[place] for place in places] for ids, places in zip(self.ids, keep, strict=True)],
            [scores[places] for scores, places in zip(self.scores, keep, strict=True)],
            [positions[places] for positions, places in zip(self.positions, keep, strict=True)],
        )

    def hits(self, query: int) -> list[Hit]:
        """Return the hits of the query of this number."""
        return list(zip(self.scores[query].tolist(), self.ids[query], self.positions[query].tolist(), strict=True))


def best(hits: Iterable[Hit], k: int) -> list[Hit]:
    """Return the first k in the total order."""
    return sorted(hits, reverse=True)[:k]


def merge(parts: Sequence[TopK], k: int) -> TopK:
    """Return the top k of a corpus whose parts were searched one by one, with the same queries.

    Exact where every part's own k was at least this one. Raises FmbenchError for parts of different queries and
    ValueError for none.
    """
    if not parts:
        raise ValueError("nothing to merge")
    query_ids = parts[0].query_ids
    if any(part.query_ids != query_ids for part in parts):
        raise FmbenchError("top-k lists of different queries cannot be merged")
    return TopK.of(
        query_ids, (best((hit for part in parts for hit in part.hits(query)), k) for query in range(len(query_ids)))
    )
