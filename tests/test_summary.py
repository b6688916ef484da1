"""Exact figures of scripted series, timed as a driver times them, with a clock that shows given times."""

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest

from fmbench.measure import FakeClock, Subject
from fmbench.rank_tests import trend
from fmbench.summary import Summary

MILLISECOND = 1_000_000


def timed(milliseconds: Sequence[float]) -> list[int]:
    """Return the durations, in nanoseconds, of calls that take this long by a scripted clock."""
    moments, now = [], 1_700_000_000_000_000_000
    for duration in milliseconds:
        moments += [now, now + round(duration * MILLISECOND)]
        now = moments[-1] + 12_345
    clock = FakeClock(moments)
    subject = Subject(call=lambda batch: None, place=lambda batch: batch, synchronize=lambda: None)
    return [subject.time(None, clock).duration for _ in milliseconds]


def summarise(milliseconds: Sequence[float], recompiled: Sequence[int] = ()) -> dict[str, object]:
    """Return the summary of calls that take this long, times in milliseconds."""
    summary = Summary.of(timed(milliseconds), recompiled)
    found = {name: getattr(summary, name) for name in Summary.__slots__}
    for name in ("cold", "min", "p50", "p90", "p95", "p99", "mean", "mad"):
        found[name] /= MILLISECOND
    return {**found, "interval": tuple(end / MILLISECOND for end in summary.interval)}


def approximately(expected: dict[str, object]) -> dict[str, object]:
    return {
        key: pytest.approx(value, rel=1e-12) if isinstance(value, float | tuple) else value
        for key, value in expected.items()
    }


ALONE = {
    "recompiled": 0,
    "preemptions": None,
    "throttled": None,
    "interval_limit": 0.02,
    "waiting": None,
    "in_line": None,
}
QUIET = {
    "drift": 0.0,
    "drift_p": 1.0,
    "outliers": 0,
    **ALONE,
    "stable": True,
    "reason": None,
}

CONSTANT = [7.0] * 20
LINEAR = [900.0, *(100.0 + step for step in range(1, 50))]  # 40 are kept: 110 ... 149
FALLING = [900.0, *(150.0 - step for step in range(1, 50))]  # 140 ... 101
BIMODAL = [50.0, *[10.0, 20.0] * 10]  # 17 are kept: 20, then eight times 10 and 20
SPIKE = [30.0, *[10.0] * 14, 100.0, *[10.0] * 9]  # 20 are kept
HEAVY = [
    60.0, 12.0, 11.0, 10.5, 10.4, 10.3,
    10.0, 10.1, 10.2, 9.9, 10.0, 10.3, 10.1, 14.0, 10.0, 9.9, 10.2, 25.0,
    10.1, 10.0, 10.4, 10.2, 9.8, 80.0, 10.1, 10.0, 10.3, 10.2, 10.1, 11.0,
]  # fmt: skip
# 24 are kept. In order: 9.8, 9.9 x2, 10.0 x5, 10.1 x5, 10.2 x4, 10.3 x2, 10.4, 11, 14, 25, 80


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [
        pytest.param(
            CONSTANT,
            {"n": 16, "dropped": 4, "cold": 7.0, "min": 7.0, "p50": 7.0, "p90": 7.0, "p95": 7.0, "p99": 7.0,
             "mean": 7.0, "mad": 0.0, "interval": (7.0, 7.0), **QUIET},
            id="constant",
        ),
        pytest.param(
            LINEAR,
            {"n": 40, "dropped": 10, "cold": 900.0, "min": 110.0, "p50": 129.5, "p90": 145.1, "p95": 147.05,
             "p99": 148.61, "mean": 129.5, "mad": 10.0, "interval": (110.0, 149.0),
             # Twenty below the median and twenty above: these are not forty that are news.
             "effective": 1.7888087651629494,
             "drift": 143 / 116 - 1,  # medians of 137 ... 149 and of 110 ... 122
             "drift_p": math.erfc(math.sqrt(39 / 2)), "outliers": 0, **ALONE, "stable": False,
             "reason": "drift: +23% from the first third to the last"},
            id="drift",
        ),
        pytest.param(
            BIMODAL,
            {"n": 17, "dropped": 4, "cold": 50.0, "min": 10.0, "p50": 20.0, "p90": 20.0, "p95": 20.0, "p99": 20.0,
             "mean": 260 / 17, "mad": 0.0, "interval": (10.0, 20.0), "drift": 0.0, "drift_p": 1.0, "outliers": 8,
             **ALONE, "stable": False, "reason": "interval: the median is known to ±25% only"},
            id="bimodal",
        ),
        pytest.param(
            SPIKE,
            {"n": 20, "dropped": 5, "cold": 30.0, "min": 10.0, "p50": 10.0, "p90": 10.0,
             "p95": 14.5,  # rank 18.05 of 19 lies 0.05 of the way from 10 to 100
             "p99": 82.9, "mean": 14.5, "mad": 0.0, "interval": (10.0, 10.0), "drift": 0.0,
             # The spike is eleventh, half a place past the middle of 20, and its rank is 10 above that of the rest.
             "drift_p": math.erfc(0.5 * 10 / math.sqrt((19 * 0.5**2 + 9.5**2) * 665) * math.sqrt(19 / 2)),
             "outliers": 1, **ALONE, "stable": True, "reason": None},
            id="spike",
        ),
    ],
)  # fmt: skip
def test_every_figure(milliseconds: list[float], expected: dict[str, object]) -> None:
    assert summarise(milliseconds) == approximately({"effective": expected["n"], **expected})


