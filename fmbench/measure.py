"""The clock, the repetition loop, what it is fed, and what it measured. Knows no device: the backend synchronises."""

import contextlib
import gc
import random
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fmbench import stats
from fmbench.ending import ASKS


class Clock:
    """A monotonic clock that was anchored once to the epoch, so that a later correction of the date moves nothing."""

    def __init__(self) -> None:
        self._anchor = time.time_ns() - time.perf_counter_ns()

    def now(self) -> int:
        """Return the time in nanoseconds since the epoch."""
        return time.perf_counter_ns() + self._anchor


class FakeClock(Clock):
    """A clock that shows given times, for exact-number tests of the timing path."""

    def __init__(self, times: Iterable[int]) -> None:
        self._times: Iterator[int] = iter(times)

    def now(self) -> int:
        """Return the next of the given times. Raises StopIteration after the last."""
        return next(self._times)


@dataclass(frozen=True, slots=True)
class Shape:
    """What one measurement ran on: tokens a sequence, sequences a batch."""

    input_size: int
    batch_size: int

    @property
    def tokens(self) -> int:
        """Tokens a forward pass."""
        return self.input_size * self.batch_size


@dataclass(frozen=True, slots=True)
class Repetition:
    """One timed call: start and end in nanoseconds since the epoch."""

    start: int
    end: int

    @property
    def duration(self) -> int:
        """Nanoseconds."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Phase:
    """A one-off phase before the repetitions, such as compile or deploy."""

    name: str
    seconds: float

    @classmethod
    def timed(cls, name: str, call: Callable[[], Any]) -> "Phase":
        """Run the call once and return what it took."""
        clock = Clock()
        start = clock.now()
        call()
        return cls(name, (clock.now() - start) / 1e9)


LONGEST = 1e10  # seconds: three centuries


def is_seconds(value: Any) -> bool:
    """Whether a value is a duration: what a log can hold, and what a log is read by."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST


def is_phase(value: Any) -> bool:
    """Whether a value is a Phase whose name is one word, and whose seconds are a duration."""
    if not isinstance(value, Phase) or not isinstance(value.name, str) or not is_seconds(value.seconds):
        return False
    return value.name.split() == [value.name]


@dataclass(frozen=True)
class Measurement:
    """Every repetition of one shape, in order, cold ones included. Statistics are computed from it, never stored.

    `recompiled` holds the zero-based positions of repetitions in which the compiler ran; `ended` says what ended it.
    """

    shape: Shape
    repetitions: tuple[Repetition, ...]
    recompiled: tuple[int, ...] = ()
    ended: str | None = None

    @property
    def durations(self) -> list[int]:
        """Nanoseconds of each repetition."""
        return [repetition.duration for repetition in self.repetitions]

    @property
    def latency(self) -> float:
        """Median seconds of a forward pass, after the first fifth of the repetitions."""
        return stats.median(stats.settled(self.durations)) / 1e9

    @property
    def throughput(self) -> float:
        """Sequences a second at the median."""
        return self.shape.batch_size / self.latency if self.latency else float("inf")

    @property
    def warm_seconds(self) -> float:
        """Seconds from the end of the first repetition, which may compile, to the end of the last."""
        return (self.repetitions[-1].end - self.repetitions[0].end) / 1e9


def nothing(*_: Any) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Subject:
    """What is timed: `call` on a batch that `place` put where it belongs, until `synchronize` returns.

    `before` makes the subject's settings hold, `after` looks at what the call returned; neither is timed.
    """

    call: Callable[[Any], Any]
    place: Callable[[Any], Any]
    synchronize: Callable[[], None]
    before: Callable[[], None] = nothing
    after: Callable[[Any], None] = nothing

    def time(self, batch: Any, clock: Clock) -> Repetition:
        """Time one call. Only the call and the wait for the device lie between the two readings of the clock."""
        self.before()
        placed = self.place(batch)
        self.synchronize()
        start = clock.now()
        output = self.call(placed)
        self.synchronize()
        end = clock.now()
        self.after(output)
        return Repetition(start, end)  # output and batch go, before the next one takes their memory


class SubjectError(Exception):
    """A subject's call failed, or (index None) the inputs could not be made; the cause is the error that was raised."""

    def __init__(self, index: int | None) -> None:
        super().__init__("the inputs could not be made" if index is None else f"subject {index} failed")
        self.index = index


def repeat(
    subjects: Sequence[Subject], make: Callable[[], Any], clock: Clock, seed: int = 0
) -> Iterator[tuple[Repetition, ...]]:
    """Yield repetitions for ever, one of every subject on the same fresh batch, in random order.

    Whoever consumes this iterator decides when it is enough, and works outside of every timed region. Raises
    SubjectError for a call that fails, whatever it raised.
    """
    order = list(range(len(subjects)))
    shuffle = random.Random(seed).shuffle  # noqa: S311 (an order, no secret)
    with collector_paused():
        while True:
            try:
                batch = make()
            except Exception as error:
                raise SubjectError(None) from error
            if len(order) > 1:
                shuffle(order)
            timed: dict[int, Repetition] = {}
            for index in order:
                try:
                    timed[index] = subjects[index].time(batch, clock)
                except Exception as error:
                    raise SubjectError(index) from error
            yield tuple(timed[index] for index in range(len(subjects)))


@contextlib.contextmanager
def interrupt_deferred() -> Iterator[None]:
    """Let Ctrl-C and its like wait: a KeyboardInterrupt inside somebody's `__del__` would be printed and lost."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    before = {number: handler for number in ASKS if callable(handler := signal.getsignal(number))}
    for number in before:
        signal.signal(number, lambda number, _: caught.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if caught:
        before[caught[0]](caught[0], None)


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Keep Python's garbage collector from starting inside a timed region."""
    with interrupt_deferred():
        gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


if TYPE_CHECKING:
    import torch

    Batch = dict[str, torch.Tensor]


class TokenGenerator:
    """Makes batches of token ids, uniform over the vocabulary without its special ids, seeded.

    Each shape has a stream of its own, derived from (seed, input size, batch size): the same shape sees the same
    tokens whether it runs alone or inside a sweep.
    """

    def __init__(self, vocabulary_size: int, special_ids: Collection[int], seed: int) -> None:
        import torch

        ordinary = torch.ones(vocabulary_size, dtype=torch.bool)
        ordinary[[index for index in special_ids if 0 <= index < vocabulary_size]] = False
        self._ordinary_ids = ordinary.nonzero().squeeze(1)
        if len(self._ordinary_ids) == 0:
            raise ValueError("the vocabulary holds special ids only")
        self._seed = seed
        self._random = torch.Generator()

    def start(self, input_size: int, batch_size: int) -> None:
        """Begin the stream of a shape."""
        import numpy as np

        sequence = np.random.SeedSequence([self._seed, input_size, batch_size])
        self._random.manual_seed(int(sequence.generate_state(1, np.uint64)[0]) >> 1)
        self._shape = (batch_size, input_size)

    def batch(self) -> "Batch":
        """Return fresh `input_ids` and an all-ones `attention_mask`, int64 of shape (batch size, input size)."""
        import torch

        picks = torch.randint(len(self._ordinary_ids), self._shape, generator=self._random)
        return {"input_ids": self._ordinary_ids[picks], "attention_mask": torch.ones(self._shape, dtype=torch.int64)}
