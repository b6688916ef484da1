"""Exact search by late interaction: a text's score is the sum of its query's tokens' best matches (MaxSim).

Khattab and Zaharia, 2020, ColBERT, equation 3. As in the search by one vector a text, a device multiplies fast and
roughly, with an error of a known bound; the few texts that may be among the best are then scored exactly, on the host.
So a ranking depends on the vectors and the ids alone: not on the device, the blocks or the number of processes.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .engine import SINGLE
from .exact import UNIT
from .topk import Hit, TopK, best

if TYPE_CHECKING:
    import torch

PRODUCTS = 2**26  # of tokens, at once: 256 MB
QUERY_TOKENS = 2**15  # that are multiplied at once


@dataclass(frozen=True)
class TokenVectors:
    """The vectors of texts' tokens, (t, d), one text after the other: text i has rows starts[i] to starts[i + 1]."""

    vectors: np.ndarray
    starts: np.ndarray  # int64, one more than there are texts

    def __len__(self) -> int:
        return len(self.starts) - 1

    def of(self, text: int) -> np.ndarray:
        """Return one text's vectors."""
        return self.vectors[self.starts[text] : self.starts[text + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """How many vectors each text has."""
        return np.diff(self.starts)

    def means(self) -> np.ndarray:
        """Return the mean of each text's vectors (n, d); zeros for a text without any."""
        found = np.zeros((len(self), self.vectors.shape[1]), dtype=np.float32)
        for text in np.flatnonzero(self.lengths).tolist():
            found[text] = self.of(text).mean(axis=0)
        return found

    @classmethod
    def joined(cls, parts: Iterable["TokenVectors"]) -> Self:
        """Return the texts of several, in order."""
        parts = list(parts)
        lengths = np.concatenate([part.lengths for part in parts])
        return cls(np.concatenate([part.vectors for part in parts]), np.concatenate([[0], np.cumsum(lengths)]))

    def first_text_without_number(self) -> int | None:
        """Return the first text that has NaN or infinity in a vector; None where there is none."""
        return self._first_text_of(~np.isfinite(self.vectors).all(axis=1))

    def first_text_of_nothing(self) -> int | None:
        """Return the first text that has a vector that is zero throughout; None where there is none."""
        return self._first_text_of(~self.vectors.any(axis=1))

    def _first_text_of(self, bad: Any) -> int | None:
        """Return the first text one of whose vectors is bad."""
        return int(np.searchsorted(self.starts, np.argmax(bad), side="right")) - 1 if bad.any() else None


def max_sim(query: "torch.Tensor", tokens: "torch.Tensor", starts: "torch.Tensor") -> "torch.Tensor":
    """Return the score of each text (n): for each query token (q, d) the best of the text's tokens, summed.

    `tokens` (t, d) are those of all texts, one after the other; text i has `tokens[starts[i]:starts[i + 1]]`. A text
    without tokens scores 0.
    """
    return best_of_texts(tokens @ query.T, starts).sum(dim=1)


def best_of_texts(products: "torch.Tensor", starts: "torch.Tensor") -> "torch.Tensor":
    """Return the largest value a text and query token, (n, q) from (t, q); 0 where a text has no token."""
    import torch

    lengths = starts.diff()
    owner = torch.repeat_interleave(torch.arange(len(lengths), device=products.device), lengths.to(products.device))
    best = torch.full((len(lengths), products.shape[1]), float("-inf"), dtype=products.dtype, device=products.device)
    best.scatter_reduce_(0, owner[:, None].expand_as(products), products, "amax")
    return best.masked_fill(best == float("-inf"), 0.0)


class MaxSimSearcher:
    """The k best texts of every query, over blocks that come one by one; equal scores by id, as everywhere."""

    def __init__(
        self, queries: TokenVectors, query_ids: Sequence[str], k: int, device: Any, ignore_identical_ids: bool
    ) -> None:
        """Place the queries. `device` multiplies; a text with the query's own id may be left out, as in BEIR."""
        self._queries, self._query_ids = queries, tuple(query_ids)
        self._k, self._others, self._device = k, ignore_identical_ids, device
        self._wide = queries.vectors.astype(np.float64)
        lengths = np.sqrt(np.einsum("ij,ij->i", self._wide, self._wide))
        self._sizes = np.array([lengths[start:end].sum() for start, end in zip(*ends(queries), strict=True)])
        self._hits: list[list[Hit]] = [[] for _ in query_ids]
        self._next = 0

    @property
    def depth(self) -> int:
        """How many texts are kept of each query."""
        return self._k + self._others

    def add(self, ids: Sequence[str], texts: TokenVectors) -> None:
        """Search some more texts."""
        rough = self._rough(texts)
        longest = math.sqrt(float(np.einsum("ij,ij->i", texts.vectors, texts.vectors).max(initial=0.0)))
        terms = texts.vectors.shape[1] + self._queries.lengths.max(initial=0) + 8
        error = (1.01 * terms * SINGLE * longest * self._sizes)[None]
        floor = np.array([hits[-1][0] if len(hits) == self.depth else -np.inf for hits in self._hits])
        if len(ids) >= self.depth:
            floor = np.maximum(floor, np.partition(rough, -self.depth, axis=0)[-self.depth] - error[0])
        for text, chosen in enumerate(rough >= floor - error):
            places = np.flatnonzero(chosen)
            for place, score in zip(places, self._exact(texts.of(text), places), strict=True):
                self._hits[place].append((score, ids[text], self._next + text))
        self._hits = [best(hits, self.depth) for hits in self._hits]
        self._next += len(ids)

    def finish(self) -> TopK:
        """Return the best of all texts that were added."""
        found = TopK.of(self._query_ids, self._hits)
        return found.others(self._k) if self._others else found

    def _rough(self, texts: TokenVectors) -> np.ndarray:
        """Return the scores (n, m) of texts and queries, in float32, as the device computes them."""
        import torch

        from .torch_engine import full_precision, host

        result = np.empty((len(texts), len(self._queries)), dtype=np.float32)
        with torch.inference_mode(), full_precision():
            for start, end in query_groups(self._queries):
                rows = slice(self._queries.starts[start], self._queries.starts[end])
                query = torch.from_numpy(self._queries.vectors[rows]).to(self._device)
                owner = torch.from_numpy(np.repeat(np.arange(end - start), self._queries.lengths[start:end]))
                for places, padded in padded_groups(texts, max(1, PRODUCTS // max(1, len(query)))):
                    found = (torch.from_numpy(padded).to(self._device).flatten(0, 1) @ query.T).unflatten(
                        0, (len(places), -1)
                    )
                    scores = torch.zeros(len(places), end - start, device=found.device)
                    scores.index_add_(1, owner.to(found.device), found.amax(dim=1))
                    result[places, start:end] = host(scores)
        return result

    def _exact(self, text: np.ndarray, queries: np.ndarray) -> list[float]:
        """Return the scores of a text with some queries, as if computed without error and rounded to float32."""
        spans = [slice(self._queries.starts[at], self._queries.starts[at + 1]) for at in queries]
        tokens = text.astype(np.float64)
        if not len(tokens) or not spans:
            return [0.0] * len(spans)
        products = np.concatenate([self._wide[span] for span in spans]) @ tokens.T
        longest = math.sqrt(float(np.einsum("ij,ij->i", tokens, tokens).max()))
        scores, row = [], 0
        for at, span in zip(queries, spans, strict=True):
            mine = products[row : row + span.stop - span.start]
            row += len(mine)
            score = float(mine.max(axis=1).sum())
            error = (tokens.shape[1] + len(mine) + 8) * 2 * UNIT * longest * float(self._sizes[at])
            if np.float32(score - error) != np.float32(score + error):
                score = math.fsum((self._wide[span] * tokens[mine.argmax(axis=1)]).ravel().tolist())
            scores.append(float(np.float32(score)) + 0.0)  # one zero, not two
        return scores


def ends(texts: TokenVectors) -> tuple[list[int], list[int]]:
    """Return where each text's vectors begin and end."""
    bounds = texts.starts.tolist()
    return bounds[:-1], bounds[1:]


def query_groups(queries: TokenVectors) -> Iterator[tuple[int, int]]:
    """Yield ranges of queries that have QUERY_TOKENS vectors at most; one query at least."""
    start = 0
    while start < len(queries):
        end = int(np.searchsorted(queries.starts, queries.starts[start] + QUERY_TOKENS, side="right")) - 1
        end = min(max(end, start + 1), len(queries))
        yield start, end
        start = end


def padded_groups(texts: TokenVectors, most: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield places of texts, the longest first, and their vectors (n, length, d): `most` tokens at a time, or one text.

    A shorter text is filled up with its first token, which changes no maximum; one without tokens with a zero.
    """
    order = np.argsort(-texts.lengths, kind="stable")
    start = 0
    while start < len(order):
        length = max(1, int(texts.lengths[order[start]]))
        places = order[start : start + max(1, most // length)]
        padded = np.zeros((len(places), length, texts.vectors.shape[1]), dtype=np.float32)
        for row, place in enumerate(places):
            own = texts.of(place)
            padded[row, : len(own)] = own
            padded[row, len(own) :] = own[:1] if len(own) else 0
        yield places, padded
        start += len(places)
