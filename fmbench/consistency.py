"""What a log says twice: does it agree? Repetitions with each other, and results with the repetitions.

Two programs that write into one log, a log that lost lines and one that was edited look like any other otherwise. The
reasons begin with `mixed`, `lost` or `contradicted`, as docs/reference/lines.md has them.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fmbench import lines, stats

NEVER = -(2**63)  # before any time
CLOCK = 1_000  # nanoseconds: a clock that counts the epoch in a double has no finer ones
LATENCY_ROUNDING = 0.00051  # milliseconds: RES has three decimals
THROUGHPUT_ROUNDING = 0.051  # sequences a second: it has one
ROUNDING = 1e-5  # STAT has six decimals of a millisecond
CLOSE = 1e-6  # a share, for what many digits are kept of
SAME = 0.01  # a share: rates and ratios of figures that were rounded
TIMES = ("cold", "min", "p50", "p90", "p95", "p99", "mean", "mad")


@dataclass(slots=True)
class Repetitions:
    """What repetitions of one shape say of each other. Times in nanoseconds."""

    requested: int | None = None
    start: int | None = None
    expected: int = 0  # the number of the next one
    latest: int = NEVER  # the end of the last one
    doubt: str | None = None  # the first reason not to believe the log
    lost: str | None = None  # a number that is missing, which an abridged log of old may well have

    def compare(self, index: int, count: int, start: int, end: int, duration: int) -> None:
        """Find out what is strange in a repetition that is the first one or does not continue the one before."""
        doubts = []
        if self.start is None:
            self.start, self.expected = start, 1
        elif start < self.latest:
            doubts.append(f"mixed: repetition {index} begins before the one before it ends")
        if index < self.expected:
            doubts.append(f"mixed: repetition {index} comes after repetition {self.expected - 1}")
        if index > count:
            doubts.append(f"mixed: repetition {index} of {count}: more than were asked for")
        if self.requested not in (None, count):
            doubts.append(f"mixed: {self.requested} repetitions were asked for, and {count}")
        if end < start or abs(end - start - duration) > CLOCK:
            doubts.append(f"contradicted: repetition {index} says a duration that is not its end minus its start")
        if index > self.expected and self.lost is None:
            self.lost = f"lost: repetition {self.expected} is not in the log"
        self.requested = count
        if doubts:
            self.raise_doubt(doubts[0])

    def raise_doubt(self, reason: str) -> None:
        """Take a reason not to believe the log; the first one stays."""
        self.doubt = self.doubt or reason


def result_doubt(
    repetitions: Repetitions, count: int, median: float | None, result: lines.Res | None, said: Mapping[str, Any] | None
) -> str | None:
    """Return why the lines of a shape in a log of ours contradict each other, or None.

    `count` repetitions have the `median` (nanoseconds); `said` is the STAT line's data.
    """
    if repetitions.doubt is not None or (count and repetitions.lost is not None):
        return repetitions.doubt or repetitions.lost
    if repetitions.requested is not None and count > repetitions.requested:
        return f"mixed: {count} repetitions of {repetitions.requested}"
    whole = count == repetitions.requested
    if said is not None:
        if said["n"] + said["dropped"] != count or said["dropped"] != stats.dropped(count):
            return f"lost: STAT counts {said['n']} + {said['dropped']} repetitions, and the log has {count}"
        whole = True
    if result is not None and whole and median is not None:
        return result_contradiction(repetitions, median, result)
    return None


def result_contradiction(repetitions: Repetitions, median: float, result: lines.Res) -> str | None:
    """Return how a RES line contradicts the repetitions, all of which are there."""
    latency = median / 1e6
    if abs(result.latency - latency) > LATENCY_ROUNDING:
        return f"contradicted: RES says {result.latency:.3f} ms, and its repetitions {latency:.3f} ms"
    throughput = result.batch_size * 1e3 / latency if latency > 0 else math.inf
    if math.isfinite(result.throughput) and disagree(result.throughput, throughput, THROUGHPUT_ROUNDING):
        return f"contradicted: RES says {result.throughput} sequences a second, and its repetitions {throughput:.1f}"
    if (result.start, result.end) != (repetitions.start, repetitions.latest):
        return "contradicted: RES begins or ends at another time than its repetitions"
    return None


def statistics_doubt(said: Mapping[str, Any], found: Mapping[str, Any]) -> str | None:
    """Return what a STAT line says that its repetitions (`found`, milliseconds) do not."""
    ends = [("interval", *pair) for pair in zip(said.get("interval") or (), found["interval"], strict=False)]
    if said.get("effective") is None and found["effective"] < found["n"]:
        ends = []  # an earlier version wrote it, which took all repetitions for independent
    times = [(name, said[name], found[name]) for name in TIMES if said.get(name) is not None]
    for name, value, known in times + ends:
        if disagree(value, known, ROUNDING):
            return f"contradicted: STAT says {name} {value} ms, and its repetitions {known} ms"
    return None


def disagree(one: float, other: float, rounding: float) -> bool:
    """Whether two figures differ by more than their rounding, and by more than the noise of a double."""
    return abs(one - other) > rounding + CLOSE * abs(other)


def ascending(values: Sequence[float | None]) -> bool:
    """Whether the values that are known never fall."""
    known = [value for value in values if value is not None]
    return all(one <= other for one, other in itertools.pairwise(known))


def holds(interval: Sequence[float] | None, value: float | None, rounding: float = ROUNDING) -> bool:
    """Whether an interval holds a value, or any where that is not known; what is not known holds all."""
    if interval is None or value is None:
        return interval is None or interval[0] <= interval[1]
    return interval[0] - rounding <= value <= interval[1] + rounding
