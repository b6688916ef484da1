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


def by_budget(lengths: "np.ndarray", budget: int) -> Iterator[Batch]:
    """Yield batches of at most `budget` tokens, padding included, longest texts first; one text at least.

    Texts of one length keep their order, so that the same texts always make the same batches.
    """
    import numpy as np

    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        length = max(1, int(lengths[order[start]]))
        rows = min(max(1, budget // length), len(order) - start)
        yield Batch(order[start : start + rows], length, rows)
        start += rows


def by_shape(lengths: "np.ndarray", budget: int, buckets: Sequence[int]) -> Iterator[Batch]:
    """Yield batches whose shapes are few: the length is a bucket's, the rows are what the budget allows of it.

    The last batch of a bucket has fewer texts than rows. `buckets` is sorted; the last one holds the longest text.
    """
    import numpy as np

    chosen = np.searchsorted(np.asarray(buckets), lengths)
    for index in range(len(buckets) - 1, -1, -1):
        inside = np.flatnonzero(chosen == index)
        length = buckets[index]
        rows = max(1, budget // length)
        for start in range(0, len(inside), rows):
            yield Batch(inside[start : start + rows], length, rows)


def buckets(step: int, longest: int, most: int) -> tuple[int, ...]:
    """Return at most about `most` lengths, multiples of `step` that reach `longest`, closer together where short."""
    whole = -(-longest // step)
    counts = {min(whole, max(1, round(whole ** (index / max(1, most - 1))))) for index in range(most)}
    return tuple(step * count for count in sorted(counts | {whole}))
