import numpy as np
import pytest

from fmbench import resampling
from fmbench.pairs import Pair
from fmbench.resampling import paired_ratio_interval

TRIALS = 300
REPETITIONS = 200
NO_DIFFERENCE = "no significant difference"


def noisy(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return durations of 10 ms with 5% of noise, in seconds; one in fifty takes three times as long."""
    spikes = np.where(generator.random(shape) < 0.02, 3.0, 1.0)
    return 0.010 * generator.lognormal(0, 0.05, shape) * spikes


def verdicts(seed: int, factor: float) -> list[str]:
    """Return the verdicts on pairs of which the second takes `factor` times as long."""
    generator = np.random.default_rng(seed)
    a, b = noisy(generator, (2, TRIALS, REPETITIONS))
    return [Pair.of(a[trial], b[trial] * factor, seed=trial).verdict for trial in range(TRIALS)]


# -- ratio, interval, verdict


def test_the_ratio_is_that_of_the_medians() -> None:
    a = [90.0, 80.0, *[10.0, 12.0, 14.0, 10.0, 12.0, 14.0, 10.0, 16.0]]  # the first fifth is left out
    b = [10.0, 10.0, *[9.0, 9.0, 9.0, 6.0, 6.0, 9.0, 9.0, 30.0]]
    found = Pair.of(a, b)
    assert (found.n, found.ratio) == (8, 9.0 / 12.0)


def test_a_constant_factor_is_known_exactly() -> None:
    generator = np.random.default_rng(2)
    a = noisy(generator, (100,))
    found = Pair.of(a, a * 0.5)
    assert (found.ratio, found.interval) == (pytest.approx(0.5), pytest.approx((0.5, 0.5)))
    assert found.verdict == "faster"


@pytest.mark.parametrize(("factor", "verdict"), [(0.8, "faster"), (1.25, "slower"), (1.0, NO_DIFFERENCE)])
def test_the_verdict_says_what_b_is(factor: float, verdict: str) -> None:
    generator = np.random.default_rng(4)
    a, b = noisy(generator, (2, 100))
    found = Pair.of(a, b * factor)
    assert found.verdict == verdict
    assert found.interval[0] <= found.ratio <= found.interval[1]
    assert found.ratio == pytest.approx(factor, rel=0.03)
    assert (found.p < 0.01) == (verdict != NO_DIFFERENCE)


def test_few_correlated_pairs_still_tell_what_is_beyond_doubt() -> None:
    steps = np.arange(36)
    a, b = 10 + np.sin(steps / 3), 10 + np.sin(steps / 4)  # each goes its own way, slowly
    there, same = Pair.of(a, 5 * b), Pair.of(a, b)
    assert (there.verdict, same.verdict) == ("slower", NO_DIFFERENCE)
    assert there.p < 1e-6 < 0.01 < same.p


def test_what_disturbs_both_of_a_pair_cancels() -> None:
    generator = np.random.default_rng(5)
    machine = generator.lognormal(0, 0.3, 200)  # a machine that is now fast, now slow
    a = machine * generator.lognormal(0, 0.005, 200)
    b = machine * generator.lognormal(0, 0.005, 200) * 1.02
    low, high = Pair.of(a, b).interval
    alone_low, alone_high = Pair.of(a, generator.permutation(b)).interval
    assert high - low < (alone_high - alone_low) / 2
    assert Pair.of(a, b).p < 1e-6 < Pair.of(a, generator.permutation(b)).p


def test_exchanging_the_variants_turns_the_answer_round() -> None:
    generator = np.random.default_rng(6)
    a, b = noisy(generator, (2, 60))
    there, back = Pair.of(a, b * 1.2), Pair.of(b * 1.2, a)
    assert there.ratio == pytest.approx(1 / back.ratio)
    assert there.interval == pytest.approx((1 / back.interval[1], 1 / back.interval[0]))
    assert there.p == pytest.approx(back.p)
    assert (there.verdict, back.verdict) == ("slower", "faster")


def test_the_unit_changes_nothing() -> None:
    generator = np.random.default_rng(7)
    a, b = np.rint(noisy(generator, (2, 60)) * 1e9)
    assert Pair.of(a.tolist(), b.tolist()).ratio == pytest.approx(Pair.of(a / 1e6, b / 1e6).ratio)
    assert Pair.of(a.astype(int).tolist(), b.astype(int).tolist()) == Pair.of(a, b)


def test_the_same_seed_gives_the_same_interval() -> None:
    generator = np.random.default_rng(8)
    a, b = noisy(generator, (2, 50))
    assert Pair.of(a, b, seed=3) == Pair.of(a, b, seed=3)
    assert Pair.of(a, b, seed=3).interval != Pair.of(a, b, seed=4).interval
    assert Pair.of(a, b, seed=3).p == Pair.of(a, b, seed=4).p


def test_resampling_in_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(9)
    a, b = noisy(generator, (2, 50))
    whole = paired_ratio_interval(a, b, seed=0)
    monkeypatch.setattr(resampling, "BLOCK", 50 * 75)  # 2000 resamples: six blocks and a part of one
    assert paired_ratio_interval(a, b, seed=0) == whole
    monkeypatch.setattr(resampling, "BLOCK", 1)
    assert paired_ratio_interval(a, b, seed=0) == whole


# -- how often it is wrong


@pytest.mark.slow
def test_identical_variants_are_seldom_called_different() -> None:
    found = verdicts(seed=1, factor=1.0)
    assert TRIALS - found.count(NO_DIFFERENCE) <= 0.03 * TRIALS


@pytest.mark.slow
def test_three_percent_are_found() -> None:
    assert verdicts(seed=2, factor=1.03).count("slower") >= 0.9 * TRIALS


# -- too little to go by


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([], [], "0 and 0 repetitions are no pairs"),
        ([1.0], [], "1 and 0 repetitions are no pairs"),
        ([1.0] * 10, [1.0] * 20, "8 and 16 repetitions are no pairs"),
        ([1.0] * 10, [*[1.0] * 9, 0.0], "a repetition took no time"),
        ([0.0] * 10, [1.0] * 10, "a repetition took no time"),
    ],
)
def test_what_is_no_pair_is_refused(a: list[float], b: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pair.of(a, b)


def test_a_time_of_zero_that_is_left_out_does_no_harm() -> None:
    assert Pair.of([0.0, *[2.0] * 9], [0.0, *[1.0] * 9]).ratio == 0.5


def test_eight_pairs_can_prove_something() -> None:
    a = [5.0, 5.0, *(2.0 + step / 10 for step in range(8))]
    assert Pair.of(a, [value / 2 for value in a]).verdict == "faster"


def test_a_difference_that_memory_layout_makes_is_negligible() -> None:
    a = [1.0 + step / 1e6 for step in range(100)]
    assert Pair.of(a, [value * 1.004 for value in a]).verdict == NO_DIFFERENCE
    assert Pair.of(a, [value * 1.006 for value in a]).verdict == "slower"


@pytest.mark.parametrize("kept", [1, 2, 5, 7])
def test_few_pairs_prove_nothing(kept: int) -> None:
    left_out = 0 if kept == 1 else 1
    a = [5.0] * left_out + [2.0 + step / 10 for step in range(kept)]
    found = Pair.of(a, [value / 2 for value in a])
    assert (found.n, found.ratio, found.verdict) == (kept, 0.5, None)


def test_identical_durations_differ_in_nothing() -> None:
    found = Pair.of([3.0] * 20, [3.0] * 20)
    assert (found.ratio, found.interval, found.p, found.verdict) == (1.0, (1.0, 1.0), 1.0, NO_DIFFERENCE)


def test_a_verdict_that_the_interval_contradicts_says_which_one_decides() -> None:
    generator = np.random.default_rng(1)
    found = []
    for _ in range(200):
        a, b = generator.normal(1, 0.02, 30), generator.normal(1.015, 0.02, 30)
        found.append(Pair.of(list(a), list(b)))
    for pair in found:
        contradicted = pair.verdict == "no significant difference" and not pair.interval[0] <= 1 <= pair.interval[1]
        assert (pair.reason is not None) == contradicted
        if pair.reason is not None:
            assert f"p is {pair.p:.2g}: not below 1%" in pair.reason
    assert 10 < sum(pair.reason is not None for pair in found) < 190
    tiny = [1.0 + 1e-5 * place for place in range(40)]
    assert Pair.of(tiny, [1.002 * value for value in tiny]).reason == "not above 0.5%"
