"""Vectors that say nothing of their texts: a platform that loses what it computed must not look like a bad model."""

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fmbench.errors import PlatformError

if TYPE_CHECKING:
    import numpy as np

    from fmbench.backend import Backend

    from .tokens import Tokens

NO_NUMBER = "its vector holds NaN or infinity, as {} computed it; check the weights, or try another --model:dtype"
ZERO = "its vector is zero throughout, so {} computed nothing of it"
SAME = "its vector is that of all {} texts beside it, which are others, so {} computed nothing of them"
ROUNDING = 1e-6  # of the largest number: a mean of equal rows depends on how many they are


class BadVectorError(PlatformError):
    """A vector is none of its text. `position` says which text of its chunk it is of."""

    def __init__(self, position: int, text: str, why: str) -> None:
        super().__init__(f"{text[:40]!r}: {why}")
        self.position = position


def check_finite(vectors: "np.ndarray", texts: Sequence[str], title: Callable[[], str]) -> None:
    """Raise BadVectorError for the first vector that holds NaN or infinity; `title` says what computed it."""
    import numpy as np

    finite = np.isfinite(vectors)
    if not finite.all():
        position = int(np.flatnonzero(~finite.all(axis=1))[0])
        raise BadVectorError(position, texts[position], NO_NUMBER.format(title()))


def check_some(vectors: "np.ndarray", texts: Sequence[str], counts: "np.ndarray", platform: "Backend") -> None:
    """Raise BadVectorError for the first vector that is zero throughout, of a text whose token count is above zero."""
    import numpy as np

    lost = ~vectors.any(axis=1)
    if lost.any() and len(bad := np.flatnonzero(lost & (counts > 0))):
        raise BadVectorError(int(bad[0]), texts[bad[0]], ZERO.format(platform.title()))


def check_differ(vectors: "np.ndarray", texts: Sequence[str], tokens: "Tokens", platform: "Backend") -> None:
    """Raise BadVectorError where all vectors are one, but for ROUNDING, and the tokens of texts are not.

    One number, of a vector that was cut to its first dimension, is 1 or -1 where it is normalised.
    """
    import numpy as np

    if len(texts) < 2 or vectors.shape[1] < 2:
        return
    least = ROUNDING * float(np.abs(vectors[0]).max())
    if not all(float(np.abs(some - vectors[0]).max()) <= least for some in (vectors[-1], vectors)):
        return
    starts = tokens.starts.tolist()
    if len({tokens.ids[start:end].tobytes() for start, end in itertools.pairwise(starts)}) > 1:
        raise BadVectorError(0, texts[0], SAME.format(len(texts) - 1, platform.title()))
