"""Order statistics of repeated measurements. Pure functions over sequences of numbers; the unit is the caller's.

How sure they are is in resampling.py, whether two sets of them differ in rank_tests.py.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def dropped(count: int) -> int:
    """Return how many first repetitions the result leaves out: a fifth, at least one, none when only one ran."""
    return 0 if count <= 1 else max(1, math.floor(0.2 * count))


def settled(values: Sequence[float]) -> Sequence[float]:
    """Return the values after the first ones that the result leaves out."""
    return values[dropped(len(values)) :]


def in_order(values: "Sequence[float] | np.ndarray") -> "np.ndarray":
    """Return a sorted copy, as floats: whole nanoseconds stay exact for a hundred days."""
    import numpy as np

    ordered = np.array(values, dtype=float)
    ordered.sort()
    return ordered


def quantile(ordered: "Sequence[float] | np.ndarray", share: float) -> float:
    """Return the quantile of ascending values, interpolated linearly (definition 7 of Hyndman and Fan, 1996).

    Raises ValueError for no values.
    """
    if len(ordered) == 0:
        raise ValueError("no values")
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    low, high = float(ordered[below]), float(ordered[above])
    return low + (high - low) * (position - below)


def median(values: "Sequence[float] | np.ndarray") -> float:
    """Return the middle value, or the mean of the two middle ones. Raises ValueError for no values."""
    return quantile(in_order(values), 0.5)


def deviation(values: "Sequence[float] | np.ndarray", centre: float) -> float:
    """Return the median absolute deviation from a centre, unscaled."""
    import numpy as np

    return median(np.abs(np.asarray(values, dtype=float) - centre))


def outlier_distance(mad: float) -> float:
    """Return how far from the median an outlier lies at least.

    Its modified z-score exceeds 3.5 (Iglewicz and Hoaglin, 1993, Detect and Handle Outliers).
    """
    return 3.5 * mad / 0.6745