def test_a_heavy_tail_moves_the_mean_and_the_high_percentiles_only() -> None:
    found = summarise(HEAVY)
    figures = {
        "n": 24, "dropped": 6, "cold": 60.0, "min": 9.8, "p50": 10.1, "mad": 0.1, "interval": (10.0, 10.3),
        "p90": 14 - 0.3 * 3,  # rank 20.7 of 23 lies between 11 and 14
        "p95": 14 + 0.85 * 11, "p99": 25 + 0.77 * 55, "mean": 331.9 / 24,
        "outliers": 4, **ALONE, "stable": True, "reason": None,
    }  # fmt: skip
    assert {key: found[key] for key in figures} == approximately(figures)
    assert found["drift"] == pytest.approx(10.15 / 10.1 - 1)
    assert found["drift_p"] == pytest.approx(trend(np.array(HEAVY[6:]), np.sort(HEAVY[6:]))[1])


def test_a_falling_series() -> None:
    found = summarise(FALLING)
    assert found["drift"] == pytest.approx(107 / 134 - 1)
    assert found["reason"] == "drift: -20% from the first third to the last"


# -- why a median is not to be trusted


@pytest.mark.parametrize(
    ("milliseconds", "recompiled", "reason"),
    [
        (CONSTANT, [4], "recompiled: the compiler ran in 1 of the repetitions that count"),
        (CONSTANT, [0, 3, 5, 19], "recompiled: the compiler ran in 2 of the repetitions that count"),
        (LINEAR, [12], "recompiled: the compiler ran in 1 of the repetitions that count"),  # weightier than drift
        ([9.0, 7.0, 7.0], [2], "recompiled: the compiler ran in 1 of the repetitions that count"),
        ([9.0], [], "few: 1 repetition kept, and 5 is the least that shows a spread"),
        ([9.0, 7.0], [], "few: 1 repetition kept, and 5 is the least that shows a spread"),
        ([9.0, 7.0, 7.0, 7.0, 7.0], [], "few: 4 repetitions kept, and 5 is the least that shows a spread"),
        ([9.0, 8.0, 9.0, 10.0, 11.0, 12.0], [], "spread: the median absolute deviation is 10% of the median"),
        ([9.0, 10.0, 10.0, 10.0, 10.0, 12.0, 12.0], [], "interval: the median is known to ±10% only"),
    ],
)
def test_the_reason(milliseconds: list[float], recompiled: list[int], reason: str) -> None:
    found = summarise(milliseconds, recompiled)
    assert (found["stable"], found["reason"]) == (False, reason)


@pytest.mark.parametrize(
    ("milliseconds", "recompiled", "count"),
    [
        (CONSTANT, [0, 1, 2, 3], 0),  # all among those that are left out
        ([9.0], [0], 0),  # the very first compiles, whether it counts or not
        (CONSTANT, [3, 4], 1),
        (CONSTANT, [4, 10, 19], 3),
    ],
)
def test_only_repetitions_that_count_are_recompiled(
    milliseconds: list[float], recompiled: list[int], count: int
) -> None:
    assert summarise(milliseconds, recompiled)["recompiled"] == count


def test_five_kept_repetitions_can_be_stable() -> None:
    found = summarise([9.0, 7.0, 7.0, 7.0, 7.0, 7.0])
    assert (found["n"], found["stable"], found["reason"]) == (5, True, None)


def test_one_repetition_is_all_there_is() -> None:
    found = summarise([9.0])
    assert (found["n"], found["dropped"], found["cold"], found["p50"], found["p99"]) == (1, 0, 9.0, 9.0, 9.0)
    assert found["interval"] == (9.0, 9.0)


def test_drift_that_is_small_or_may_be_chance_is_none() -> None:
    creeping = [100 + step / 50 for step in range(100)]  # certain, and 1%
    assert summarise(creeping)["drift_p"] < 1e-9
    assert summarise(creeping)["reason"] is None
    shuffled = [9.0, 9.0, 9.0, 10.0, 10.2, 9.8, 10.1, 10.3, 10.6, 10.0, 10.5, 10.4, 10.3]
    assert summarise(shuffled)["drift"] > 0.03
    assert 0.01 < summarise(shuffled)["drift_p"] < 0.05
    assert "drift" not in str(summarise(shuffled)["reason"])


