"""Who takes what: consecutive shares of a number of things."""

from collections.abc import Sequence
from itertools import accumulate, pairwise


def shares(count: int, weights: Sequence[float]) -> list[range]:
    """Return consecutive ranges that cover `count` things, each as large as its weight's part of all weights.

    A share may be empty. Raises ValueError for weights that are negative, or all zero.
    """
    if min(weights, default=0) < 0 or sum(weights) <= 0:
        raise ValueError(f"no shares by the weights {list(weights)}")
    ends = list(accumulate(weights))
    return [range(start, end) for start, end in pairwise([0, *(round(count * end / ends[-1]) for end in ends)])]
