"""Which differences are called real, and how a mean of ratios is made."""

from array import array
from dataclasses import replace

import numpy as np
import pytest

from fmbench.process.comparing.comparison import GeometricMean
from fmbench.process.comparing.verdicts import Change, Measured, judge, measure_change
from fmbench.process.reading.row import Result

ROW = {"status": "OK", "statistics": None, "itl": 1.0, "error": None, "doubt": None}


PAIRS = 1000  # five times as many as the claim needs, so that no lucky draw proves it


def verdicts(generator, ratio, noise, shapes=PAIRS, count=100):
    """The verdicts on so many pairs of `count` repetitions: each alone, and all as one comparison."""
    changes = []
    for place in range(shapes):
        base, new = (generator.lognormal(np.log(10e6), noise, count).astype(int) for _ in range(2))
        results = [Result(ROW, "x", array("q", values.tolist())) for values in (base, (new * ratio).astype(int))]
        changes.append(measure_change((place,), *results, seeds=((0, place), (1, place)))[0])
    alone = [judge([change], 0.03)[0].verdict for change in changes]
    return alone, [change.verdict for change in judge(changes, 0.03)]


@pytest.mark.parametrize("noise", [0.03, 0.04, 0.05])
@pytest.mark.slow
def test_a_difference_is_found_and_none_is_invented(noise):
    generator = np.random.default_rng(round(noise * 100))
    for found in verdicts(generator, 1.0, noise):  # each pair alone, then all as one comparison
        assert found.count("regression") <= 0.05 * PAIRS
        assert found.count("improvement") <= 0.05 * PAIRS
    for found in verdicts(generator, 1.05, noise):
        assert found.count("regression") >= 0.95 * PAIRS
    for found in verdicts(generator, 1 / 1.05, noise):
        assert found.count("improvement") >= 0.95 * PAIRS


def test_where_test_and_interval_disagree_the_test_is_said_to_decide():
    measured = Measured(10.0, 100, None)
    change = Change((), measured, measured, ratio=1.05, interval=(1.01, 1.09), p=0.03)
    first, second = judge([change, change], 0.03)
    assert first.verdict == second.verdict == "no significant difference"
    assert first.reason == "the test decides, and its p is 0.06 over all shapes"
    assert judge([replace(change, interval=(0.99, 1.02), p=0.3)], 0.03)[0].reason is None


def test_a_geometric_mean():
    mean = GeometricMean()
    assert (mean.value, mean.interval) == (None, None)
    mean.add(0.5, np.full(2000, 0.5))
    mean.add(2.0, np.full(2000, 2.0))
    assert mean.value == pytest.approx(1) and mean.interval == pytest.approx((1, 1))