def test_calls_that_take_no_time_are_stable() -> None:
    found = summarise([5.0, *[0.0] * 9])
    assert (found["p50"], found["mad"], found["drift"], found["stable"]) == (0.0, 0.0, 0.0, True)


def test_no_repetitions_are_an_error() -> None:
    with pytest.raises(ValueError, match="no values"):
        Summary.of([])


def test_the_first_fifth_changes_nothing_but_the_cold_start() -> None:
    found = summarise([500.0, 400.0, *CONSTANT[:8]])
    assert (found["dropped"], found["cold"], found["min"], found["p99"], found["mean"]) == (2, 500.0, 7.0, 7.0, 7.0)


def test_the_unit_is_the_callers() -> None:
    in_seconds = Summary.of([value / 1000 for value in HEAVY])
    in_milliseconds = Summary.of(HEAVY)
    assert in_seconds.p99 * 1000 == pytest.approx(in_milliseconds.p99)
    assert in_seconds.drift_p == in_milliseconds.drift_p
    assert (in_seconds.stable, in_seconds.reason) == (in_milliseconds.stable, in_milliseconds.reason)


@pytest.mark.parametrize("count", [15, 40, 80])
def test_the_interval_covers_the_true_median(count: int) -> None:
    generator = random.Random(7)
    covered = 0
    for _ in range(1000):
        low, high = Summary.of([0.0, *(generator.gauss(10, 1) for _ in range(count))]).interval
        covered += low <= 10 <= high
    assert covered >= 910  # a bootstrap interval of few values is a little too narrow


@pytest.mark.parametrize(
    ("preemptions", "in_line", "reason"),
    [
        (None, None, None),
        (100.0, None, None),
        (262.4, None, "contended: the system took a CPU away 262 times a second, for other work"),
        (262.4, 0.005, None),  # often, and not for long: a kernel's housekeeping
        (35.0, 0.022, "contended: for 2.2% of the time that its threads wanted a CPU, other work had it"),
        (None, 0.02, None),
    ],
)
def test_a_contended_machine_is_no_stable_figure(
    preemptions: float | None, in_line: float | None, reason: str | None
) -> None:
    summary = Summary.of(CONSTANT, (), preemptions, in_line=in_line)
    assert (summary.preemptions, summary.in_line, summary.stable) == (preemptions, in_line, reason is None)
    assert summary.reason == reason


@pytest.mark.parametrize(
    ("throttled", "reason"),
    [
        (None, None),
        (0.0, None),
        (0.01, None),
        (0.9974, "throttled: the CPU quota stopped the process in 100% of its periods"),
    ],
)
def test_a_cpu_quota_that_bites_is_named_before_what_follows_from_it(
    throttled: float | None, reason: str | None
) -> None:
    summary = Summary.of(CONSTANT, (), 20.0, throttled)
    assert (summary.throttled, summary.stable, summary.reason) == (throttled, reason is None, reason)
    if reason:
        assert Summary.of(BIMODAL, (), 262.4, throttled).reason == reason  # neither spread nor other work


WIDE = [100.0] * 3 + [96.0, 104.0] * 6  # 12 are kept, their median known to 4%


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        (0.02, "interval: the median is known to ±4% only"),
        (0.05, None),
        (0.039, "interval: the median is known to ±4% only"),
        (0.01, "interval: the median is known to ±4.0% only"),
    ],
)
def test_a_median_is_known_well_enough_by_what_was_asked_for(limit: float, reason: str | None) -> None:
    summary = Summary.of(WIDE, interval_limit=limit)
    assert (summary.reason, summary.stable, summary.interval_limit) == (reason, reason is None, limit)


@pytest.mark.parametrize(
    ("values", "recompiled", "waiting", "reason"),
    [
        (CONSTANT, (), None, None),
        (CONSTANT, (), 0.2, None),
        (CONSTANT, (), 1.0, "contended"),
        (BIMODAL, (), 1.0, "contended"),
        (BIMODAL, (), 0.1, "interval"),
        (CONSTANT, (7,), 1.0, "recompiled"),
    ],
)
def test_threads_that_wait_for_a_cpu(
    values: Sequence[float], recompiled: Sequence[int], waiting: float | None, reason: str | None
) -> None:
    summary = Summary.of(values, recompiled, waiting=waiting)
    assert summary.waiting == waiting
    assert summary.reason is None if reason is None else str(summary.reason).startswith(f"{reason}:")


@pytest.mark.parametrize(
    ("share", "bound", "possible"),
    [(3.8, "compute", True), (10.1, "compute", False), (3.4, "bandwidth", True), (2294.7, "bandwidth", False),
     (None, None, True)],
)  # fmt: skip
def test_what_is_far_beyond_the_roofline_is_in_doubt(share: float | None, bound: str | None, possible: bool) -> None:
    found = Summary.of([1000.0] * 20, share=share, bound=bound)
    assert found.stable is possible
    assert possible or str(found.reason).startswith(f"impossible: {share:,.0f} times the limit of {bound}")
