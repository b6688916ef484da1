"""One side compared with another, shape by shape and overall."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fmbench.resampling import RESAMPLES, Interval, percentiles

from ..reading.doubts import is_sound
from ..reading.row import Result
from ..reading.shared import Shared
from .quality import QualityChange, judge_quality, quality_changes
from .sides import Facts, Key, Side
from .verdicts import Change, judge, measure_change


class GeometricMean:
    """The geometric mean of ratios over shapes, with its interval."""

    def __init__(self) -> None:
        self.count, self._too_few = 0, False
        self._log = 0.0
        self._logs = np.zeros(RESAMPLES)

    def add(self, ratio: float, samples: np.ndarray | None) -> None:
        """Take in one shape: its ratio, and what resampling made of it; None where there was too little for that."""
        self.count += 1
        self._log += float(np.log(ratio))
        if samples is None:
            self._too_few = True
        else:
            self._logs += np.log(samples)

    @property
    def value(self) -> float | None:
        """The mean; None where no shape was taken in."""
        return float(np.exp(self._log / self.count)) if self.count else None

    @property
    def interval(self) -> Interval | None:
        """Its 95% interval; None where a shape has none."""
        return percentiles(np.exp(self._logs / self.count)) if self.count and not self._too_few else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of the shapes of `base` in `new`.

    `differing` are the facts that were allowed to differ, `same_runs` what is on both sides.
    """

    base: Side
    new: Side
    differing: Facts
    changes: Sequence[Change]
    overall: GeometricMean
    quality: Sequence[QualityChange] = ()
    speeds: Sequence[Change] = ()  # of data sets
    same_runs: Sequence[Shared] = ()

    @property
    def only_base(self) -> list[Key]:
        """Shapes that only the base has."""
        return [key for key in (*self.base.results, *self.base.quality) if not self.new.has(key)]

    @property
    def missing(self) -> list[Key]:
        """Those of them that the base has a result of: what failed there is nothing to lack."""
        return [key for key in self.only_base if not self.base.failed(key)]

    @property
    def only_new(self) -> list[Key]:
        """Shapes that only the new side has."""
        return [key for key in (*self.new.results, *self.new.quality) if not self.base.has(key)]

    @property
    def unfinished(self) -> list[Key]:
        """Shapes that the base measured to the end and the new side did not: its run was killed."""
        return [
            key
            for key, result in self.new.results.items()
            if result.row["status"] == "PARTIAL" and key in self.base.results
            and self.base.results[key].row["status"] != "PARTIAL"
        ]  # fmt: skip

    @property
    def unsound(self) -> list[Key]:
        """Shapes and data sets of which the base is to be believed, and the new side is not."""
        pairs = ((self.base.results, self.new.results), (self.base.quality, self.new.quality))
        return [
            key
            for base, new in pairs
            for key, result in new.items()
            if key in base and not is_sound(result.row["doubt"]) and is_sound(base[key].row["doubt"])
        ]

    def count(self, verdict: str | None) -> int:
        """Return how many shapes, and metrics and speeds of data sets, have a verdict."""
        every: list[Change | QualityChange] = [*self.changes, *self.quality, *self.speeds]
        return sum(change.verdict == verdict for change in every)


def compare_sides(sides: Sequence[Side], differing: Sequence[Facts], threshold: float) -> list[Comparison]:
    """Compare every side with the first; the correction of p is over the shapes of all comparisons."""
    base = sides[0]
    found = [changes_between(base, new, (0, place)) for place, new in enumerate(sides[1:], start=1)]
    rates = [speeds_between(base, new, (0, place)) for place, new in enumerate(sides[1:], start=1)]
    timed = [changes for changes, _ in found]
    judged = iter(judge([change for changes in (*timed, *rates) for change in changes], threshold))
    shapes, speeds = ([[next(judged) for _ in changes] for changes in every] for every in (timed, rates))
    ranked = [ranked_between(base, new) for new in sides[1:]]
    better = iter(judge_quality([change for changes in ranked for change in changes]))
    return [
        Comparison(base, new, facts, changes, mean, [next(better) for _ in quality], rate)
        for new, facts, changes, (_, mean), quality, rate in zip(
            sides[1:], differing, shapes, found, ranked, speeds, strict=True
        )
    ]


def ranked_between(base: Side, new: Side) -> list[QualityChange]:
    """Return how the rankings of the data sets in both changed, without verdicts."""
    pairs = ((key, one, new.quality[key]) for key, one in base.quality.items() if key in new.quality)
    return [change for pair in pairs for change in quality_changes(*pair)]


def speeds_between(base: Side, new: Side, places: tuple[int, int]) -> list[Change]:
    """Return how the speeds of the data sets in both changed, without verdicts."""
    pairs = enumerate((key, one, new.speeds[key]) for key, one in base.speeds.items() if key in new.speeds)
    return [speed_change(*pair, ((places[0], number), (places[1], number))) for number, pair in pairs]


def speed_change(key: Key, base: Result, new: Result, seeds: tuple[Sequence[int], Sequence[int]]) -> Change:
    """Return how a speed changed, without a verdict; nothing where one of them is in doubt."""
    change = measure_change(key, base, new, seeds)[0]
    doubt = change.base.doubt or change.new.doubt
    return change if doubt is None else Change(key, change.base, change.new, "processes")


def changes_between(base: Side, new: Side, places: tuple[int, int]) -> tuple[list[Change], GeometricMean]:
    """Return the changes of the shapes in both, in the order of the base, without verdicts; and their mean.

    What a platform only simulates is in the mean where nothing else is compared.
    """
    changes, mean = [], GeometricMean()
    both = [key for key in base.results if key in new.results]
    real = {key for key in both if base.results[key].row["status"] != "SIMULATED"}
    for number, key in enumerate(both):
        seeds = ((places[0], number), (places[1], number))
        change, samples = measure_change(key, base.results[key], new.results[key], seeds)
        changes.append(change)
        if change.ratio is not None and (key in real or not real):
            mean.add(change.ratio, samples)
    return changes, mean


def matrix(sides: Sequence[Side]) -> list[list[GeometricMean]]:
    """Return the geometric mean ratio of each side (row) over each other side (column)."""
    return [
        [changes_between(base, new, (column, row))[1] for column, base in enumerate(sides)]
        for row, new in enumerate(sides)
    ]
