"""Normalised discounted cumulative gain (Järvelin and Kekäläinen, 2002) for gains that are no small whole numbers."""

import math
from collections.abc import Mapping, Sequence


def ndcg(ranking: Sequence[str], gains: Mapping[str, float], cutoffs: Sequence[int]) -> list[float]:
    """Return nDCG at each cutoff: the sum of gain / log2(rank + 1) over that of the best ranking there could be.

    This is trec_eval's ndcg_cut: the gain itself, not 2 to its power; a gain below zero, like none, is zero. A query
    without any gain has 0.
    """
    found = [max(0.0, gains.get(document, 0.0)) for document in ranking[: max(cutoffs)]]
    best = sorted((gain for gain in gains.values() if gain > 0), reverse=True)
    return [discounted(found[:k]) / discounted(best[:k]) if best else 0.0 for k in cutoffs]


def discounted(gains: Sequence[float]) -> float:
    """Return the sum of gains, each divided by log2(rank + 1)."""
    return math.fsum(gain / math.log2(place + 2) for place, gain in enumerate(gains))
