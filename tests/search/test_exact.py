import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fmbench.search.exact import ExactScores

from .brute_force import exact

WIDE = st.floats(-1e9, 1e9, width=32)
FEW = st.sampled_from([0.0, 1.0, -1.0, 0.1, -0.1, 2.0**-30, 1e8])


@given(arrays(np.float32, (2, 9), elements=st.one_of(WIDE, FEW)), st.sampled_from(["dot", "cosine"]))
@settings(max_examples=300)
def test_a_score_is_that_of_rational_arithmetic(pair, similarity):
    left, right = pair
    score = ExactScores(left[None], similarity).of(np.array([0]), right[None], np.array([0]), 1)
    assert score.dtype == np.float32
    assert float(score[0]) == exact(left, right, similarity)


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_orthogonal_vectors_score_zero_and_nothing_near_it(similarity):
    """Sums that cancel leave float64 undecided; the exact sum decides."""
    generator = np.random.default_rng(0)
    left = generator.standard_normal((50, 64)).astype(np.float32)
    right = np.concatenate([left[:, 32:], -left[:, :32]], axis=1)  # every product has its opposite
    scores = ExactScores(left, similarity).of(np.arange(50), right, np.arange(50), 1)
    assert (scores == 0).all()
    assert not np.signbit(scores).any()


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_scores_do_not_depend_on_company_or_threads(similarity):
    generator = np.random.default_rng(0)
    queries, documents = (generator.standard_normal((count, 100)).astype(np.float32) for count in (7, 900))
    query, row = generator.integers(0, 7, 2000), generator.integers(0, 900, 2000)
    scores = ExactScores(queries, similarity)
    together = scores.of(query, documents, row, 1)
    assert (scores.of(query, documents, row, 3) == together).all()
    for start, end in ((0, 1), (5, 6), (100, 228), (100, 229)):
        assert (scores.of(query[start:end], documents, row[start:end], 1) == together[start:end]).all()
