import random

import pytest

from fmbench import stopping
from fmbench.resampling import interval_ranks
from fmbench.stopping import Rule, Stopping, half_width

QUIET = [1.0, 1.001]  # a median known to well within 1%
LOUD = [1.0, 2.0]


def end_of(rule: Rule, *series: list[float], seconds: float = 0.0) -> tuple[int, str | None]:
    """Return after how many repetitions, and why, a shape ends whose variants take these durations, over and over."""
    stopping = Stopping(rule, len(series))
    for count in range(1, 2000):
        ended = stopping.add([durations[count % len(durations)] for durations in series], count * seconds)
        if ended is not None:
            return count, ended
    return 2000, None


# -- the interval


def test_an_interval_by_hand() -> None:
    durations = [50.0, 40.0, 9.0, 10.0, 11.0, 10.0, 9.0, 10.0, 11.0, 10.0]  # the first two are left out
    assert interval_ranks(8) == (1, 6)
    assert half_width(durations) == (11.0 - 9.0) / 2 / 10.0


def test_no_precision_is_reached_where_nothing_takes_time() -> None:
    assert half_width([0.0] * 20) == float("inf")


def test_repetitions_that_go_with_the_machine_are_not_precise_as_soon() -> None:
    """Slow for twelve, fast for twelve: two hundred of them are a dozen that are news."""
    regimes = [1.0 + 0.2 * (count // 12 % 2) + 0.001 * (count % 7) for count in range(200)]
    assert half_width(regimes) > 0.09
    assert half_width([1.0 + 0.001 * (count % 7) for count in range(200)]) < 0.001


# -- what ends a shape


@pytest.mark.parametrize("reps", [1, 3, 10, 137])
def test_repetitions_end_a_shape(reps: int) -> None:
    assert end_of(Rule(reps), QUIET) == (reps, "reps")


@pytest.mark.parametrize("reps", [1, 9, 200])
def test_repetitions_end_a_shape_that_is_never_precise(reps: int) -> None:
    assert end_of(Rule(reps, precision=0.001), LOUD) == (reps, "reps")


def test_precision_ends_a_shape() -> None:
    assert end_of(Rule(1000, precision=0.01), QUIET) == (10, "precision")


def test_at_least_ten_repetitions_are_made_for_a_precision() -> None:
    assert end_of(Rule(1000, precision=0.9), [1.0]) == (10, "precision")
    assert end_of(Rule(10, precision=0.9), [1.0]) == (10, "precision")


@pytest.mark.parametrize("reps", [1, 4, 9])
def test_fewer_than_ten_are_no_precision(reps: int) -> None:
    assert end_of(Rule(reps, precision=0.01), [1.0]) == (reps, "reps")


def test_the_precision_is_looked_at_after_every_tenth_more(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def half_width(durations: list[float]) -> float:
        looks.append(len(durations))
        return float("inf")

    monkeypatch.setattr(stopping, "half_width", half_width)
    rule = Stopping(Rule(60, precision=0.01), 1)
    for count in range(1, 61):
        assert rule.add([1.0], 0.0) == ("reps" if count == 60 else None)
    assert looks == [*range(10, 21), 22, 24, 26, 28, 30, 33, 36, 39, 42, 46, 50, 55, 60]


def test_a_precision_ends_a_shape_at_the_first_look_that_finds_it() -> None:
    generator = random.Random(1)
    durations = [generator.lognormvariate(0, 0.1) for _ in range(2000)]
    rule, found = Stopping(Rule(2000, precision=0.01), 1), None
    count = 0
    while found is None:
        found = rule.add([durations[count]], 0.0)
        count += 1
    assert found == "precision"
    assert half_width(durations[:count]) <= 0.01
    looks = [10]
    while looks[-1] < count:
        looks.append(looks[-1] + max(1, looks[-1] // 10))
    assert looks[-1] == count
    assert [look for look in looks[:-1] if half_width(durations[:look]) <= 0.01] == []


def test_all_variants_must_be_precise() -> None:
    rule = Rule(50, precision=0.01)
    assert end_of(rule, QUIET, QUIET) == (10, "precision")
    assert end_of(rule, QUIET, LOUD) == (50, "reps")
    assert end_of(rule, LOUD, QUIET) == (50, "reps")
    assert end_of(rule, QUIET, QUIET, LOUD) == (50, "reps")


def test_time_ends_a_shape() -> None:
    assert end_of(Rule(1000, max_seconds=3.0), QUIET, seconds=0.5) == (6, "seconds")
    assert end_of(Rule(1000, max_seconds=3.0), QUIET, seconds=5.0) == (1, "seconds")  # whatever is known
    assert end_of(Rule(1000, precision=0.01, max_seconds=3.0), LOUD, seconds=0.25) == (12, "seconds")


def test_what_comes_first_ends_a_shape() -> None:
    rule = Rule(20, precision=0.01, max_seconds=6.0)
    assert end_of(rule, QUIET, seconds=0.5) == (10, "precision")
    assert end_of(rule, LOUD, seconds=0.1) == (20, "reps")
    assert end_of(rule, QUIET, seconds=1.0) == (6, "seconds")
    assert end_of(Rule(6, max_seconds=6.0), QUIET, seconds=1.0) == (6, "reps")  # both at once: it is whole


def test_every_variant_gives_a_duration() -> None:
    with pytest.raises(ValueError, match="zip"):
        Stopping(Rule(5, precision=0.01), 2).add([1.0], 0.0)
