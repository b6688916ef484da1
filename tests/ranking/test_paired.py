"""Intervals and tests over queries agree with scipy's, and say what is and is not a difference."""

import numpy as np
import pytest
import scipy.stats

from fmbench import resampling
from fmbench.collection import Qrels
from fmbench.errors import UsageError
from fmbench.ranking import paired
from fmbench.ranking.measures import evaluate
from fmbench.ranking.paired import compare, differences
from fmbench.resampling import mean_intervals

pytest.importorskip("ir_measures", reason="pip install 'fmbench[retrieval]'")


def test_an_interval_is_scipys_percentile_bootstrap():
    values = np.random.default_rng(0).beta(0.5, 0.5, 200)
    ((low, high),) = mean_intervals(values[:, None])
    expected = scipy.stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=1)
    assert low == pytest.approx(expected.confidence_interval.low, abs=0.006)
    assert high == pytest.approx(expected.confidence_interval.high, abs=0.006)


def test_columns_see_the_same_resamples_whatever_the_block(monkeypatch):
    values = np.random.default_rng(1).random((50, 2))
    together = mean_intervals(values, seed=3)
    assert np.allclose(together, [mean_intervals(column[:, None], seed=3)[0] for column in values.T])
    assert not np.allclose(together, mean_intervals(values, seed=4))
    monkeypatch.setattr(resampling, "BLOCK", 777)
    assert np.allclose(together, mean_intervals(values, seed=3))


def test_constant_and_single_values():
    assert mean_intervals(np.full((5, 1), 0.25)) == [(0.25, 0.25)]
    assert mean_intervals(np.ones((1, 3))) is None


def p_of(changes):
    """The p of some changes of one metric."""
    (found,) = differences(np.zeros((len(changes), 1)), changes[:, None])
    return found.p


@pytest.mark.parametrize("count", [2, 5, 12])
def test_few_queries_are_tested_exactly(count):
    generator = np.random.default_rng(count)
    changes = generator.normal(0.3, 1, count)
    expected = scipy.stats.permutation_test(
        (changes, np.zeros(count)), lambda x, y, axis: np.mean(x - y, axis), permutation_type="samples", vectorized=True
    )
    padded = np.concatenate([changes, np.zeros(100)])  # queries that do not differ change nothing
    assert p_of(changes) == pytest.approx(expected.pvalue)
    assert p_of(padded) == pytest.approx(expected.pvalue)


def test_what_no_query_changes_is_kept_whole_however_many_have_nothing():
    few = np.array([0.5, 1.0, *[0.0] * 10])[:, None]
    (found,) = differences(few, few)
    assert (found.share, found.share_interval, found.interval, found.p) == (1, (1, 1), (0, 0), 1)


def test_many_queries_are_tested_by_drawing():
    generator = np.random.default_rng(7)
    changes = generator.normal(0.15, 1, 200)
    z = changes.sum() / np.sqrt((changes**2).sum())
    assert p_of(changes) == pytest.approx(2 * scipy.stats.norm.sf(abs(z)), abs=0.02)
    assert 0 < p_of(changes + 5) < 0.001


def test_equal_sums_in_another_order_are_as_extreme():
    # 0.1 + 0.2 + 0.3 and its other orders differ in the last bit: rounding must not make them less extreme
    assert p_of(np.array([0.1, 0.2, 0.3])) == 2 / 8


@pytest.mark.slow
def test_one_in_twenty_differences_is_found_where_there_is_none():
    generator = np.random.default_rng(3)
    a, b = generator.beta(0.5, 0.5, (2, 60, 600))
    found = differences(a, b)
    p = np.array([difference.p for difference in found])
    assert 0.025 < (p < 0.05).mean() < 0.075
    covered = np.mean([difference.interval[0] <= 0 <= difference.interval[1] for difference in found])
    assert 0.91 < covered < 0.97


