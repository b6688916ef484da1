"""Which texts go to the device together: sorted by length, in batches of a token budget."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


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
