"""The two indexes of a capture, of token vectors and of pooled ones, and rankings from them."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from . import residual_index
from .context import Context
from .late_interaction import max_sim
from .residual_index import ResidualIndex

if TYPE_CHECKING:
    import torch

KINDS = ("tokens", "pooled")
DEPTH = 10
BLOCK = 256  # passages that are scored at once

Ranking = dict[str, dict[str, float]]
Best = Callable[["torch.Tensor"], "tuple[torch.Tensor, torch.Tensor]"]


def index_of(context: Context, kind: str) -> ResidualIndex:
    """Return an index, built once a capture."""
    import torch

    key = f"index {kind}"
    if key not in context.shared:
        if kind == "tokens":
            vectors, starts = context.token_vectors.vectors, context.token_vectors.starts
        else:
            vectors = context.normalised("passage").cpu().numpy()
            starts = torch.arange(len(vectors) + 1)
        context.shared[key] = residual_index.build(vectors, starts, context.seed)
    found: ResidualIndex = context.shared[key]
    return found


def queries_of(context: Context, kind: str) -> "Iterator[torch.Tensor]":
    """Yield each query's vectors (q, d): one a token, or one."""
    return context.query_vectors() if kind == "tokens" else iter(context.normalised("query").cpu()[:, None])


def ranked_in(context: Context, kind: str, index: ResidualIndex) -> Ranking:
    """Return the best passages of every query, as an index knows them."""
    return ranked(context, kind, lambda query: residual_index.search(index, query, DEPTH + 1))


def ranked_exactly(context: Context, kind: str) -> Ranking:
    """Return the best passages of every query, by all vectors as they are."""
    import torch

    if kind == "pooled":
        vectors = context.normalised("passage").cpu()
        starts = torch.arange(len(vectors) + 1)
        return ranked(context, kind, lambda query: best(max_sim(query, vectors, starts)))
    found = context.token_vectors

    def by_tokens(query: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        scores = []
        for first in range(0, len(found.starts) - 1, BLOCK):
            starts = found.starts[first : first + BLOCK + 1]
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
