"""Which texts go to the device together: sorted by length, in batches of a token budget, which may be measured."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fmbench.errors import is_out_of_memory

if TYPE_CHECKING:
    import numpy as np

LEAST, MOST = 256, 2**20
PASSES = 4  # over all budgets, of which medians count
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
    lengths: "np.ndarray",
    run: Callable[[Sequence[Batch]], None],
    default: int,
    fixed: Sequence[int] | None = None,
    at_once: int = 1,
) -> list[dict[int, float]]:
    """Return the tokens a second, padding not counted, of every budget that was tried, in each of several passes.

    Budgets double from `LEAST` on, until two in a row beyond the `default` are no better than the best before, until
    the texts are too few for two batches each of what is computed `at_once`, or until memory runs out. The first pass
    finds them; other work that comes and goes meets all of them in the others. `run` computes batches and returns when
    the device has finished.
    """
    middles: dict[int, list[Batch]] = {}
    first: dict[int, float] = {}

    def rate(budget: int) -> float:
        tokens = sum(int(lengths[batch.positions].sum()) for batch in middles[budget])
        return tokens / seconds(run, middles[budget])

    budget, worse = LEAST, 0
    while budget <= MOST and (worse < PATIENCE or budget <= default):
        every = list(batches(lengths, budget, fixed))
        if first and len(every) < 2 * at_once:
            break
        middles[budget] = [every[(len(every) - 1) // 2]] * at_once
        try:
            run(middles[budget])  # does not count
            found = rate(budget)
        except Exception as error:
            if not is_out_of_memory(error) or not first:
                raise
            break
        worse = 0 if found > max(first.values(), default=0.0) else worse + 1
        first[budget] = found
        budget *= 2
    return [first, *({budget: rate(budget) for budget in first} for _ in range(PASSES - 1))]


def seconds(run: Callable[[Sequence[Batch]], None], some: Sequence[Batch]) -> float:
    """Return how long some batches take together."""
    start = time.perf_counter()
    run(some)
    return max(time.perf_counter() - start, 1e-9)
