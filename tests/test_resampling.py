"""The bootstrap of a median without drawing samples is the bootstrap of a median."""

import numpy as np
import pytest
import scipy.stats

from fmbench.resampling import GeometricMean, interval, resampled_medians


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9, 10, 80])
def test_medians_are_distributed_as_those_of_drawn_samples(count):
    generator = np.random.default_rng(count)
    values = generator.lognormal(0, 0.3, count)
    drawn = np.median(values[generator.integers(0, count, (20_000, count))], axis=1)
    found = resampled_medians(values, (1, 2))
    assert set(np.round(found, 12)) <= set(np.round((values[:, None] + values) / 2, 12).flat)
    assert scipy.stats.ks_2samp(found, drawn).pvalue > 0.001


def test_the_seed_decides():
    values = np.arange(50.0)
    assert (resampled_medians(values, (1, 2)) == resampled_medians(values, (1, 2))).all()
    assert (resampled_medians(values, (1, 2)) != resampled_medians(values, (1, 3))).any()


def test_an_interval_of_a_ratio_covers_the_truth():
    generator = np.random.default_rng(0)
    covered = 0
    for trial in range(400):
        base, new = generator.lognormal(0, 0.05, 80), generator.lognormal(np.log(1.05), 0.05, 80)
        low, high = interval(resampled_medians(new, (1, trial)) / resampled_medians(base, (0, trial)))
        covered += low <= 1.05 <= high
    assert 0.92 <= covered / 400 <= 0.99


def test_a_geometric_mean():
    mean = GeometricMean()
    assert (mean.value, mean.interval) == (None, None)
    mean.add(0.5, np.full(2000, 0.5))
    mean.add(2.0, np.full(2000, 2.0))
    assert mean.value == pytest.approx(1) and mean.interval == pytest.approx((1, 1))
