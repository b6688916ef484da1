"""The U test and Holm's correction, against scipy and against counting."""

import itertools

import numpy as np
import pytest
import scipy.stats

from fmbench.rank_tests import holm, mann_whitney_p, u_distribution


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
