"""Kendall's tau against scipy, rank-biased overlap against its definition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from fmbench.drivers.fidelity.drift import kendall_tau, rank_biased_overlap

lists = st.lists(st.sampled_from("abcdefghijkl"), unique=True, max_size=10)
full = st.permutations("abcdefgh")


def ranks(ranking, ids):
    return [ranking.index(name) if name in ranking else len(ranking) for name in ids]


@pytest.mark.filterwarnings("ignore:One or more sample arguments is too small")
@given(lists, lists)
def test_tau_is_scipys_with_what_is_missing_tied_behind(a, b):
    ids = sorted({*a, *b})
    expected = 1.0 if a == b else kendalltau(ranks(a, ids), ranks(b, ids), variant="b").statistic
    if expected == expected:  # scipy: NaN where one list says nothing
        assert kendall_tau(a, b) == pytest.approx(expected)
    else:
        assert kendall_tau(a, b) == 0.0


def test_tau_by_hand():
    assert kendall_tau("abcd", "abcd") == 1.0
    assert kendall_tau("abcd", "dcba") == -1.0
    assert kendall_tau("abcd", "abdc") == pytest.approx(4 / 6)
    assert kendall_tau("ab", "ac") == pytest.approx((2 - 1) / 3)  # b over c turns round; a stays above both
    assert kendall_tau("", "") == 1.0
    assert kendall_tau("ab", "") == 0.0


def expected_overlap(a, b, p, depth=2000):
    """The definition, far down: (1 - p) sum p^(d-1) A_d, with both lists going on as they are."""
    short, long = sorted((a, b), key=len)
    s, length = len(short), len(long)
    x = [len(set(short[:d]) & set(long[:d])) for d in range(length + 1)]
    shares = []
    for d in range(1, depth):
        if d <= length:
            extra = x[s] * (d - s) / s if d > s else 0
            shares.append((x[d] + extra) / d)
        else:
            shares.append(shares[-1])
    return (1 - p) * sum(p ** (d - 1) * share for d, share in enumerate(shares, start=1))


@given(lists.filter(len), lists.filter(len), st.sampled_from([0.5, 0.9, 0.98]))
def test_rbo_is_its_definition_carried_on(a, b, p):
    assert rank_biased_overlap(a, b, p) == pytest.approx(expected_overlap(a, b, p), abs=1e-9)
    assert rank_biased_overlap(a, b, p) == pytest.approx(rank_biased_overlap(b, a, p))


@given(full, full)
def test_rbo_of_the_same_ids_is_between_nothing_and_one(a, b):
    value = rank_biased_overlap(a, b)
    assert 0 < value <= 1 + 1e-12
    assert (value == pytest.approx(1.0, abs=1e-12)) == (a == b)


def test_rbo_by_hand():
    assert rank_biased_overlap("abc", "abc") == pytest.approx(1.0)
    assert rank_biased_overlap("abc", "xyz") == 0.0
    assert rank_biased_overlap("", "") == 1.0
    assert rank_biased_overlap("", "a") == 0.0
    # X = 0, 2: (1 - p) / p * (2 / 2 p^2) + 2 / 2 p^2 = (1 - p) p + p^2 = p
    assert rank_biased_overlap("ab", "ba", p=0.5) == pytest.approx(0.5)
    # The first rank counts most.
    assert rank_biased_overlap("abcdefghij", "bacdefghij") < rank_biased_overlap("abcdefghij", "abcdefghji")
