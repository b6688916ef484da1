from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmbench.distributed import shares


@given(
    st.integers(0, 10**9), st.lists(st.floats(0, 100), min_size=1, max_size=9).filter(lambda weights: sum(weights) > 0)
)
def test_shares_follow_each_other_and_the_weights(count, weights):
    found = shares(count, weights)
    assert len(found) == len(weights)
    assert found[0].start == 0
    assert found[-1].stop == count
    assert all(left.stop == right.start for left, right in pairwise(found))
    for share, weight in zip(found, weights, strict=True):
        assert abs(len(share) - count * weight / sum(weights)) <= 1.001
        if weight == 0:
            assert len(share) == 0


def test_equal_and_empty_shares():
    assert shares(5, [1, 1, 1, 1]) == [range(1), range(1, 2), range(2, 4), range(4, 5)]
    assert shares(1, [1, 1, 1]) == [range(0), range(1), range(1, 1)]
    assert shares(10, [3, 1]) == [range(8), range(8, 10)]


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1]])
def test_weights_that_say_nothing(weights):
    with pytest.raises(ValueError, match="no shares by the weights"):
        shares(3, weights)
