import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmbench.encoder.batches import LEAST, batches, buckets, measure_budgets

LENGTHS = st.lists(st.integers(0, 300), min_size=1, max_size=80).map(lambda found: np.array(found, dtype=np.int64))


@given(LENGTHS, st.integers(1, 4096))
def test_every_text_is_in_one_batch_of_the_budget_longest_first(lengths: np.ndarray, budget: int) -> None:
    found = list(batches(lengths, budget))
    assert sorted(np.concatenate([batch.positions for batch in found])) == list(range(len(lengths)))
    for batch in found:
        assert batch.length == max(1, lengths[batch.positions].max())
        assert batch.rows == len(batch.positions)
        assert batch.rows == 1 or batch.rows * batch.length <= budget
    assert [batch.length for batch in found] == sorted((batch.length for batch in found), reverse=True)


@given(LENGTHS, st.integers(1, 4096), st.sampled_from([(300,), (64, 128, 300), (32, 320)]))
def test_with_fixed_lengths_each_length_has_one_shape(lengths: np.ndarray, budget: int, fixed: tuple[int, ...]) -> None:
    found = list(batches(lengths, budget, fixed))
    assert sorted(np.concatenate([batch.positions for batch in found])) == list(range(len(lengths)))
    assert {(batch.length, batch.rows) for batch in found} <= {(length, max(1, budget // length)) for length in fixed}
    for batch in found:
        longest = lengths[batch.positions].max()
        assert batch.length == min(length for length in fixed if length >= longest)
        assert len(batch.positions) <= batch.rows
    assert all(len(batch.positions) == batch.rows for batch in found[:-1])


def test_texts_of_one_length_keep_their_order() -> None:
    (batch,) = batches(np.array([5, 5, 7, 5]), 100)
    assert batch.positions.tolist() == [2, 0, 1, 3]


@pytest.mark.parametrize(
    ("step", "longest", "most", "lengths"),
    [
        (64, 256, 8, (64, 128, 192, 256)),
        (64, 250, 8, (64, 128, 192, 256)),
        (32, 256, 8, (32, 64, 96, 128, 160, 192, 224, 256)),
        (64, 512, 1, (512,)),
        (32, 512, 4, (32, 96, 192, 512)),
        (64, 8192, 8, (64, 128, 256, 512, 1024, 2048, 4096, 8192)),
    ],
)
def test_buckets_are_few_multiples_that_hold_the_longest(step, longest, most, lengths) -> None:
    assert buckets(step, longest, most) == lengths


def clocked(monkeypatch: pytest.MonkeyPatch, rate, fails_from: int | None = None):
    """A `run` for the search whose time is its own: tokens a second by the number of rows."""
    now = [0.0]
    monkeypatch.setattr("fmbench.encoder.batches.time.perf_counter", lambda: now[0])

    def run(some) -> None:
        if fails_from is not None and some[0].rows >= fails_from:
            raise MemoryError
        now[0] += max(batch.rows * batch.length / rate(batch.rows * batch.length) for batch in some)  # side by side

    return run


def test_the_search_finds_the_fastest_budget_and_stops_soon_after(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = set()

    def rate(tokens: int) -> float:
        tried.add(tokens)
        return {256: 50.0, 512: 70.0, 1024: 90.0}.get(tokens, 60.0)

    run = clocked(monkeypatch, rate)
    found = measure_budgets(np.full(512, 64), run, 1024)
    assert found == [pytest.approx({256: 50.0, 512: 70.0, 1024: 90.0, 2048: 60.0, 4096: 60.0})] * 4
    assert 8192 in measure_budgets(np.full(512, 64), run, 8192)[0]  # the platform's own is always tried
    tried.remove(8192)
    assert tried == {256, 512, 1024, 2048, 4096}


def test_the_search_ends_where_memory_or_texts_do(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = np.full(512, 64)
    assert max(measure_budgets(lengths, clocked(monkeypatch, lambda tokens: tokens, fails_from=32), 1024)[0]) == 1024
    assert max(measure_budgets(np.full(12, 64), clocked(monkeypatch, lambda tokens: tokens), 1024)[0]) == 512
    with pytest.raises(MemoryError):
        measure_budgets(lengths, clocked(monkeypatch, lambda tokens: tokens, fails_from=1), 1024)
    assert set(measure_budgets(np.full(2, 64), clocked(monkeypatch, lambda tokens: tokens), 1024)[0]) == {LEAST}


def test_what_is_computed_at_once_is_measured_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    run = clocked(monkeypatch, lambda tokens: 100.0)
    found = measure_budgets(np.full(64, 64), run, 1024, None, 2)  # of 4,096 tokens, 4 batches of 1,024
    assert found == [pytest.approx({256: 200.0, 512: 200.0, 1024: 200.0})] * 4
