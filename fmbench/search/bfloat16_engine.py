"""Candidates on a host that multiplies bfloat16 faster than float32: twice the products a second, half the bytes.

An index holds each document in int8 too, where the host multiplies that exactly and faster still: a few queries take as
long as reading it, a quarter of the bytes.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from .candidates import Found
from .engine import SINGLE, SMALLEST, Engine, Item, Picked, Placed, kth_at_least, least_score
from .torch_engine import full_precision, tensor_of

if TYPE_CHECKING:
    import torch

ROUNDING = 2.0**-8  # relative error of rounding a float32 number to bfloat16
STORING = 1.01 * ROUNDING  # the same, as a share of the rounded number
FIRST = 2048  # documents that the first floors come from
FEW = 32  # queries, up to which reading the documents takes longer than multiplying them
TINY = 2.0**-63  # below it a square in float32 loses digits
STEPS = 127  # of int8, on either side of 0
TOO_ROUGH = 8  # candidates for each certain one, from where on their exact scores may cost more than other products:
READ, MULTIPLIED = 12, 350  # they do where they are more than the share of documents read, and of pairs multiplied
FASTER = 1.3  # times, from where on bfloat16 pays in spite of its longer candidate lists


class Bfloat16Engine(Engine):
    """Products of bfloat16 numbers, summed in float32; NumPy picks the candidates.

    Where scores lie so close together that bfloat16 hardly tells documents apart, it goes on in float32.
    """

    name = "bfloat16"
    rows = 8192

    def __init__(self) -> None:
        import torch

        self.workers = torch.get_num_threads()
        self._threads = ThreadPoolExecutor(self.workers)
        self._memory = threading.local()

    def each(self, work: Callable[[Item], None], groups: Sequence[Item]) -> None:
        """Do some work for every group of queries, each in a thread: most of it is NumPy's, which uses one."""
        import torch

        if len(groups) == 1:
            return work(groups[0])

        def work_alone(group: Item) -> None:
            torch.set_num_threads(1)
            work(group)

        threads = torch.get_num_threads()
        try:
            list(self._threads.map(work_alone, groups))
        finally:
            torch.set_num_threads(threads)

    def place_queries(self, vectors: np.ndarray, lengths: np.ndarray, k: int) -> Placed:
        """Return the queries; as their state, while that pays, the same ones rounded."""
        tensor = tensor_of(vectors).bfloat16()
        lost = vectors - tensor.float().numpy()
        near = Placed(tensor, lengths, np.sqrt(np.einsum("ij,ij->i", lost, lost)) * 1.01, STORING)
        placed = Placed.unchanged(tensor_of(vectors), lengths, [near])
        near.state.extend([self._in_int8(placed)] if len(vectors) <= FEW else [])
        return placed

    def place_documents(self, vectors: np.ndarray, lengths: np.ndarray) -> Placed:
        """Return the documents as they are: they are rounded when they are multiplied, in a core's own cache."""
        return Placed.unchanged(tensor_of(vectors), lengths)

    def kept(self, documents: Placed) -> Placed:
        """Return the documents; as their state, the same ones in int8, where that pays."""
        dimensions = documents.data.shape[-1]
        state = [self._in_int8(documents)] if int8_pays(dimensions, self.workers) else []
        return Placed.unchanged(documents.data, documents.lengths, state)

    def scan(self, queries: Placed, documents: Placed, k: int, floor: np.ndarray) -> tuple[Found, np.ndarray]:
        """Return what `Engine.scan` does, by rounded vectors where that pays."""
        if not queries.state:
            return super().scan(queries, documents, k, floor)
        (near,) = queries.state
        for few in near.state if documents.state else ():
            found, floor = super().scan(few, documents.state[0], k, floor)
            if not is_too_rough(found, floor, len(documents.data)):
                return found, floor
        found, floor = super().scan(near, in_bfloat16(documents), k, floor)
        if is_too_rough(found, floor, len(documents.data)):
            queries.state.clear()
            return super().scan(queries, documents, k, floor)
        return found, floor

    def _pick(self, queries: Placed, documents: Placed, k: int, floor: np.ndarray, error: np.ndarray) -> Picked:
        import torch

        if queries.data.dtype == torch.int8:
            products = torch._int_mm(queries.data, documents.data.T)  # exact, in int32
            scores = products.float().mul_(documents.state[0]).mul_(queries.state[0][:, None])
        else:
            scores = self._buffer((len(queries.data), len(documents.data)), queries.data.dtype)
            with full_precision():
                torch.mm(queries.data, documents.data.T, out=scores)
        if np.isneginf(floor).any() and len(documents.data) >= k:
            some = scores[:, : max(FIRST, k)].float().numpy()
            floor = np.maximum(floor, kth_at_least(np.partition(some, -k, axis=1)[:, -k], queries, error))
        query, row, score = self._reaching(scores, least_score(floor, queries, error))
        return query, row, score, floor

    def _reaching(self, scores: "torch.Tensor", least: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return queries, rows and scores of all that reach their query's least score (m,)."""
        import torch

        bits = scores.dtype == torch.bfloat16 and bool((least > 0).all())
        if bits:  # positive numbers compare like their bits
            numbers = scores.view(torch.int16).numpy()
            least = (least.view(np.int32) >> 16).astype(np.int16)
        else:
            numbers = scores.float().numpy()
        reached = self._buffer(numbers.shape, torch.bool).numpy()
        found = np.flatnonzero(np.greater_equal(numbers, least[:, None], out=reached))
        query, row = np.divmod(found, numbers.shape[1])
        score = numbers.ravel()[found]
        return query, row, (score.astype(np.int32) << 16).view(np.float32) if bits else score

    def _in_int8(self, vectors: Placed) -> Placed:
        """Return vectors (n, d) rounded to int8: each is divided into steps of its own, which are the state (n,)."""
        import torch

        step = torch.linalg.vector_norm(vectors.data, math.inf, dim=1).div_(STEPS).clamp_(min=SMALLEST)
        near = self._buffer(tuple(vectors.data.shape), torch.float32)
        torch.div(vectors.data, step[:, None], out=near).round_()
        data = near.char()
        lost = torch.linalg.vector_norm(near.mul_(step[:, None]).sub_(vectors.data), dim=1).double().numpy()
        unseen = near.shape[1] * TINY + 4 * SINGLE * vectors.lengths  # by float32
        return Placed(data, vectors.lengths, 1.01 * lost + unseen, state=[step])

    def _buffer(self, shape: tuple[int, ...], dtype: "torch.dtype") -> "torch.Tensor":
        """Return memory that holds anything, and is the same at the next call: new memory costs a fifth more time."""
        import torch

        size, buffers = math.prod(shape), vars(self._memory)  # of this thread
        buffer = buffers.get(str(dtype))
        if buffer is None or len(buffer) < size:
            buffer = buffers[str(dtype)] = torch.empty(size, dtype=dtype)
        return buffer[:size].view(shape)


def in_bfloat16(documents: Placed) -> Placed:
    """Return documents (n, d) rounded to bfloat16."""
    return Placed(documents.data.bfloat16(), documents.lengths, documents.lengths * ROUNDING)


def is_too_rough(found: Found, floor: np.ndarray, documents: int) -> bool:
    """Whether scoring what was found among some documents costs more than what was saved in finding it."""
    certain, queries = int(np.count_nonzero(found.low > floor[found.query])), len(floor)
    saved = documents / READ + queries * documents / MULTIPLIED
    return len(found) > TOO_ROUGH * (certain + queries) and len(found) - certain > saved


@cache
def int8_pays(dimensions: int, threads: int) -> bool:
    """Return whether this host multiplies int8 exactly, and faster than bfloat16: by a trial of some milliseconds.

    Processors without instructions for it add pairs of products in 16 bits, which do not hold the largest ones.
    """
    import torch

    if not hasattr(torch, "_int_mm"):
        return False
    left, right = (torch.full((rows, dimensions), STEPS, dtype=torch.int8) for rows in (1, Bfloat16Engine.rows))
    few, many = left.bfloat16(), right.bfloat16()
    exact = bool((torch._int_mm(left, right.T) == STEPS**2 * dimensions).all())
    return exact and fastest(lambda: torch._int_mm(left, right.T)) < fastest(lambda: few @ many.T)


@cache
def pays(dimensions: int, threads: int) -> bool:
    """Return whether this host multiplies bfloat16 fast enough, by a trial of some milliseconds."""
    import torch

    def seconds(dtype: torch.dtype) -> float:
        left, right = (torch.ones(rows, dimensions, dtype=dtype) for rows in (256, 1024))
        return fastest(lambda: left @ right.T)

    with full_precision():
        return seconds(torch.float32) > FASTER * seconds(torch.bfloat16)


def fastest(work: Callable[[], object]) -> float:
    """Return the least seconds of a few calls."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
