from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmbench.errors import FmbenchError
from fmbench.search import TopK, merge

HITS = st.lists(st.tuples(st.sampled_from([-0.5, 0.0, 0.25, 1.0]), st.integers(0, 50)), max_size=40)


@given(HITS, st.integers(1, 12), st.lists(st.integers(0, 40), max_size=5))
def test_merging_is_sorting_everything(pairs, k, cuts):
    hits = [(score, f"d{number}", row) for row, (score, number) in enumerate(pairs)]
    bounds = [0, *sorted(cuts), len(hits)]
    parts = [sorted(hits[start:end], reverse=True)[:k] for start, end in pairwise(bounds)]
    merged = merge([TopK.of(["q"], [part]) for part in parts], k)
    assert merged.hits(0) == sorted(hits, reverse=True)[:k]


def test_equal_scores_go_by_document_id_descending():
    found = merge([TopK.of(["q"], [[(1.0, "9", 0)]]), TopK.of(["q"], [[(1.0, "é", 1), (1.0, "10", 2)]])], 3)
    assert found.ids == [["é", "9", "10"]]


def test_what_cannot_be_merged():
    with pytest.raises(FmbenchError, match="different queries"):
        merge([TopK.of(["q"], [[]]), TopK.of(["p"], [[]])], 3)
    with pytest.raises(ValueError, match="nothing"):
        merge([], 3)


def test_a_run_for_the_metrics():
    found = TopK.of(["q", "p"], [[(1.0, "a", 0), (0.5, "b", 3)], []])
    assert found.run() == {"q": {"a": 1.0, "b": 0.5}, "p": {}}
    assert found.scores[0].dtype == np.float32
    assert found.positions[0].tolist() == [0, 3]


def test_a_query_is_none_of_its_own_results():
    found = TopK.of(["b", "q"], [[(1.0, "a", 0), (0.5, "b", 3), (0.2, "c", 1)], [(1.0, "a", 0), (0.5, "b", 3)]])
    assert found.others(2).ids == [["a", "c"], ["a", "b"]]
    assert found.others(2).positions[0].tolist() == [0, 1]
    assert found.others(1).ids == [["a"], ["a"]]
    assert found.others(9).run() == {"b": {"a": 1.0, "c": np.float32(0.2)}, "q": {"a": 1.0, "b": 0.5}}
