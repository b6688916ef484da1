"""What several processes say of one figure."""

import pytest

from fmbench.processes import Processes


def known_to(share: float, *medians: float) -> list[tuple[float, float, float]]:
    return [(median, median * (1 - share), median * (1 + share)) for median in medians]


def test_processes_that_agree_are_stable() -> None:
    found = Processes.of(known_to(0.01, 10.1, 10.0, 10.2), requested=3)
    assert (found.n, found.p50, found.interval, found.stable, found.reason) == (3, 10.1, (10.0, 10.2), True, None)
    assert found.ratio == pytest.approx(1.02)


def test_two_modes_are_found_though_each_process_is_sure() -> None:
    found = Processes.of(known_to(0.01, 10.0, 10.0, 14.0, 10.0, 10.0), requested=5)
    assert (found.p50, found.interval, found.stable) == (10.0, (10.0, 14.0), False)
    assert found.reason == "processes: the medians of 5 processes differ by 40%, each known to ±1.4%"


@pytest.mark.parametrize(
    ("share", "slowest", "stable"),
    [
        (0.001, 10.4, True),  # 4% of the median of 10.2 are 0.408
        (0.001, 10.5, False),
        (0.1, 12.0, True),  # 9 to 11 and 10.8 to 13.2: they may be the same
        (0.05, 12.0, False),
    ],
)
def test_a_difference_must_be_large_and_more_than_each_is_known_to(share: float, slowest: float, stable: bool) -> None:
    assert Processes.of(known_to(share, 10.0, slowest), requested=2).stable is stable


@pytest.mark.parametrize(("count", "requested"), [(1, 3), (2, 3), (1, 1)])
def test_too_few_processes_are_no_agreement(count: int, requested: int) -> None:
    found = Processes.of(known_to(0.01, *[10.0] * count), requested)
    assert (found.stable, found.reason) == (False, f"processes: {count} of {requested} gave a figure")


def test_calls_that_take_no_time_agree() -> None:
    found = Processes.of([(0.0, 0.0, 0.0)] * 3, requested=3)
    assert (found.ratio, found.stable) == (None, True)


def test_no_process_is_an_error() -> None:
    with pytest.raises(ValueError, match="no values"):
        Processes.of([], requested=2)
