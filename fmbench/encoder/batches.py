"""Which texts go to the device together: sorted by length, in batches of a token budget, which may be measured."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

LEAST, MOST = 256, 2**20
REPEATS = 2  # of which the quicker counts
PATIENCE = 2  # candidates in a row that are no better


@dataclass(frozen=True)
class Batch:
    """One batch: positions of its texts, the length that they are padded to, and the rows that the device is given."""

    positions: "np.ndarray"
    length: int
    rows: int


def batches(lengths: "np.ndarray", budget: int, fixed: Sequence[int] | None = None) -> Iterator[Batch]:
    """Yield batches of at most `budget` tokens, padding included, longest texts first; one text at least.

    Texts of one length keep their order, so that the same texts always make the same batches. Where `fixed` names
    lengths (sorted, the last one holds every text), a batch has one of them and as many rows as the budget allows of
    it: each length makes one shape. Only the last batch then has fewer texts than rows.
    """
    import numpy as np

    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        length = max(1, int(lengths[order[start]]))
        if fixed:
            length = next(each for each in fixed if each >= length)
        rows = max(1, budget // length)
        positions = order[start : start + rows]
        yield Batch(positions, length, rows if fixed else len(positions))
        start += rows


def buckets(step: int, longest: int, most: int) -> tuple[int, ...]:
    """Return at most `most` lengths that are multiples of `step`; the last one reaches `longest`.

    All multiples where these are few enough, else they grow by about the same factor, closer together where short.
    """
    whole = -(-longest // step)
    if whole <= most:
        return tuple(step * count for count in range(1, whole + 1))
    if most == 1:
        return (step * whole,)
    grown = {round(whole ** (index / (most - 1))) for index in range(most)}
    return tuple(step * count for count in sorted(grown))


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
