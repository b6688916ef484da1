"""Query latency of several encoders in one run, query by query in turns, so that what disturbs one disturbs all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from fmbench import stats
from fmbench.clock import Clock
from fmbench.measure import Subject, nothing, repeat

PERCENTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True)
class Timed:
    """What is timed on a query: `call`, on what `prepare` made of the text outside of the timed region."""

    call: Callable[[Any], Any]
    prepare: Callable[[str], Any] = str


def measure(encoders: Sequence[Timed], texts: Sequence[str], clock: Clock, seed: int = 0) -> list[list[int]]:
    """Return the nanoseconds of every encoder on every text, in the order of the texts.

    Each text goes through all encoders, in random order, before the next one comes.
    """
    queue = iter(texts)
    subjects = [Subject(call=one.call, place=one.prepare, synchronize=nothing) for one in encoders]
    rounds = islice(repeat(subjects, lambda: next(queue), clock, seed), len(texts))
    durations = [[repetition.duration for repetition in timed] for timed in rounds]
    return [list(column) for column in zip(*durations, strict=True)]


def percentiles(durations: Sequence[int]) -> dict[str, float]:
    """Return how many durations count, after the first fifth, and their percentiles in milliseconds."""
    kept = sorted(stats.settled(durations))
    return {"n": len(kept), **{name: stats.quantile(kept, share) / 1e6 for name, share in PERCENTILES.items()}}
