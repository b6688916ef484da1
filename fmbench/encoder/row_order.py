"""Whether a platform returns the rows of a batch in their order: a text alone tells which row is its own."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from fmbench.errors import PlatformError

from .loading import FIRST
from .tokens import Tokens

if TYPE_CHECKING:
    import numpy as np
    import torch

    from fmbench.backend import Backend

ROWS, LENGTH = 64, 16  # at most, of the batch that tells, where another shape costs nothing
DIFFERENT = 0.05  # of a vector's length: what is nearer may be told apart by rounding alone
NEARER = 0.5  # another row's distance by the own one's: rounding moves a vector away from all others


def random_texts(lengths: "np.ndarray", vocabulary: int, padding_id: int) -> Tokens:
    """Return texts of so many random tokens, the same ones each time."""
    import numpy as np

    starts = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.random.default_rng(0).integers(FIRST, vocabulary, starts[-1])
    return Tokens(np.where(ids == padding_id, ids - 1, ids), None, starts)


def other_row(found: "torch.Tensor", alone: "torch.Tensor", row: int) -> int | None:
    """Return which other row of `found` (rows, d) holds the vector `alone` (d,) of the text in a row; None for none.

    It is asked which row is nearest, not how near: fewer bits, and other shapes, move all of them. Vectors that are
    alike, as those of random weights may be, tell nothing, and neither does one of zeros.
    """
    distances = (found - alone).norm(dim=1)
    own, nearest = float(distances[row]), int(distances.argmin())
    away = 0 < DIFFERENT * float(alone.norm()) < own and float(distances[nearest]) < NEARER * own
    return nearest if away else None


def check_order(vectors: "Callable[[np.ndarray], torch.Tensor]", rows: int, fixed: bool, platform: "Backend") -> None:
    """Raise PlatformError where the rows of a batch come back in another order than that of their texts.

    `vectors` computes one batch of texts by position: (rows, d) on the host. The first and the last of so many texts
    are held against each alone, in two rows: engines have other graphs for one; where shapes are `fixed`, the first,
    and alone is a batch with that text in all rows.
    An order that leaves these rows where they are is not seen, nor one of a stream's own calls: `vectors` are of none.
    """
    import numpy as np

    found = vectors(np.arange(rows))
    for row in (0,) if fixed else (0, rows - 1):
        other = other_row(found, vectors(np.full(rows if fixed else 2, row))[0], row)
        if other is not None:
            raise PlatformError(
                f"{platform.title()}: prepare(): the call returns the rows of a batch in another order: what row "
                f"{row + 1} was given came back as row {other + 1} of {rows}"
            )
