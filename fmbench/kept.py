"""Is enough kept? The verdict on a measure beside the least that it must be, for who decides and for who reads it."""

from collections.abc import Sequence
from typing import Literal

Kept = Literal["shown", "not shown", "worse"]


def verdict(found: float | Sequence[float] | None, least: float) -> Kept:
    """Return the verdict on a measure: its value, its 95% interval, or None if unbounded.

    Shown is what all of the interval keeps (non-inferiority), worse what none of it does. A value that no chance is in,
    a cosine or an overlap, is one or the other.
    """
    if found is None:
        return "not shown"
    low, high = (found, found) if isinstance(found, (int, float)) else found
    return "shown" if low >= least else "worse" if high < least else "not shown"
