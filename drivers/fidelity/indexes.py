"""Residual-compressed indexes of token vectors and of pooled ones, built and searched, and rankings from them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from fmbench.search.faiss_engine import load_faiss
from fmbench.search.maxsim import best_of_texts, max_sim

from .context import Context

if TYPE_CHECKING:
    import numpy as np
    import torch

BITS = 4
ITERATIONS = 10
SAMPLE = 64  # vectors a centroid that k-means sees
SPREAD = 4  # centroids are about this times the root of the number of vectors
ROWS = 4096  # vectors that are compressed at once
CELLS = 4  # centroids that a query vector looks at
CANDIDATES = 256  # texts a query that are scored with their residuals

OPTIONS: Mapping[str, Any] = {"bits": BITS, "iterations": ITERATIONS, "sample": SAMPLE, "spread": SPREAD}
SEARCH_OPTIONS: Mapping[str, Any] = {"cells": CELLS, "candidates": CANDIDATES}


@dataclass
class ResidualIndex:
    """An index of t vectors (t, d) of n texts. The parts are built in the order of `NAMES`.

    centroids (c, d); cutoffs (2^bits - 1) and weights (2^bits) of a residual's buckets; average_residual (d), absolute;
    codes (t), the centroid of a vector; residuals (t, d * bits / 8), packed, the first dimension in the highest bits;
    starts (n + 1), where a text's vectors begin; list_starts (c + 1) and lists: the texts of each centroid, ascending.
    """

    parts: "dict[str, torch.Tensor]" = field(default_factory=dict)

    def __getitem__(self, name: str) -> "torch.Tensor":
        return self.parts[name]


NAMES = (
    "sample", "centroids", "cutoffs", "weights", "average_residual", "codes", "residuals", "starts", "list_starts",
    "lists",
)  # fmt: skip


def build(
    vectors: "np.ndarray", starts: "torch.Tensor", seed: int, given: "Mapping[str, torch.Tensor] | None" = None
) -> ResidualIndex:
    """Build the index of vectors (t, d), of length 1 each; text i has rows starts[i] to starts[i + 1].

    `vectors` may be memory-mapped. A `sample` and `centroids` that are `given` take the place of those that would be
    computed. Raises UsageError where faiss is missing.
    """
    import torch

    index = ResidualIndex({"starts": starts, **(given or {})})
    count = centroid_count(len(vectors))
    if "sample" not in index.parts:
        rows = torch.randperm(len(vectors), generator=torch.Generator().manual_seed(seed))
        chosen = rows[: SAMPLE * count].sort().values.numpy()
        index.parts["sample"] = torch.from_numpy(vectors[chosen]).float()
    if "centroids" not in index.parts:
        index.parts["centroids"] = cluster(index["sample"], count, seed)
    add_buckets(index, index["sample"])
    pieces = list(compress(index, vectors))
    index.parts["codes"] = torch.cat([codes for codes, _ in pieces])
    index.parts["residuals"] = torch.cat([residuals for _, residuals in pieces])
    add_lists(index)
    return index


def centroid_count(vectors: int) -> int:
    """Return how many centroids: the power of two below SPREAD times the root, and no more than there are vectors."""
    wanted = max(1, min(vectors, int(SPREAD * vectors**0.5)))
    return 1 << (wanted.bit_length() - 1)


def cluster(sample: "torch.Tensor", count: int, seed: int) -> "torch.Tensor":
    """Return centroids (count, d) of length 1, by faiss's seeded k-means."""
    import torch
    from torch.nn.functional import normalize

    faiss = load_faiss()
    kmeans = faiss.Kmeans(
        sample.shape[1], count, niter=ITERATIONS, seed=seed + 1, max_points_per_centroid=SAMPLE,
        min_points_per_centroid=1,
    )  # fmt: skip
    kmeans.train(sample.numpy())
    return normalize(torch.from_numpy(kmeans.centroids.copy()), dim=-1)


