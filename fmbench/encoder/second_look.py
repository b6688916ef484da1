"""Whether a platform still computes what it computed: some texts once more, held against the vectors they had."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fmbench.errors import PlatformError

from .batches import Batch
from .compute import Compute
from .row_order import other_row
from .tokens import Tokens

if TYPE_CHECKING:
    import numpy as np
    import torch

    from fmbench.backend import Backend

SELDOM = 200  # times what a look gives the device was given to it before the next one: half a percent
FAR = 0.3  # of a vector's length: int8 engines, which round with the texts beside it, move one by 0.13 at most
STRANGE = 0.8  # of the distance to other texts' vectors: a text's own is far nearer, whatever rounds it


class OtherTextError(PlatformError):
    """A platform gave a text a vector that is none of it."""


class SecondLook:
    """What was computed since the last look at it; asked by whoever computed a chunk."""

    def __init__(self, compute: Compute, platform: "Backend") -> None:
        self._compute, self._platform = compute, platform
        self._unseen = 0  # tokens, padding included

    def take(
        self, texts: Sequence[str], tokens: Tokens, vectors: "np.ndarray", budget: int, excluded: int, padded: int,
        last: bool,
    ) -> None:  # fmt: skip
        """Look at the vectors (n, d) of a chunk, of which so many `padded` tokens were computed just now.

        The last chunk is looked at, and others now and then. Raises OtherTextError.
        """
        self._unseen += padded
        if vectors.shape[1] < 2:  # of one number, only the sign may be left
            return
        chosen = list(chosen_texts(list(self._compute._batches(tokens, budget))))
        cost = sum(self._compute.rows_again(batch) * batch.length for batch, _ in chosen)
        if not last and self._unseen < SELDOM * cost:
            return
        self._unseen = 0
        for batch, position in chosen:
            again = self._compute.again(tokens, batch, position, excluded)
            why = fault(vectors, again, tokens, texts, position)
            if why is not None:
                raise OtherTextError(
                    f"{self._platform.title()}: prepare(): the call does not give each text its own vector: "
                    f"{texts[position][:40]!r}, computed once more, {why}"
                )


def chosen_texts(every: Sequence[Batch]) -> "Iterator[tuple[Batch, int]]":
    """Yield two texts of a chunk, each with its batch: of the last one, and of the middle. Several rows tell more."""
    several = [batch for batch in every if len(batch.positions) > 1] or every
    yield several[-1], int(several[-1].positions[-1])
    if len(several) > 1:
        middle = several[(len(several) - 1) // 2]
        yield middle, int(middle.positions[0])


def fault(
    vectors: "np.ndarray", again: "torch.Tensor", tokens: Tokens, texts: Sequence[str], position: int
) -> str | None:
    """Return what is wrong with the vector of a text that was computed `again` (d,), or None.

    Texts of the same tokens have the same vector, whichever of them it is. Where vectors are alike, as those of random
    weights may be, nothing is wrong: what is nearer than `FAR` may be the text's own.
    """
    import numpy as np
    import torch

    start, end = tokens.starts[position : position + 2]
    own = tokens.ids[start:end]
    same = tokens.lengths == len(own)
    same[same] = [np.array_equal(tokens.ids[first : first + len(own)], own) for first in tokens.starts[:-1][same]]
    others = np.flatnonzero(~same)
    if not len(others):
        return None
    places = np.concatenate([[position], others])
    found = torch.from_numpy(vectors[places])
    distances = (found - again).norm(dim=1)
    if float(distances[0]) <= FAR * float(again.norm()):
        return None
    if (other := other_row(found, again, 0)) is not None:
        return f"has the vector that came for {texts[places[other]][:40]!r}"
    strange = float(distances[0]) > STRANGE * float(distances[1:].median())
    return "has another vector, as far from the first as those of other texts" if strange else None
