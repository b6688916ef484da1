"""Candidates on a host that multiplies bfloat16 faster than float32: twice the products a second, half the bytes."""

import time
from functools import cache

import numpy as np

from .candidates import Found
from .engine import Engine, Picked, Placed, kth_at_least, least_score
from .torch_engine import full_precision, tensor_of

ROUNDING = 2.0**-8  # relative error of rounding a float32 number to bfloat16
STORING = 1.01 * ROUNDING  # the same, as a share of the rounded number
FIRST = 2048  # documents that the first floors come from
FEWEST = 32  # queries, below which rounding the documents costs more than it saves
TOO_ROUGH = 8  # candidates for each certain one, from where on their exact scores cost more than float32 products
FASTER = 1.3  # times, from where on bfloat16 pays in spite of its longer candidate lists


class Bfloat16Engine(Engine):
    """Products of bfloat16 numbers, summed in float32; NumPy picks the candidates.

    Where scores lie so close together that bfloat16 hardly tells documents apart, it goes on in float32.
    """

    name = "bfloat16"

    def place_queries(self, vectors: np.ndarray, lengths: np.ndarray, k: int) -> Placed:
        """Return the queries; as their state, while that pays, the same ones rounded."""
        rounded = []
        if len(vectors) >= FEWEST:
            tensor = tensor_of(vectors).bfloat16()
            lost = vectors - tensor.float().numpy()
            rounded = [Placed(tensor, lengths, np.sqrt(np.einsum("ij,ij->i", lost, lost)) * 1.01, STORING)]
        return Placed.unchanged(tensor_of(vectors), lengths, rounded)

    def place_documents(self, vectors: np.ndarray, lengths: np.ndarray) -> Placed:
        """Return the documents as they are: they are rounded when they are multiplied."""
        return Placed.unchanged(tensor_of(vectors), lengths)

    def scan(self, queries: Placed, documents: Placed, k: int, floor: np.ndarray) -> tuple[Found, np.ndarray]:
        """Return what `Engine.scan` does, by rounded vectors where that pays."""
        if not queries.state:
            return super().scan(queries, documents, k, floor)
        rounded = Placed(documents.data.bfloat16(), documents.lengths, documents.lengths * ROUNDING)
        found, floor = super().scan(queries.state[0], rounded, k, floor)
        certain = np.count_nonzero(found.low > floor[found.query])
        if len(found) > TOO_ROUGH * (certain + len(floor)):
            queries.state.clear()
            return super().scan(queries, documents, k, floor)
        return found, floor

    def _pick(self, queries: Placed, documents: Placed, k: int, floor: np.ndarray, error: np.ndarray) -> Picked:
        import torch

        with full_precision():
            scores = queries.data @ documents.data.T
        columns = scores.shape[1]
        if np.isneginf(floor).any() and columns >= k:
            some = scores[:, : max(FIRST, k)].float().numpy()
            floor = np.maximum(floor, kth_at_least(np.partition(some, -k, axis=1)[:, -k], queries, error))
        least = least_score(floor, queries, error)
        if scores.dtype == torch.bfloat16 and (least > 0).all():  # positive numbers compare like their bits
            scores = scores.view(torch.int16).numpy()
            reached = np.flatnonzero(scores >= (least.view(np.int32) >> 16).astype(np.int16)[:, None])
            score = (scores.ravel()[reached].astype(np.int32) << 16).view(np.float32)
        else:
            scores = scores.float().numpy()
            reached = np.flatnonzero(scores >= least[:, None])
            score = scores.ravel()[reached]
        query, row = np.divmod(reached, columns)
        return query, row, score, floor


@cache
def pays(dimensions: int, threads: int) -> bool:
    """Return whether this host multiplies bfloat16 fast enough, by a trial of some milliseconds."""
    import torch

    def seconds(dtype: torch.dtype) -> float:
        left, right = (torch.ones(rows, dimensions, dtype=dtype) for rows in (256, 1024))
        times = []
        for _ in range(5):
            start = time.perf_counter()
            left @ right.T
            times.append(time.perf_counter() - start)
        return min(times)

    with full_precision():
        return seconds(torch.float32) > FASTER * seconds(torch.bfloat16)