@pytest.mark.parametrize(("queries", "share"), [(6, 1), (9, 0.5), (40, 0.3), (60, 1), (300, 0.05)])
def test_p_and_both_intervals_say_the_same(queries, share):
    generator = np.random.default_rng(queries)
    a = generator.beta(0.5, 0.5, (queries, 200))
    moved = (generator.random(a.shape) < share) * generator.normal(generator.uniform(0, 0.4, 200), 0.3, a.shape)
    found = differences(a, (a + moved).clip(0, 1))
    significant = np.array([difference.p < 0.05 for difference in found])
    assert 0 < significant.sum() < 200
    for difference, sure in zip(found, significant, strict=True):
        assert difference.interval[0] <= difference.mean <= difference.interval[1]
        assert sure == (not difference.interval[0] <= 0 <= difference.interval[1])
        if difference.share_interval is not None:
            assert sure == (not difference.share_interval[0] <= 1 <= difference.share_interval[1])
            assert difference.share_interval[0] <= difference.share <= difference.share_interval[1]


def test_an_interval_is_as_wide_as_the_bootstraps():
    generator = np.random.default_rng(11)
    a = generator.beta(0.5, 0.5, (200, 1))
    b = (a + generator.normal(0.02, 0.2, a.shape)).clip(0, 1)
    (found,) = differences(a, b)
    expected = scipy.stats.bootstrap(((b - a)[:, 0],), np.mean, method="percentile", n_resamples=20_000, rng=1)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval), abs=0.003)


def test_a_difference_has_its_mean_share_and_intervals():
    generator = np.random.default_rng(5)
    a = generator.uniform(0.2, 1, (300, 1))
    (found,) = differences(a, 0.9 * a)
    assert (found.n, found.mean, found.share) == (300, pytest.approx(-0.1 * a.mean()), pytest.approx(0.9))
    assert found.share_interval == pytest.approx((0.9, 0.9))  # what makes a query hard cancels
    assert found.interval[0] < found.mean < found.interval[1] < 0
    assert found.p == pytest.approx(1 / (paired.FLIPS + 1))
    (same,) = differences(a, a)
    assert (same.mean, same.interval, same.p, same.share) == (0, (0, 0), 1, 1)


def test_what_cannot_be_known_is_none():
    (found,) = differences(np.zeros((3, 1)), np.ones((3, 1)))
    assert (found.share, found.share_interval, found.mean) == (None, None, 1)
    (alone,) = differences(np.ones((1, 1)), np.zeros((1, 1)))
    assert (alone.interval, alone.share, alone.share_interval, alone.p) == (None, 0, None, 1)
    (five,) = differences(np.ones((5, 1)), np.full((5, 1), 0.5))
    assert (five.interval, five.share_interval, five.share, five.p) == (None, None, 0.5, 2 / 32)
    with pytest.raises(ValueError, match="are no pairs"):
        differences(np.ones((2, 1)), np.ones((3, 1)))
    with pytest.raises(ValueError, match="are no pairs"):
        differences(np.ones((0, 1)), np.ones((0, 1)))


def test_evaluations_are_compared_metric_by_metric(make_collection):
    run, judged = make_collection(1)
    better = {
        query: {name: judged[query].get(name, 0.0) for name in found} for query, found in run.items() if query in judged
    }
    a = evaluate(run, Qrels(judged), (1, 10))
    b = evaluate(better, Qrels(judged), (10,))
    found = compare(a, b)
    assert set(found) == {"ndcg_cut_10", "map_cut_10", "recall_10", "P_10", "mrr_cut_10", "success_10", "Rprec"}
    assert found["ndcg_cut_10"].mean == pytest.approx(b.means()["ndcg_cut_10"] - a.means()["ndcg_cut_10"])
    assert found["ndcg_cut_10"].p < 0.01 and found["ndcg_cut_10"].mean > 0
    assert compare(a, b) == found
    with pytest.raises(UsageError, match="judge 40 and 39 queries, and not the same ones"):
        compare(a, evaluate(run, Qrels({query: judged[query] for query in list(judged)[1:]})))
