"""Tests on ranks, against scipy and against counting."""

import itertools
import math
import warnings
from collections.abc import Sequence

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from fmbench import rank_tests
from fmbench.rank_tests import (
    average_ranks,
    holm,
    mann_whitney_p,
    shift_reaching,
    signed_rank_p,
    trend,
    two_sided,
    u_distribution,
)


@pytest.mark.parametrize(("fewer", "more"), [(1, 1), (2, 3), (4, 4), (5, 6)])
def test_every_order_is_counted(fewer, more):
    found = np.zeros(fewer * more + 1, dtype=int)
    for chosen in itertools.combinations(range(fewer + more), fewer):
        found[sum(chosen) - fewer * (fewer - 1) // 2] += 1
    assert u_distribution(fewer, more).tolist() == found.tolist()


@pytest.mark.parametrize(("a", "b"), [(1, 1), (3, 5), (10, 10), (8, 50), (20, 20), (2, 200), (21, 20), (100, 80)])
@pytest.mark.parametrize("shift", [0.0, 0.5, 3.0])
def test_p_is_that_of_scipy(a, b, shift):
    generator = np.random.default_rng(a * b)
    x, y = generator.normal(size=a), generator.normal(shift, size=b)
    method = "exact" if a * b <= 400 else "asymptotic"
    assert mann_whitney_p(x, y) == pytest.approx(scipy.stats.mannwhitneyu(x, y, method=method).pvalue, rel=1e-9)
    assert mann_whitney_p(y, x) == pytest.approx(mann_whitney_p(x, y), rel=1e-9)


@pytest.mark.parametrize("levels", [2, 5, 30])
def test_p_with_ties_is_that_of_scipy(levels):
    generator = np.random.default_rng(levels)
    x, y = generator.integers(0, levels, 12), generator.integers(0, levels, 15) + 1
    assert mann_whitney_p(x, y) == pytest.approx(scipy.stats.mannwhitneyu(x, y, method="asymptotic").pvalue, rel=1e-9)


def test_nothing_and_no_difference():
    assert mann_whitney_p(np.array([]), np.array([1.0])) == 1.0
    assert mann_whitney_p(np.ones(5), np.ones(5)) == 1.0


def test_holm_is_the_published_example():
    # Holm (1979), table of four tests: the smallest p times 4, the next times 3 and so on, never falling.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


# -- the signed-rank test


def wilcoxon(differences: np.ndarray) -> float:
    """Return scipy's p; the approximation was called `approx` before it was called `asymptotic`."""
    scipy_stats = pytest.importorskip("scipy.stats")
    options = {"zero_method": "wilcox", "correction": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy warns of samples as small as some of these
        try:
            return float(scipy_stats.wilcoxon(differences, method="asymptotic", **options).pvalue)
        except ValueError:
            return float(scipy_stats.wilcoxon(differences, method="approx", **options).pvalue)


@pytest.mark.parametrize("count", [26, 80, 1000])
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_signed_ranks_are_scipys(count: int, shift: float) -> None:
    generator = np.random.default_rng(count)
    for _ in range(20):
        differences = generator.normal(shift, 1, count)
        assert signed_rank_p(differences) == pytest.approx(wilcoxon(differences), rel=1e-9)


@pytest.mark.parametrize("count", [80, 1000])
@pytest.mark.parametrize("levels", [2, 5, 40])
def test_signed_ranks_are_scipys_with_ties_and_zeros(count: int, levels: int) -> None:
    generator = np.random.default_rng(count * levels)
    for _ in range(20):
        differences = generator.integers(-levels, levels + 2, count).astype(float)
        assert signed_rank_p(differences) == pytest.approx(wilcoxon(differences), rel=1e-9)


def test_signed_ranks_by_hand() -> None:
    """Ranks of 3 -1 2 -4 5 add up to 10 where positive; of the 32 ways to sign them, 10 give at least that sum."""
    assert signed_rank_p(np.array([3.0, -1.0, 2.0, -4.0, 5.0])) == 2 * 10 / 32
    assert signed_rank_p(np.full(8, 0.7)) == 2 / 2**8  # all alike: every rank is shared


@pytest.mark.parametrize("levels", [2, 100])
def test_few_signed_ranks_are_counted_one_by_one(levels: int) -> None:
    generator = np.random.default_rng(levels)
    for _ in range(20):
        differences = generator.integers(1, levels + 1, 9) * generator.choice([-1.0, 1.0], 9)
        ranks = average_ranks(np.abs(differences))
        sums = [sum(ranks[list(chosen)]) for chosen in itertools.product([False, True], repeat=9)]
        mine = float(ranks[differences > 0].sum())
        low = sum(total <= min(mine, 45 - mine) for total in sums)
        assert signed_rank_p(differences) == pytest.approx(min(1.0, 2 * low / 2**9))


def test_the_shift_of_differences_that_are_all_but_alike_is_found() -> None:
    durations = np.array([[930_000, 930_929, 931_860] * 10, [1_000_000, 1_000_999, 1_002_000] * 10])
    assert shift_reaching(np.log(durations[0] / durations[1]), 3.3) < 1e-6


def test_no_difference_at_all_is_no_evidence() -> None:
    assert signed_rank_p(np.zeros(10)) == 1.0
    assert signed_rank_p(np.array([])) == 1.0


# -- drift


def trend_of(values: Sequence[float]) -> tuple[float, float]:
    array = np.asarray(values)
    return trend(array, np.sort(array))


def test_a_trend_by_hand() -> None:
    """Two swaps of neighbours: rho = 1 - 6 * 4 / (8 * 63) = 20 / 21."""
    found = trend_of([10, 30, 20, 40, 50, 70, 60, 80])
    assert found[0] == 70 / 20 - 1  # the last two over the first two
    assert found[1] == pytest.approx(math.erfc(20 / 21 * math.sqrt(7 / 2)), rel=1e-12)


def test_a_trend_with_ties_by_hand() -> None:
    """Ranks about their mean: -3.5 -3.5 -1.5 -1.5 0.5 0.5 3 3 3, whose squares add up to 56.5, as do their products
    with -4 ... 4, whose squares add up to 60."""
    found = trend_of([1, 1, 2, 2, 3, 3, 4, 4, 4])
    assert found[0] == 3.0
    assert found[1] == pytest.approx(math.erfc(math.sqrt(56.5 / 60) * math.sqrt(8 / 2)), rel=1e-12)


@pytest.mark.parametrize(
    ("values", "change", "p"),
    [
        ([], 0.0, 1.0),
        ([1, 2, 3, 4, 5, 6, 7], 0.0, 1.0),  # too few for any order to mean something
        ([5] * 20, 0.0, 1.0),
        ([0] * 20, 0.0, 1.0),
        ([0] * 10 + [1] * 10, 0.0, math.erfc(math.sqrt(500 / 665) * math.sqrt(19 / 2))),  # no share of nothing
        ([8, 7, 6, 5, 4, 3, 2, 1], 1.5 / 7.5 - 1, math.erfc(math.sqrt(7 / 2))),
        (list(range(100, 109)), 107 / 101 - 1, math.erfc(math.sqrt(8 / 2))),
    ],
)
def test_trends_at_the_edges(values: list[float], change: float, p: float) -> None:
    found = trend_of(values)
    assert found == (pytest.approx(change), pytest.approx(p, rel=1e-9))


@pytest.mark.parametrize("levels", [4, 50, 10**9])
@pytest.mark.parametrize("count", [8, 30, 500])
def test_a_trend_is_scipys_rank_correlation(count: int, levels: int) -> None:
    scipy_stats = pytest.importorskip("scipy.stats")
    generator = np.random.default_rng(count + levels)
    for _ in range(20):
        values = generator.integers(0, levels, count) + levels * np.arange(count) // (3 * count)
        rho = float(scipy_stats.spearmanr(np.arange(count), values).statistic)
        if math.isnan(rho):
            continue  # all alike, where scipy gives no answer
        expected = float(2 * scipy_stats.norm.sf(abs(rho) * math.sqrt(count - 1)))
        assert trend_of(values.tolist())[1] == pytest.approx(expected, rel=1e-9)


def test_chance_is_seldom_called_a_trend() -> None:
    generator = np.random.default_rng(3)
    called = sum(trend_of(generator.normal(10, 1, 40).tolist())[1] < 0.05 for _ in range(1000))
    assert 25 <= called <= 75


@given(st.lists(st.integers(0, 20) | st.floats(-5, 5), min_size=1, max_size=40))
def test_average_ranks_count_what_is_smaller_and_what_is_equal(values: list[float]) -> None:
    expected = [
        sum(other < value for other in values) + (1 + sum(other == value for other in values)) / 2 for value in values
    ]
    assert average_ranks(np.array(values, dtype=float)).tolist() == expected


def test_average_ranks_by_hand() -> None:
    assert average_ranks(np.array([3.0, 1.0, 2.0, 2.0, 9.0])).tolist() == [4, 1, 2.5, 2.5, 5]
    assert average_ranks(np.array([7.0, 7.0, 7.0])).tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("z", "p"), [(0, 1), (1, 0.31731050786291415), (-1.959963984540054, 0.05), (2.5758293035489004, 0.01), (40, 0)]
)
def test_two_sided(z: float, p: float) -> None:
    assert two_sided(z) == pytest.approx(p, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("ties", [1, 100_000])
def test_a_trend_in_blocks_is_that_of_the_whole(ties: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(ties)
    values = np.rint(3.7e6 * generator.lognormal(0, 0.03, 1001) / ties) * ties
    whole = trend_of(values)
    monkeypatch.setattr(rank_tests, "BLOCK", 64)
    assert trend_of(values) == pytest.approx(whole, rel=1e-9)


def test_correlation_takes_significance_away() -> None:
    differences = np.arange(-10.0, 30.0)
    a, b = np.arange(0.0, 40.0), np.arange(20.0, 60.0)
    for p in (lambda wider: signed_rank_p(differences, wider), lambda wider: mann_whitney_p(a, b, (wider, wider))):
        deviates = [scipy.stats.norm.isf(p(wider) / 2) for wider in (1.0, 2.0)]
        assert deviates[1] == pytest.approx(deviates[0] / 2, rel=1e-9)
