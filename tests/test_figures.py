import math

import pytest

from fmbench.figures import leading, plus_minus, ratio_text, significant


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.00"),
        (3.14159, "3.14"),
        (-3.14159, "-3.14"),
        (345, "345"),
        (1234567, "1230000"),
        (1234567.8, "1230000"),
        (-98765.4, "-98800"),
        (0.00123456, "0.00123"),
        (1.23456e-9, "0.00000000123"),
        (6.02214e15, "6020000000000000"),
        (1, "1.00"),
        (10, "10.0"),
        (100, "100"),
        (1000, "1000"),
        (0.1, "0.100"),
        (0.001, "0.00100"),
        (9.994, "9.99"),
        (9.996, "10.0"),
        (999.6, "1000"),
        (0.09996, "0.100"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (math.nan, "nan"),
    ],
)
def test_three_significant_digits_where_no_uncertainty_is_known(value: float, text: str) -> None:
    assert significant(value) == text


@pytest.mark.parametrize(("digits", "text"), [(1, "30"), (2, "35"), (3, "34.6"), (5, "34.568")])
def test_as_many_digits_as_are_asked_for(digits: int, text: str) -> None:
    assert significant(34.5678, digits=digits) == text


@pytest.mark.parametrize(
    ("value", "uncertainty", "text"),
    [
        (70.3516, 0.1861, "70.35"),  # a first digit of 1 keeps a second one
        (70.3516, 0.2861, "70.4"),
        (70.3516, 3, "70"),
        (70.3516, 30, "70"),
        (70.3516, 12, "70"),
        (-70.3516, 0.02, "-70.35"),
        (1234.5678, 0.001, "1234.5678"),
        (1234.5678, 100, "1230"),
        (0.00123456, 0.00002, "0.00123"),
        (1e9, 1e6, "1000000000"),
        (70.3516, 0.1, "70.35"),
        (70.3516, 1, "70.4"),
        (70.3516, 0.0999, "70.35"),
        (70.3516, 0.99999999, "70.4"),
        (70.3516, 0, "70.4"),
        (70.3516, None, "70.4"),
        (70.3516, math.inf, "70.4"),
        (70.3516, math.nan, "70.4"),
        (0, 0.5, "0.0"),
        (0, 50, "0"),
        (3, 5, "3"),
        (0.3, 5, "0.3"),
        (-0.04, 0.5, "-0.04"),
        (345, 2000, "300"),
        (math.inf, 1, "inf"),
    ],
)
def test_digits_end_where_the_uncertainty_begins(value: float, uncertainty: float | None, text: str) -> None:
    assert significant(value, uncertainty) == text


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (70.3516, 70.2, 70.5722, "70.35 ± 0.19"),
        (70.3516, 70.1, 70.7, "70.4 ± 0.3"),
        (70.3516, 70.1, 72.1, "70.4 ± 1.0"),
        (70.3516, 69.4, 71.32, "70.4 ± 1.0"),
        (70.3516, 60.8, 80, "70 ± 10"),
        (8.201507, 8.190122, 8.231945, "8.20 ± 0.02"),
        (8.2, 8.2, 8.2, "8.20"),
        (0.744357, 0.743611, 0.744877, "0.7444 ± 0.0006"),
        (123456, 120000, 126000, "123000 ± 3000"),
        (0.3, -4.7, 5.3, "0.3 ± 5"),
        (0, 0, 0, "0.00"),
        (0, -0.5, 0.5, "0.0 ± 0.5"),
        (-2.5, -2.6, -2.4, "-2.50 ± 0.10"),
        (70.3516, 0, math.inf, "70.4 ± inf"),
    ],
)
def test_a_median_and_half_of_its_interval(value: float, low: float, high: float, text: str) -> None:
    assert plus_minus(value, low, high) == text


@pytest.mark.parametrize("power", range(-30, 30))
def test_the_first_digit_of_a_power_of_ten(power: int) -> None:
    assert leading(float(f"1e{power}")) == leading(float(f"-3e{power}")) == power


def test_the_first_digit_of_nothing() -> None:
    assert leading(0) == 0


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (2.0, 1.29, 7.14, "2.00 (1.29 to 7.14)"),
        (1.49, 1.41, 1.63, "1.49 (1.41 to 1.63)"),  # ± 0.11 would begin at 1.38, and leave 1.62 out
        (2.911, 2.856, 2.926, "2.91 (2.86 to 2.93)"),
        (40.75, 16.54, 74.71, "40.75 (16.54 to 74.71)"),
        (2.0, 2.0, 2.0, "2.00"),
        (2.0, 2.0, 3.0, "2.00 (2.00 to 3.00)"),
    ],
)
def test_a_ratio_has_the_ends_of_its_interval(value: float, low: float, high: float, text: str) -> None:
    assert ratio_text(value, low, high) == text
