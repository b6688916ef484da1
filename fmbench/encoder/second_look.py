"""Whether a platform still computes what it computed: some texts once more, held against the vectors they had."""

import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fmbench.console import note
from fmbench.errors import PlatformError

from .batches import Batch
from .compute import Compute
from .row_order import other_row
from .tokens import Tokens

if TYPE_CHECKING:
    import numpy as np
    import torch

    from fmbench.backend import Backend

SELDOM = 200  # times the batches and tokens of a look were computed before the next one: half a percent of the time
FEW = 8  # texts at least that are looked at together, as far as there were so many: of others one tells what is far
FAR = 0.3  # of a vector's length: int8 engines, which round with the texts beside it, move one by 0.13 at most
SURE = 0.1  # another text's distance, or its own, by the other one's: rounding leaves none so much nearer by chance
LEAST = 16  # numbers of a vector: of fewer, one of many texts may be as near by chance
STRANGE = 0.8  # of the distance to other texts' vectors: a text's own is far nearer, whatever rounds it


class OtherTextError(PlatformError):
    """A platform gave a text a vector that is none of it."""


@dataclass(frozen=True)
class Computed:
    """Texts that were computed together: their names, tokens and vectors (n, d), and the batches that they were in.

    So many of their first tokens are `excluded` from pooling.
    """

    texts: Sequence[str]
    tokens: Tokens
    vectors: "np.ndarray"
    batches: Sequence[Batch]
    excluded: int

    @classmethod
    def joined(cls, parts: "Sequence[Computed]") -> "Computed":
        """Return several as one, in their order."""
        import numpy as np

        if len(parts) == 1:
            return parts[0]
        before = itertools.accumulate((len(part.texts) for part in parts), initial=0)
        moved = [
            replace(batch, positions=batch.positions + first)
            for first, part in zip(before, parts, strict=False)
            for batch in part.batches
        ]
        return cls(
            [text for part in parts for text in part.texts],
            type(parts[0].tokens).joined([part.tokens for part in parts]),
            np.concatenate([part.vectors for part in parts]),
            moved,
            parts[0].excluded,
        )


class SecondLook:
    """What was computed last, and how much since it was looked at. May be called from several threads."""

    def __init__(self, compute: Compute, platform: "Backend") -> None:
        self._compute, self._platform = compute, platform
        self._parts: list[Computed] = []
        self._batches = self._tokens = 0  # since the last look, padding included
        self._lock = threading.Lock()
        self._blind = False  # whether that was said

    def remember(self, part: Computed, padded: int) -> None:
        """Take in what was computed, so many tokens of it just now. What is no longer needed is forgotten."""
        with self._lock:
            self._batches += len(part.batches)
            self._tokens += padded
            if self._parts and self._parts[0].excluded != part.excluded:  # another prompt's
                self._parts.clear()
            self._parts.append(part)
            while sum(len(one.texts) for one in self._parts[1:]) >= FEW:
                del self._parts[0]

    @property
    def due(self) -> bool:
        """Whether so much was computed since the last look that another one takes little beside it."""
        with self._lock:
            if self._batches < SELDOM or not self._parts:
                return False
            every = [batch for part in self._parts for batch in part.batches]
            batches = self._compute.batches_again(*chosen(every))
        tokens = sum(batch.rows * batch.length for batch in batches)
        return self._batches >= SELDOM * len(batches) and self._tokens >= SELDOM * tokens

    def take(self) -> bool:
        """Look at two texts of what was computed last; return whether anything could be seen. Raises OtherTextError."""
        with self._lock:
            parts, self._parts = self._parts, []
            self._batches = self._tokens = 0
        whole = Computed.joined(parts) if parts else None
        if whole is None or len(whole.texts) < 2 or whole.vectors.shape[1] < 2:  # of one number, only the sign is left
            return True
        some, positions = chosen(whole.batches)
        found = self._compute.again(whole.tokens, some, positions, whole.excluded)
        told = True
        for position, again in zip(positions, found, strict=True):
            why, seen = fault(whole.vectors, again, whole.tokens, whole.texts, position)
            told &= seen
            if why is not None:
                raise OtherTextError(
                    f"{self._platform.title()}: prepare(): the call does not give each text its own vector: "
                    f"{whole.texts[position][:40]!r}, computed once more, {why}"
                )
        if not (told or self._blind):
            self._blind = True
            note("all vectors are alike, as those of random weights may be: whether texts have others' is not seen")
        return told


def chosen(every: Sequence[Batch]) -> tuple[list[Batch], list[int]]:
    """Return two texts of some batches, behind the batch of each: of the last one, and of the middle.

    Batches of several rows tell more. Of one batch it is one text. Each is in its batch's last row: one that another
    order takes away from there has its vector elsewhere then, even where both batches are of the same texts.
    """
    several = [batch for batch in every if len(batch.positions) > 1] or list(every)
    last, middle = several[-1], several[(len(several) - 1) // 2]
    if len(several) == 1:
        return [last], [int(last.positions[-1])]
    return [last, middle], [int(last.positions[-1]), int(middle.positions[-1])]


def fault(
    vectors: "np.ndarray", again: "torch.Tensor", tokens: Tokens, texts: Sequence[str], position: int
) -> tuple[str | None, bool]:
    """Return what is wrong with the vector of a text that was computed `again` (d,), or None; and whether that is seen.

    Texts of the same tokens have the same vector, whichever of them it is. Where vectors are alike, as those of random
    weights may be, one that is nearer than `FAR` may be the text's own, moved by rounding: nothing is seen then, unless
    one text's vector is nearer by far than all others'.
    """
    import numpy as np
    import torch

    start, end = tokens.starts[position : position + 2]
    own = tokens.ids[start:end]
    same = tokens.lengths == len(own)
    same[same] = [np.array_equal(tokens.ids[first : first + len(own)], own) for first in tokens.starts[:-1][same]]
    others = np.flatnonzero(~same)
    if not bool(torch.isfinite(again).all()):
        return "has another vector, which holds NaN or infinity", True
    if not len(others):
        return None, True
    places = np.concatenate([[position], others])
    found = torch.from_numpy(vectors[places])
    distances = (found - again).norm(dim=1)
    off, apart, limit = float(distances[0]), float(distances[1:].median()), FAR * float(again.norm())
    other, strange = other_row(found, again, 0), off > STRANGE * apart
    sure = other is not None and strange and len(again) >= LEAST and float(distances[other]) < SURE * off
    if other is not None and (off > limit or sure):
        return f"has the vector that came for {texts[places[other]][:40]!r}", True
    if off > limit and strange:
        return "has another vector, as far from the first as those of other texts", True
    return None, off < SURE * apart or apart > limit
