"""How sure a median is, with correlated repetitions too."""

import numpy as np
import pytest
import scipy.stats

from fmbench import resampling
from fmbench.pairs import Pair
from fmbench.rank_tests import mann_whitney_p
from fmbench.resampling import (
    detectable,
    effective_count,
    interval_ranks,
    median_interval,
    percentiles,
    resampled_medians,
    sides,
    widening,
)


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
        low, high = percentiles(resampled_medians(new, (1, trial)) / resampled_medians(base, (0, trial)))
        covered += low <= 1.05 <= high
    assert 0.92 <= covered / 400 <= 0.99


@pytest.mark.parametrize("count", [5, 20, 81])
def test_interval_ranks_are_those_of_a_resampled_median(count: int) -> None:
    """The closed form against brute force: resample the ranks themselves many times."""
    generator = np.random.default_rng(1)
    medians = np.median(generator.integers(0, count, (200_000, count)), axis=1)
    low, high = interval_ranks(count)
    assert abs(low - np.quantile(medians, 0.025)) <= 1
    assert abs(high - np.quantile(medians, 0.975)) <= 1


def test_interval_of_one_and_of_many() -> None:
    assert interval_ranks(1) == (0, 0)
    low, high = interval_ranks(100_000)
    assert 49_600 < low < 49_800 and 50_200 < high < 50_400


# -- correlated repetitions


def wave(generator: np.random.Generator, count: int, correlation: float) -> np.ndarray:
    """Durations near 1 with 5% of noise, each like the one before: an autoregression of the first order."""
    noise = generator.normal(0, (1 - correlation**2) ** 0.5, count)
    values = [generator.normal()]
    for step in noise[1:]:
        values.append(correlation * values[-1] + step)
    return np.exp(0.05 * np.array(values))


def regimes(generator: np.random.Generator, count: int, change: float) -> np.ndarray:
    """Durations near 1 with 3% of noise, or 20% more: the machine changes its mind with this probability."""
    slow = np.cumsum(generator.random(count) < change) + generator.integers(2)
    return np.exp(0.2 * (slow % 2) + generator.normal(0, 0.03, count))


@pytest.mark.parametrize(
    ("series", "parameter", "middle", "count", "too_sure"),
    [(wave, 0.6, 1.0, 80, 0.85), (wave, 0.8, 1.0, 400, 0.7), (regimes, 0.2, np.exp(0.1), 400, 0.9)],
)
def test_correlation_widens_the_interval_of_a_median(series, parameter, middle, count, too_sure):
    generator = np.random.default_rng(11)
    independent = honest = 0
    for _ in range(500):
        values = series(generator, count, parameter)
        ordered = np.sort(values)
        low, high = ordered[list(interval_ranks(count))]
        independent += low <= middle <= high
        (low, high), effective = median_interval(values, ordered)
        honest += low <= middle <= high
        assert effective <= count
    assert independent / 500 < too_sure
    assert 0.92 <= honest / 500 <= 0.985


def test_independent_values_are_seldom_taken_for_correlated_ones():
    generator = np.random.default_rng(3)
    found = [effective_count(sides(values, np.median(values))) for values in generator.normal(1, 0.1, (500, 80))]
    assert np.mean(np.array(found) == 80) > 0.8 and np.mean(found) > 75


def test_so_many_are_worth_one():
    """That of an autoregression is (1 + r) / (1 - r): 9 for 0.8; of a million values, by way of batches."""
    values = np.log(wave(np.random.default_rng(5), 300_000, 0.8))
    assert effective_count(values) == pytest.approx(300_000 / 9, rel=0.1)
    assert effective_count(values[:60_000]) == pytest.approx(60_000 / 9, rel=0.1)


def test_the_widening_is_that_of_students_quantile():
    for effective in (4.0, 11.0, 31.0):
        student = scipy.stats.t.ppf(0.975, effective - 1) / scipy.stats.norm.ppf(0.975)
        assert widening(100, effective) == pytest.approx(np.sqrt(100 / effective) * student, rel=0.04)
    assert widening(100, 100) == 1 < widening(100, 99)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0] * 7, [3.0] * 40, [1.0, 2.0] * 20])
def test_too_few_and_too_even_values_are_independent(values):
    assert effective_count(np.array(values)) == len(values)


def test_a_ratio_of_two_busy_series_and_its_test_are_not_too_sure():
    generator = np.random.default_rng(8)
    missed, significant = np.zeros(2), np.zeros(2)
    for trial in range(300):
        one, other = wave(generator, 80, 0.6), wave(generator, 80, 0.6)
        wider = [widening(80, effective_count(sides(values, np.median(values)))) for values in (one, other)]
        for honest, (here, there) in enumerate([(1.0, 1.0), wider]):
            samples = resampled_medians(one, (0, trial), here) / resampled_medians(other, (1, trial), there)
            low, high = percentiles(samples)
            missed[honest] += not low <= 1 <= high
            significant[honest] += mann_whitney_p(one, other, (here, there)) < 0.05
    assert missed[0] > 45 and significant[0] > 45
    assert missed[1] <= 24 and significant[1] <= 24


@pytest.mark.slow
def test_what_can_be_seen_is_seen_in_four_of_five_cases():
    """By hand: the error is ln(1.02 / 0.98) / 2 / 1.96 = 1.02%, and 2.576 + 0.842 of it are 3.5%."""
    assert detectable((0.98, 1.02), 0.01) == pytest.approx(0.0355, abs=1e-4)
    generator = np.random.default_rng(4)
    one, other = generator.lognormal(0, 0.05, (2, 300, 100))
    share = np.median([Pair.of(a, b).detectable for a, b in zip(one, other, strict=True)])
    found = [Pair.of(a, b * (1 + share)).verdict for a, b in zip(one, other, strict=True)]
    assert 0.7 <= found.count("slower") / 300 <= 0.93


@pytest.mark.parametrize("count", [resampling.MANY - 1, resampling.MANY])
def test_the_interval_of_many_is_that_of_the_binomial(count, monkeypatch):
    exact = interval_ranks.__wrapped__(count)
    monkeypatch.setattr(resampling, "MANY", 1000)
    approximate = interval_ranks.__wrapped__(count)
    assert max(abs(one - other) for one, other in zip(exact, approximate, strict=True)) <= 1
