"""Candidates by torch, on any device that it reaches: blocks of documents, a running top-k that stays there."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from .engine import Engine, Picked, Placed

if TYPE_CHECKING:
    import torch


class TorchEngine(Engine):
    """Products in float32. Each block of documents raises the floors by its own best, on the device."""

    name = "torch"
    queries_at_once = 4096

    def __init__(self, device: "torch.device | str" = "cpu", rows: int = Engine.rows) -> None:
        self._device = device
        self.rows = rows

    def place_queries(self, vectors: np.ndarray, lengths: np.ndarray, k: int) -> Placed:
        """Return the queries on the device, with an empty running top-k (m, k)."""
        import torch

        best = torch.full((len(vectors), k), -torch.inf, device=self._device)
        return Placed.unchanged(tensor_of(vectors).to(self._device), lengths, [best])

    def place_documents(self, vectors: np.ndarray, lengths: np.ndarray) -> Placed:
        """Return the documents on the device."""
        return Placed.unchanged(tensor_of(vectors).to(self._device), lengths)

    def _pick(self, queries: Placed, documents: Placed, k: int, floor: np.ndarray, error: np.ndarray) -> Picked:
        import torch

        with full_precision():
            scores = queries.data @ documents.data.T
        margin = torch.from_numpy(error.astype(np.float32)).to(self._device)[:, None]
        top = torch.topk(scores, min(k, scores.shape[1])).values - margin
        (best,) = queries.state
        best = queries.state[0] = torch.topk(torch.cat([best, top], 1), k).values
        least = torch.maximum(best[:, -1], torch.from_numpy(floor).to(self._device))
        reached = scores >= least[:, None] - margin
        query, row = reached.nonzero(as_tuple=True)
        return host(query), host(row), host(scores[reached]), host(least)


def host(tensor: "torch.Tensor") -> np.ndarray:
    """Return a tensor's numbers on the host."""
    return tensor.cpu().numpy()


def tensor_of(vectors: np.ndarray) -> "torch.Tensor":
    """Return a tensor on the same memory, which may be read-only: nobody writes to it."""
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(vectors)


@contextmanager
def full_precision() -> Iterator[None]:
    """Multiply float32 as float32, not with fewer digits, whatever the program asked torch for."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
