"""How alike two rankings of one query are: Kendall's tau and rank-biased overlap. Lists of ids, best first."""

import math
from collections.abc import Sequence

PERSISTENCE = 0.9  # of rank-biased overlap: the first ten ranks then have 86% of the weight


def kendall_tau(a: Sequence[str], b: Sequence[str]) -> float:
    """Return Kendall's tau-b over the ids of both lists: 1 for equal lists, -1 for one turned round.

    An id that a list lacks stands behind its last one, tied with all others that it lacks (Fagin, Kumar and Sivakumar,
    2003, Comparing Top k Lists). With C pairs in the same order, D in the opposite one, T_a and T_b pairs tied in one
    list, and N = n (n - 1) / 2: tau-b = (C - D) / sqrt((N - T_a) (N - T_b)) (Kendall, 1945). Lists of distinct ids.
    """
    import numpy as np

    if list(a) == list(b):
        return 1.0
    ids = dict.fromkeys([*a, *b])
    signs = []
    for ranking in (a, b):
        places = {name: place for place, name in enumerate(ranking)}
        ranks = np.array([places.get(name, len(ranking)) for name in ids])
        signs.append(np.sign(ranks[:, None] - ranks).astype(np.int8))
    agreement = int((signs[0] * signs[1]).sum(dtype=np.int64))
    untied = [np.count_nonzero(sign) for sign in signs]
    return agreement / math.sqrt(untied[0] * untied[1]) if all(untied) else 0.0


def rank_biased_overlap(a: Sequence[str], b: Sequence[str], p: float = PERSISTENCE) -> float:
    """Return the extrapolated rank-biased overlap of two lists: 1 for equal ones, 0 for lists without a common id.

    Webber, Moffat and Zobel, 2010, A Similarity Measure for Indefinite Rankings, equation 32. With s and l the lengths
    of the shorter and the longer list, and X_d the ids that both have among the first d (of the shorter one all):

        (1 - p) / p * (sum over d = 1..l of X_d / d * p^d + sum over d = s+1..l of X_s (d - s) / (s d) * p^d)
        + ((X_l - X_s) / l + X_s / s) * p^l

    A reader who goes on to the next rank with probability p sees this share of common ids, if both lists went on as
    they are. Lists of distinct ids.
    """
    short, long = sorted((a, b), key=len)
    if not short:
        return float(not long)
    s, depth = len(short), len(long)
    common = overlaps(short, long)
    at_s = common[s - 1]
    total = math.fsum(count / d * p**d for d, count in enumerate(common, start=1))
    total += math.fsum(at_s * (d - s) / (s * d) * p**d for d in range(s + 1, depth + 1))
    return (1 - p) / p * total + ((common[-1] - at_s) / depth + at_s / s) * p**depth


def overlaps(short: Sequence[str], long: Sequence[str]) -> list[int]:
    """Return for each depth of the longer list how many ids both lists have in common down to it."""
    above: tuple[set[str], set[str]] = (set(), set())
    count, counts = 0, []
    for place, name in enumerate(long):
        count += name in above[0]
        above[1].add(name)
        if place < len(short):
            count += short[place] in above[1]
            above[0].add(short[place])
        counts.append(count)
    return counts
