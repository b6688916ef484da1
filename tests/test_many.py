"""Very many repetitions are summarised in blocks, and give the figures that fewer give as Python's own numbers."""

import random

import pytest

from fmbench import many, stats, summary

EXACT = ("n", "dropped", "cold", "min", "p50", "p90", "p95", "p99", "mean", "mad", "interval", "drift", "outliers")


def noisy(count, drift=0.0, ties=1):
    draw = random.Random(count)
    return [
        int(3_700_000 * draw.lognormvariate(0, 0.03) * (1 + drift * place / count)) // ties * ties
        for place in range(count)
    ]


@pytest.mark.parametrize("values", [
    noisy(9), noisy(10), noisy(1000), noisy(1001), noisy(1002), noisy(5000, drift=0.05), noisy(4001, ties=100_000),
    [7] * 100, [10**12, *noisy(500)],
], ids=len)  # fmt: skip
def test_blocks_give_the_same_figures(values, monkeypatch):
    monkeypatch.setattr(many, "BLOCK", 64)
    expected, found = summary.figures_of(values), many.figures_of(values)
    assert list(found.keys() - expected.keys()) == []
    assert {name: found[name] for name in EXACT} == {name: expected[name] for name in EXACT}
    assert found["drift_p"] == pytest.approx(expected["drift_p"], rel=1e-9)


def test_many_values_are_summarised_in_blocks(monkeypatch):
    values = noisy(3000, drift=0.08)
    expected = summary.Summary.of(values, [1, 2000], 3.0)
    monkeypatch.setattr(stats, "MANY", 2000)
    monkeypatch.setattr(summary, "figures_of", None)
    found = summary.Summary.of(values, [1, 2000], 3.0)
    assert (found.reason, found.recompiled, found.preemptions) == (expected.reason, 1, 3.0)
    assert found.p50 == expected.p50


@pytest.mark.parametrize("count", [stats.MANY - 1, stats.MANY])
def test_the_interval_of_many_is_that_of_the_binomial(count, monkeypatch):
    exact = stats.interval_ranks.__wrapped__(count)
    monkeypatch.setattr(stats, "MANY", 1000)
    approximate = stats.interval_ranks.__wrapped__(count)
    assert max(abs(one - other) for one, other in zip(exact, approximate, strict=True)) <= 1
