"""One figure measured by several processes: the doubt of each is not the doubt of the figure."""

from collections.abc import Sequence
from dataclasses import dataclass

from fmbench import stats
from fmbench.resampling import interval_ranks
from fmbench.summary import INTERVAL_LIMIT

LEAST = 2  # fewer show no difference


@dataclass(frozen=True, slots=True)
class Processes:
    """The medians of the processes that measured one shape, in the unit of the values.

    `interval` is the 95% bootstrap interval of the median of medians: of a few processes, the least and the greatest.
    `ratio` is the slowest over the fastest.
    """

    n: int
    medians: tuple[float, ...]
    p50: float
    interval: tuple[float, float]
    ratio: float | None
    stable: bool
    reason: str | None

    @classmethod
    def of(cls, found: Sequence[tuple[float, float, float]], requested: int) -> "Processes":
        """Take the median of each process and its interval's ends. Raises ValueError for none."""
        medians = tuple(median for median, _, _ in found)
        middle = stats.median(medians)
        low, high = interval_ranks(len(medians))
        ordered = sorted(medians)
        ratio = ordered[-1] / ordered[0] if ordered[0] > 0 else None
        reason = why_unstable(found, requested, middle)
        return cls(len(medians), medians, middle, (ordered[low], ordered[high]), ratio, reason is None, reason)


def why_unstable(found: Sequence[tuple[float, float, float]], requested: int, middle: float) -> str | None:
    """Return why the figure should not be trusted: processes are missing, or disagree by more than each knows."""
    count = len(found)
    if count < max(requested, LEAST):
        return f"processes: {count} of {requested} gave a figure"
    (fastest, _, least), (slowest, most, _) = min(found), max(found)
    difference = slowest - fastest
    if least >= most or difference <= 2 * INTERVAL_LIMIT * middle:
        return None
    half = max((high - low) / 2 for _, low, high in found)
    return (
        f"processes: the medians of {count} processes differ by {difference / fastest:.0%}, "
        f"each known to ±{half / middle:.1%}"
    )
