"""Index drift and search drift told apart: B's code searches its own index, and A's."""

from fmbench.collection.qrels import Qrels
from fmbench.ranking.order import Run

from .drift import drift
from .tables import RankingDrift


def swap_drifts(
    names: tuple[str, str], ranking: str, own_a: Run, swapped: Run, own_b: Run,
    qrels: Qrels | None = None, queries: int | None = None, seed: int = 0,
) -> list[RankingDrift]:  # fmt: skip
    """Return three lines for the table of rankings: the whole change from A to B, and its two parts.

    `swapped` is what B's code finds in A's index. From `own_a` to it only the code of the search changed; from it to
    `own_b` only the index. The two changes of a metric add up to the whole one; numbers of different ids do not.
    """
    a, b = names
    between = f"{b} on the index of {a}"
    steps = (
        (a, b, f"{ranking}: index and search", own_a, own_b),
        (a, between, f"{ranking}: search drift", own_a, swapped),
        (between, b, f"{ranking}: index drift", swapped, own_b),
    )
    return [
        RankingDrift(left, right, what, drift(before, after, qrels, queries=queries, seed=seed))
        for left, right, what, before, after in steps
    ]