def add_buckets(index: ResidualIndex, sample: "torch.Tensor") -> None:
    """Cut the sample's residuals at their quantiles; a bucket's weight is its middle quantile."""
    import torch

    left = torch.cat([block - index["centroids"][nearest(index, block)] for block in sample.split(ROWS)])
    levels = 2**BITS
    every = left.flatten().sort().values
    cuts = torch.arange(1, levels) / levels
    index.parts["cutoffs"] = quantiles(every, cuts)
    index.parts["weights"] = quantiles(every, (torch.arange(levels) + 0.5) / levels)
    index.parts["average_residual"] = left.abs().mean(dim=0)


def quantiles(ordered: "torch.Tensor", shares: "torch.Tensor") -> "torch.Tensor":
    """Return quantiles of sorted values, the lower of two: torch.quantile takes no more than 16 million values."""
    return ordered[(shares.double() * (len(ordered) - 1)).long()]


def nearest(index: ResidualIndex, vectors: "torch.Tensor") -> "torch.Tensor":
    """Return the centroid of each vector: the one of the largest inner product."""
    return (vectors @ index["centroids"].T).argmax(dim=1)


def compress(index: ResidualIndex, vectors: "np.ndarray") -> "Iterator[tuple[torch.Tensor, torch.Tensor]]":
    """Yield codes (int32) and packed residuals (uint8), some rows at a time."""
    import torch

    for start in range(0, len(vectors), ROWS):
        block = torch.from_numpy(vectors[start : start + ROWS].copy()).float()
        codes = nearest(index, block)
        buckets = torch.bucketize(block - index["centroids"][codes], index["cutoffs"])
        yield codes.int(), pack(buckets)


def pack(buckets: "torch.Tensor") -> "torch.Tensor":
    """Return bucket numbers (t, d) as bytes, the first dimension in the highest bits; d is filled up with zeros."""
    import torch
    from torch.nn.functional import pad

    per_byte = 8 // BITS
    whole = pad(buckets, (0, -buckets.shape[1] % per_byte)).unflatten(1, (-1, per_byte))
    shifts = torch.arange(8 - BITS, -1, -BITS)
    return (whole << shifts).sum(dim=-1).to(torch.uint8)


def unpack(residuals: "torch.Tensor", dimensions: int) -> "torch.Tensor":
    """Return bucket numbers (t, d) of packed residuals."""
    import torch

    shifts = torch.arange(8 - BITS, -1, -BITS)
    return ((residuals[..., None].long() >> shifts) & (2**BITS - 1)).flatten(1)[:, :dimensions]


