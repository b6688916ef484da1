"""Who takes what: consecutive shares of a number of things, by weights that may be measured."""

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

from fmbench.measure import Clock

from .group import Group


def shares(count: int, weights: Sequence[float]) -> list[range]:
    """Return consecutive ranges that cover `count` things, each as large as its weight's part of all weights.

    A share may be empty. Raises ValueError for weights that are negative, or all zero.
    """
    if min(weights, default=0) < 0 or sum(weights) <= 0:
        raise ValueError(f"no shares by the weights {list(weights)}")
    ends = list(accumulate(weights))
    return [range(start, end) for start, end in pairwise([0, *(round(count * end / ends[-1]) for end in ends)])]


def measured_weights(group: Group, work: Callable[[], object], device: str, clock: Clock | None = None) -> list[float]:
    """Return each rank's speed at `work`, relative to the fastest, for `shares`: the same list on every rank.

    `work` is the same on all ranks (encode these passages) and returns when it is done. All do it twice, the second
    time together and timed. Where all ranks have the same `device`, as text, nobody works and all speeds are 1.
    """
    import torch

    clock = clock or Clock()
    name = torch.frombuffer(bytearray(device.encode()) or bytearray(1), dtype=torch.uint8)
    if len({tuple(other.tolist()) for other in group.gather_all(name)}) == 1:
        return [1.0] * group.world_size
    work()
    group.barrier()
    start = clock.now()
    work()
    elapsed = group.gather_all(torch.tensor([max(clock.now() - start, 1)]))
    speeds = [1 / int(duration) for duration in elapsed]
    return [speed / max(speeds) for speed in speeds]
