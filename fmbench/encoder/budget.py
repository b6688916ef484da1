"""How many tokens a batch should have: a short measured search."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .batches import Batch, batches

if TYPE_CHECKING:
    import numpy as np

LEAST, MOST = 256, 2**20
REPEATS = 2  # of which the quicker counts
PATIENCE = 2  # candidates in a row that are no better


def measure_budgets(
    lengths: "np.ndarray", run: Callable[[Batch], None], fixed: Sequence[int] | None = None
) -> dict[int, float]:
    """Return the tokens a second, padding not counted, of every budget that was tried.

    Budgets double from `LEAST` on, until two in a row are no better than the best before, until the texts are too few
    to fill a batch, or until memory runs out. `run` computes a batch and returns when the device has finished.
    """
    rates: dict[int, float] = {}
    budget, worse = LEAST, 0
    while budget <= MOST and worse < PATIENCE:
        every = list(batches(lengths, budget, fixed))
        middle = every[(len(every) - 1) // 2]
        if rates and len(every) == 1:
            break
        try:
            rate = int(lengths[middle.positions].sum()) / seconds(run, middle)
        except Exception as error:
            if not is_out_of_memory(error) or not rates:
                raise
            break
        worse = 0 if rate > max(rates.values(), default=0.0) else worse + 1
        rates[budget] = rate
        budget *= 2
    return rates


def seconds(run: Callable[[Batch], None], batch: Batch) -> float:
    """Return how long a batch takes, after a first run that does not count."""
    run(batch)
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run(batch)
        times.append(time.perf_counter() - start)
    return max(min(times), 1e-9)


def is_out_of_memory(error: Exception) -> bool:
    """Whether the device had too little memory for a batch."""
    import torch

    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "allocate memory" in str(error)