def add_lists(index: ResidualIndex) -> None:
    """Add which texts have a vector near each centroid."""
    import torch

    starts, codes = index["starts"], index["codes"].long()
    texts = torch.repeat_interleave(torch.arange(len(starts) - 1), starts.diff())
    pairs = torch.unique(codes * max(1, len(starts) - 1) + texts)  # sorted: by centroid, then by text
    lists = pairs % max(1, len(starts) - 1)
    counts = torch.bincount(pairs // max(1, len(starts) - 1), minlength=len(index["centroids"]))
    index.parts["list_starts"] = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    index.parts["lists"] = lists.int()


def decompress(index: ResidualIndex, rows: "torch.Tensor") -> "torch.Tensor":
    """Return vectors (r, d) of length 1, as far as the index knows them."""
    from torch.nn.functional import normalize

    centroids = index["centroids"]
    buckets = unpack(index["residuals"][rows], centroids.shape[1])
    return normalize(centroids[index["codes"][rows].long()] + index["weights"][buckets], dim=-1)


def search(index: ResidualIndex, query: "torch.Tensor", k: int) -> "tuple[torch.Tensor, torch.Tensor]":
    """Return the k best texts of a query (q, d) and their scores, best first; equal scores by the text's place.

    Texts in the lists of the nearest centroids are scored by their centroids, and the best of them decompressed.
    """
    import torch

    products = index["centroids"] @ query.T
    near = products.topk(min(CELLS, len(products)), dim=0).indices.unique()
    begin, end = index["list_starts"][near], index["list_starts"][near + 1]
    candidates = index["lists"][spans(begin, end)].unique().long()
    if len(candidates) > CANDIDATES:
        rows, starts = rows_of(index, candidates)
        rough = best_of_texts(products[index["codes"][rows].long()], starts).sum(dim=1)
        candidates = candidates[rough.argsort(descending=True, stable=True)[:CANDIDATES]].sort().values
    rows, starts = rows_of(index, candidates)
    scores = max_sim(query, decompress(index, rows), starts)
    order = scores.argsort(descending=True, stable=True)[:k]
    return candidates[order], torch.as_tensor(scores[order])


def rows_of(index: ResidualIndex, texts: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    """Return the rows of some texts' vectors, one text after the other, and where each text begins in them."""
    import torch

    begin, end = index["starts"][texts], index["starts"][texts + 1]
    return spans(begin, end), torch.cat([torch.zeros(1, dtype=torch.int64), (end - begin).cumsum(0)])


def spans(begin: "torch.Tensor", end: "torch.Tensor") -> "torch.Tensor":
    """Return the numbers of several ranges, one range after the other."""
    import torch

    lengths = end - begin
    before = lengths.cumsum(0) - lengths
    return torch.repeat_interleave(begin - before, lengths) + torch.arange(int(lengths.sum()))


KINDS = ("tokens", "pooled")
DEPTH = 10
BLOCK = 256  # passages that are scored at once

Ranking = dict[str, dict[str, float]]
Best = Callable[["torch.Tensor"], "tuple[torch.Tensor, torch.Tensor]"]


def index_of(context: Context, kind: str) -> ResidualIndex:
    """Return an index, built once a capture."""
    key = f"index {kind}"
    if key not in context.shared:
        context.shared[key] = build(*vectors_of(context, kind), context.seed)
    found: ResidualIndex = context.shared[key]
    return found


def vectors_of(context: Context, kind: str) -> "tuple[np.ndarray, torch.Tensor]":
    """Return the vectors (t, d) that an index is of, and where each passage's begin."""
    import torch

    if kind == "tokens":
        return context.token_vectors.vectors, torch.from_numpy(context.token_vectors.starts)
    vectors = context.normalised("passage").cpu().numpy()
    return vectors, torch.arange(len(vectors) + 1)


def queries_of(context: Context, kind: str) -> "Iterator[torch.Tensor]":
    """Yield each query's vectors (q, d): one a token, or one."""
    return context.query_vectors() if kind == "tokens" else iter(context.normalised("query").cpu()[:, None])


def rank_in(context: Context, kind: str, index: ResidualIndex) -> Ranking:
    """Return the best passages of every query, as an index knows them."""
    return ranked(context, kind, lambda query: search(index, query, DEPTH + 1))


def rank_exactly(context: Context, kind: str) -> Ranking:
    """Return the best passages of every query, by all vectors as they are."""
    import torch

    if kind == "pooled":
        vectors = context.normalised("passage").cpu()
        starts = torch.arange(len(vectors) + 1)
        return ranked(context, kind, lambda query: best(max_sim(query, vectors, starts)))
    found = context.token_vectors

    def by_tokens(query: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        scores = []
        for first in range(0, len(found), BLOCK):
            starts = torch.from_numpy(found.starts[first : first + BLOCK + 1])
            tokens = torch.from_numpy(found.vectors[int(starts[0]) : int(starts[-1])]).float()
            scores.append(max_sim(query, tokens, starts - starts[0]))
        return best(torch.cat(scores))

    return ranked(context, kind, by_tokens)


def best(scores: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    """Return the places of the best scores and the scores, best first, one more than a ranking has; equal by place."""
    order = scores.argsort(descending=True, stable=True)[: DEPTH + 1]
    return order, scores[order]


def ranked(context: Context, kind: str, search: Best) -> Ranking:
    """Return a ranking of every query, without a document that has the query's own id."""
    import torch

    ids = context.subject.ids
    result: Ranking = {}
    with torch.no_grad():
        for name, query in zip(context.subject.query_ids, queries_of(context, kind), strict=True):
            places, scores = search(query.float())
            found = zip((ids[at] for at in places.tolist()), scores.tolist(), strict=True)
            result[name] = dict(islice(((own, score) for own, score in found if own != name), DEPTH))
    return result
