"""Which examples a training step sees: a pure function of seed and step, so that a resumed run sees the same."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

POOL = 32  # batches that are sorted by length together: little padding, and still mixed


@dataclass(frozen=True)
class Batches:
    """The batches of every epoch. `lengths` holds the tokens of each example.

    Every batch is full; what is left over at the end of an epoch is left out of it. The next epoch draws anew.
    """

    lengths: Sequence[int]
    batch_size: int
    seed: int

    @property
    def per_epoch(self) -> int:
        """Steps an epoch: at least one, in which a small set is a single batch."""
        return max(1, len(self.lengths) // self.batch_size)

    def epoch(self, number: int) -> "list[np.ndarray]":
        """Return the batches of one epoch, each an array of positions in `lengths`."""
        import numpy as np

        generator = np.random.default_rng([self.seed, number])
        order = generator.permutation(len(self.lengths))
        lengths = np.asarray(self.lengths)
        found = []
        for start in range(0, len(order), POOL * self.batch_size):
            pool = order[start : start + POOL * self.batch_size]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            found += [pool[first : first + self.batch_size] for first in range(0, len(pool), self.batch_size)]
        full = [batch for batch in found if len(batch) == self.batch_size] or found
        return [full[position] for position in generator.permutation(len(full))]

    def after(self, step: int, last: int) -> "Iterator[tuple[int, np.ndarray]]":
        """Yield (step number from 1 on, batch) for the steps after `step`, up to `last`."""
        while step < last:
            number, position = divmod(step, self.per_epoch)
            for batch in self.epoch(number)[position : position + last - step]:
                step += 1
                yield step, batch
