"""One shape of a run."""

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fmbench import lines, stats
from fmbench.consistency import SAME, Repetitions, disagree
from fmbench.summary import INTERVAL_LIMIT, Summary, figures_of

if TYPE_CHECKING:
    import numpy as np

Place = tuple[int | None, int | None, str | None]  # input size, batch size, variant


@dataclass(slots=True)
class Shape(Repetitions):
    """What a log says of one (input size, batch size, variant): its repetitions, and how it ended.

    Times in nanoseconds. What other lines say of it is kept as their JSON objects, without the place. A shape that
    is settled has the figures of its repetitions, and the repetitions no more.
    """

    input_size: int | None = None
    batch_size: int | None = None
    variant: str | None = None
    line: int | None = None  # of the log, where it begins
    announced: dict[str, Any] | None = None  # what its CASE line says
    durations: "array[int]" = field(default_factory=lambda: array("q"))
    phases: list[dict[str, Any]] = field(default_factory=list)
    statistics: dict[str, Any] | None = None
    recompiled: list[int] = field(default_factory=list)
    memory: dict[str, Any] | None = None
    energy: dict[str, Any] | None = None
    standing: dict[str, Any] | None = None
    pair: dict[str, Any] | None = None
    processes: dict[str, Any] | None = None
    result: lines.Res | None = None
    failure: dict[str, Any] | None = None
    figures: dict[str, Any] | None = None  # of repetitions that are settled
    settled: int = 0  # repetitions that the figures are of

    @property
    def place(self) -> Place:
        """Its sizes and its variant, as far as they are known."""
        return self.input_size, self.batch_size, self.variant

    @property
    def warmup(self) -> float | None:
        """Seconds of its own phases, or None where it has none."""
        return sum(float(phase["seconds"]) for phase in self.phases) if self.phases else None

    @property
    def closed(self) -> bool:
        """Whether its result or its failure was read."""
        return self.result is not None or self.failure is not None

    @property
    def empty(self) -> bool:
        """Whether nothing of it was read but its announcement."""
        return not self.repetitions and not self.closed

    @property
    def repetitions(self) -> int:
        """How many repetitions were read."""
        return self.settled + len(self.durations)

    def summary(self) -> Summary | None:
        """Return what the repetitions say, and what its STAT line says happened around them; None without any."""
        figures = self.figures or (figures_of(self.durations) if self.durations else None)
        said = self.statistics or {}
        if figures is None:
            return None
        return Summary.around(
            figures,
            self.recompiled,
            said.get("preemptions"),
            said.get("throttled"),
            said.get("interval_limit") or INTERVAL_LIMIT,
            said.get("waiting"),
            said.get("in_line"),
            said.get("roofline_share"),
            said.get("bound"),
        )

    def median(self) -> float | None:
        """Return the median of the repetitions that count, in nanoseconds; None without any."""
        if self.figures is not None:
            return float(self.figures["p50"])
        return stats.median(stats.settled(self.durations)) if self.durations else None

    def matches(self, place: Place) -> bool:
        """Whether the place on another line may be this shape's; what is not known matches all."""
        pairs = zip(self.place, place, strict=True)
        return all(mine is None or other is None or mine == other for mine, other in pairs)

    def take_place(self, place: Place) -> None:
        """Take over what another line knows of the place."""
        input_size, batch_size, variant = place
        self.input_size = self.input_size if input_size is None else input_size
        self.batch_size = self.batch_size if batch_size is None else batch_size
        self.variant = self.variant if variant is None else variant

    def add(self, index: int, count: int, start: int, end: int, duration: int) -> None:
        """Take over one repetition. Raises OverflowError for a duration that no clock measures."""
        self.durations.append(duration)
        if index != self.expected or start < self.latest or end - start != duration or count != self.requested:
            self.compare(index, count, start, end, duration)
        self.expected, self.latest = index + 1, end

    def extend(self, table: "np.ndarray") -> None:
        """Take over repetitions in a row: index, count, start, end and duration of each, shape (repetitions, 5)."""
        import numpy as np

        self.add(*table[0].tolist())
        before, after = table[:-1].T, table[1:].T
        orderly = (
            (after[0] - before[0] == 1)
            & (after[1] == before[1])
            & (after[2] >= before[3])
            & (after[3] - after[2] == after[4])
        )
        if not orderly.all():
            for repetition in table[1:].tolist():
                self.add(*repetition)
        elif orderly.size:
            self.durations.frombytes(np.ascontiguousarray(after[4]).tobytes())
            self.expected, self.latest = int(after[0, -1]) + 1, int(after[3, -1])

    def take_pair(self, said: dict[str, Any], other: "Shape | None") -> None:
        """Take over how this shape compares with another variant's."""
        self.pair = said
        doubt = None if other is None or other is self else pair_doubt(other, self, said)
        if doubt is not None:
            self.raise_doubt(doubt)

    def settle(self) -> None:
        """Summarise the repetitions and let them go. None may come after."""
        if self.durations:
            self.figures, self.settled = figures_of(self.durations), len(self.durations)
            self.durations = array("q")


def pair_doubt(a: Shape, b: Shape, said: dict[str, Any]) -> str | None:
    """Return what a PAIR line says that the repetitions of its variants do not, or None."""
    count = min(a.repetitions, b.repetitions)
    first, second = a.median(), b.median()
    if first is None or second is None or said.get("ratio") is None:
        return None
    if said.get("n") not in (None, count - stats.dropped(count)):
        return f"contradicted: PAIR counts {said['n']} pairs, and {count - stats.dropped(count)} count"
    if a.repetitions == b.repetitions and first and disagree(said["ratio"], second / first, SAME * second / first):
        return f"contradicted: PAIR's ratio {said['ratio']} is not that of the medians"
    return None
