import contextlib
import gc
import itertools
import subprocess
import sys
import time

import pytest

from fmbench.measure import Clock, FakeClock, Measurement, Phase, Repetition, Shape, Subject, SubjectError, repeat

DEFERRED = """
import signal
from fmbench.measure import interrupt_deferred
signal.signal(signal.SIGINT, signal.default_int_handler)
reached = []
try:
    with interrupt_deferred():
        signal.raise_signal(signal.SIGINT)
        reached.append(1)
except KeyboardInterrupt:
    print(reached, signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


def nothing(*_: object) -> None:
    """Do nothing."""


def subject(call=nothing, place=lambda batch: batch, synchronize=nothing, **more) -> Subject:
    return Subject(call, place, synchronize, **more)


def test_the_loop_times_the_call_and_nothing_else() -> None:
    events: list[str] = []

    class Recorder(FakeClock):
        def now(self) -> int:
            events.append("clock")
            return super().now()

    def said(word: str, result: object = None):
        return lambda *given: events.append(f"{word} {given[0]}" if given else word) or result

    timed = subject(
        said("call", "output"), said("place", "placed"), said("synchronize"), before=said("before"), after=said("after")
    )
    found = []
    for (repetition,) in repeat([timed], said("make", "batch"), Recorder([100, 107, 200, 211])):
        events.append("report")
        found.append(repetition)
        if len(found) == 2:
            break
    once = ["make", "before", "place batch", "synchronize", "clock", "call placed", "synchronize", "clock"]
    assert events == [*once, "after output", "report"] * 2
    assert found == [Repetition(100, 107), Repetition(200, 211)]
    assert [repetition.duration for repetition in found] == [7, 11]


def test_the_output_is_let_go_before_the_next_batch_is_made() -> None:
    alive = 0

    class Output:
        def __init__(self) -> None:
            nonlocal alive
            alive += 1

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    seen: list[int] = []
    loop = repeat([subject(lambda batch: Output())] * 2, lambda: seen.append(alive), Clock())
    assert len(list(itertools.islice(loop, 3))) == 3
    assert seen == [0, 0, 0]


def test_subjects_alternate_in_random_seeded_order_on_the_same_batch() -> None:
    def orders(seed: int) -> list[tuple[str, int]]:
        calls: list[tuple[str, int]] = []
        pair = [subject(lambda batch, name=name: calls.append((name, batch))) for name in "ab"]
        numbers = itertools.count()
        list(itertools.islice(repeat(pair, lambda: next(numbers), Clock(), seed), 200))
        return calls

    calls = orders(seed=1)
    assert [batch for _, batch in calls] == [number for number in range(200) for _ in "ab"]
    first = [calls[2 * number][0] for number in range(200)]
    assert all({calls[2 * number][0], calls[2 * number + 1][0]} == {"a", "b"} for number in range(200))
    assert 70 < first.count("a") < 130
    assert orders(seed=1) == calls != orders(seed=2)


def test_repetitions_come_in_the_order_of_the_subjects() -> None:
    class Moved(Clock):
        time = 0

        def now(self) -> int:
            return self.time

        def move(self, nanoseconds: int) -> None:
            self.time += nanoseconds

    clock = Moved()
    slow, quick = subject(lambda batch: clock.move(30)), subject(lambda batch: clock.move(1))
    found = list(itertools.islice(repeat([slow, quick], nothing, clock, seed=3), 8))
    assert [(one.duration, other.duration) for one, other in found] == [(30, 1)] * 8


def test_the_garbage_collector_rests_during_the_loop_and_comes_back() -> None:
    assert gc.isenabled()
    with contextlib.closing(repeat([subject()], nothing, Clock())) as loop:
        assert [gc.isenabled() for _ in itertools.islice(loop, 2)] == [False, False]
    assert gc.isenabled()


def test_a_failing_call_names_its_subject_and_the_collector_comes_back() -> None:
    def fail(batch: object) -> None:
        raise RuntimeError("boom")

    with pytest.raises(SubjectError) as caught:
        list(repeat([subject(), subject(fail)], nothing, Clock()))
    assert caught.value.index == 1
    assert str(caught.value.__cause__) == "boom"
    assert gc.isenabled()


def test_inputs_that_cannot_be_made_are_nobodys_fault() -> None:
    def make() -> None:
        raise MemoryError

    with pytest.raises(SubjectError, match="inputs could not be made") as caught:
        list(repeat([subject()], make, Clock()))
    assert caught.value.index is None


def test_the_clock_is_anchored_to_the_epoch_and_monotonic() -> None:
    before, clock = time.time_ns(), Clock()
    readings = [clock.now() for _ in range(1000)]
    assert readings == sorted(readings)
    assert before - 1e9 < readings[0] and readings[-1] < time.time_ns() + 1e9


def test_measurement() -> None:
    milliseconds = [9, 2, 4]
    ends = [1000 + sum(milliseconds[: count + 1]) for count in range(3)]
    taken = tuple(
        Repetition((end - length) * 10**6, end * 10**6) for length, end in zip(milliseconds, ends, strict=True)
    )
    measurement = Measurement(Shape(128, 4), taken)
    assert measurement.durations == [9_000_000, 2_000_000, 4_000_000]
    assert (measurement.latency, measurement.throughput) == (0.003, 4 / 0.003)
    assert measurement.warm_seconds == 0.006
    assert measurement.shape.tokens == 512


def test_a_phase_times_one_call() -> None:
    calls: list[int] = []
    phase = Phase.timed("compile", lambda: calls.append(1))
    assert (phase.name, calls) == ("compile", [1])
    assert phase.seconds >= 0


def test_an_interrupt_waits_while_the_collector_runs() -> None:
    """Objects whose `__del__` runs during a collection would swallow it. A process of its own: it is a real Ctrl-C."""
    done = subprocess.run([sys.executable, "-c", DEFERRED], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, "[1] True\n"), done.stderr
