import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmbench import stats

numbers = st.lists(st.floats(0, 1e6), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("count", "dropped"), [(1, 0), (2, 1), (3, 1), (5, 1), (9, 1), (10, 2), (14, 2), (15, 3), (100, 20)]
)
def test_the_first_fifth_is_dropped(count: int, dropped: int) -> None:
    assert stats.dropped(count) == dropped
    assert len(stats.settled(list(range(count)))) == count - dropped


@given(numbers)
def test_median_is_the_standard_librarys(values: list[float]) -> None:
    assert stats.median(values) == pytest.approx(statistics.median(values), rel=1e-12)


@given(numbers, st.floats(0, 1))
def test_quantile_is_numpys(values: list[float], share: float) -> None:
    assert stats.quantile(sorted(values), share) == pytest.approx(float(np.quantile(values, share)), rel=1e-9, abs=1e-9)


def test_median_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no values"):
        stats.median([])


def test_deviation() -> None:
    assert stats.deviation([1, 2, 3, 4, 100], 3) == 1


@pytest.mark.parametrize(("distance", "far"), [(5.189, False), (5.190, True)])  # 3.5 / 0.6745 = 5.18903
def test_outliers_are_far_from_the_median(distance: float, far: bool) -> None:
    assert (distance > stats.outlier_distance(1)) == far
