"""The variants of one model side by side: their vectors, and how long each part of the corpus took each of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fmbench import lines
from fmbench.encoder import Encoder, EncoderPlan, Role, Timings
from fmbench.errors import FmbenchError, first_line
from fmbench.measure import Clock
from fmbench.session import facts_of
from fmbench.torch_settings import Settings

from .arguments import CaptureArguments, Subject

if TYPE_CHECKING:
    import numpy as np

    from .turns import KeptTurns

ROLES: tuple[Role, ...] = ("query", "passage")
PART = 64  # texts that one variant encodes before it is the next one's turn, at most
TURNS = 12  # at least, where there are so many texts: with fewer the speed is no verdict


@dataclass
class Rung:
    """One variant. `error` says why it is not there; else it has vectors of both roles and a duration a part."""

    name: str
    arguments: CaptureArguments | None
    error: Exception | None = None
    encoder: Encoder | None = None
    facts: dict[str, Any] | None = None  # of its platform and its model; None where it cannot be set up
    parts: "dict[Role, list[np.ndarray]]" = field(default_factory=lambda: {"query": [], "passage": []})
    durations: list[int] = field(default_factory=list)  # nanoseconds, a part of the passages
    start: str | None = None  # of its first part of passages: seconds since the epoch, as a log has them

    @property
    def works(self) -> bool:
        """Whether it has not failed."""
        return self.error is None

    @property
    def failure(self) -> str | None:
        """Why it is not there, on one line; the class of an error that is none of ours says what kind it is."""
        if self.error is None:
            return None
        kind = "" if isinstance(self.error, FmbenchError) else f"{type(self.error).__name__}: "
        return kind + first_line(self.error)

    def vectors(self, role: Role) -> "np.ndarray":
        """Return the vectors of a role so far, float32 (n, d); n is at least 1."""
        import numpy as np

        return np.concatenate(self.parts[role])

    def fail(self, error: Exception) -> None:
        """Keep why it cannot go on, and let its model go."""
        self.error, self.encoder = error, None

    def load(self) -> None:
        """Set the variant up; one that cannot be has a reason."""
        if self.arguments is None or not self.works:
            return
        try:
            plan = EncoderPlan.of(self.arguments, self.arguments.recipe)
            plan.similarity(None)
            self.encoder = Encoder(plan)
        except Exception as error:  # a compiler, a platform, a type: whatever it is, the others go on
            self.fail(error)

    def encode(self, texts: Sequence[str], role: Role, clock: Clock) -> None:
        """Encode a part, and note how long that took."""
        timings = Timings()
        if self.encoder is not None:
            self.encoder.timings = timings
        start = clock.now()
        vectors = self.encoded(texts, role)
        if vectors is None:
            return
        duration = clock.now() - start - round(timings.one_off * 1e9)  # what compiles does so in some parts only
        self.parts[role].append(vectors)
        if role == "passage":
            self.start = self.start or lines.format_time(start)
            self.durations.append(duration)

    def encoded(self, texts: Sequence[str], role: Role) -> "np.ndarray | None":
        """Return the vectors of texts; None where it has failed, now or earlier."""
        if self.encoder is None:
            return None
        try:
            return self.encoder.encode(texts, role)
        except Exception as error:  # compilers fail with the first call, in their own ways
            self.fail(error)
            return None


@dataclass(frozen=True, slots=True)
class Turn:
    """A part of the texts of one role, which every variant encodes before the next part is anybody's turn."""

    role: Role
    texts: Sequence[str]


def turns_of(subject: Subject) -> Iterator[Turn]:
    """Yield the turns in order: the queries', then the passages'."""
    for role, texts in zip(ROLES, (subject.queries, subject.passages), strict=True):
        size = part_of(len(texts))
        yield from (Turn(role, texts[start : start + size]) for start in range(0, len(texts), size))


def part_of(count: int) -> int:
    """Return how many of so many texts one variant encodes before it is the next one's turn."""
    return max(1, min(PART, count // TURNS))


class Climb:
    """Variants of one model, the reference first, and what they encode in turns."""

    def __init__(self, rungs: Sequence[Rung], said: Callable[[str], None]) -> None:
        """Set every variant up; `said` is told what goes on.

        Raises what the reference raises when it is set up: nothing could be held against it.
        """
        self.rungs = rungs
        for rung in rungs:
            said(f"sets up {rung.name}")
            rung.load()
            if rungs[0].error is not None:
                raise rungs[0].error
        self._said = said
        self._there = [rung for rung in rungs if rung.encoder is not None]
        known = [rung.encoder.arguments for rung in self._there if rung.encoder is not None]
        self._settings = Settings([(arguments.options, arguments.threads) for arguments in known])
        for index, rung in enumerate(self._there):
            self._settings.activate(index)
            if rung.encoder is not None:
                rung.facts = facts_of(rung.encoder)

    def run(self, subject: Subject, kept: "KeptTurns | None", done: Callable[[int], None]) -> None:
        """Encode all texts: part after part, each part with every variant in turn.

        The order alternates, so that no variant always follows the same one. A turn that an earlier run kept is not
        taken again. `done` is told how many turns are done, of kept ones once. However it ends, every variant that
        works has the same turns. Raises what the reference raises.
        """
        clock = Clock()
        turns = list(turns_of(subject))
        first = kept.restore(self.rungs, turns) if kept else 0
        try:
            if first:
                self._warm(turns[first:])
                done(first)
            for number, turn in enumerate(turns[first:], start=first):
                for rung in self._in_order(number):
                    self._said(f"{number:,} of {len(turns):,} turns, {turn.role}: {rung.name}")
                    rung.encode(turn.texts, turn.role, clock)
                    if self.rungs[0].error is not None:
                        raise self.rungs[0].error
                if kept:
                    kept.keep(number, self.rungs, turn.role)
                done(number + 1)
        finally:
            self._level()

    def _in_order(self, number: int) -> Iterator[Rung]:
        """Yield the variants as this turn has them, each with its settings."""
        order = list(enumerate(self._there))
        for index, rung in order if number % 2 == 0 else reversed(order):
            self._settings.activate(index)
            yield rung

    def _warm(self, turns: Sequence[Turn]) -> None:
        """Encode what is next without keeping it: what a compiler does first belongs to no turn of an earlier run."""
        for turn in turns[:1]:
            for rung in self._in_order(0):
                rung.encoded(turn.texts, turn.role)

    def _level(self) -> None:
        """Cut off the part of a turn that not every variant came to."""
        working = [rung for rung in self.rungs if rung.works]
        for role in ROLES:
            count = min((len(rung.parts[role]) for rung in working), default=0)
            for rung in working:
                del rung.parts[role][count:]
                if role == "passage":
                    del rung.durations[count:]
