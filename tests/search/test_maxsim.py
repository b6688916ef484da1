from fractions import Fraction

import numpy as np
import pytest
import torch

from fmbench.search import merge
from fmbench.search.maxsim import MaxSimSearcher, TokenVectors, max_sim


def texts_of(count, longest, seed, dimensions=8, least=1):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(least, longest + 1, count)
    vectors = generator.standard_normal((int(lengths.sum()), dimensions)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return TokenVectors(vectors, np.concatenate([[0], np.cumsum(lengths)]))


def by_definition(queries, texts):
    """Scores by exact fractions, rounded once."""
    rows = [[Fraction(float(x)) for x in row] for row in np.concatenate([queries.vectors, texts.vectors])]
    query_rows, text_rows = rows[: len(queries.vectors)], rows[len(queries.vectors) :]
    found = np.zeros((len(queries), len(texts)), dtype=np.float32)
    for i in range(len(queries)):
        for j in range(len(texts)):
            tokens = text_rows[texts.starts[j] : texts.starts[j + 1]]
            best = (
                max((sum(a * b for a, b in zip(row, token, strict=True)) for token in tokens), default=0)
                for row in query_rows[queries.starts[i] : queries.starts[i + 1]]
            )
            found[i, j] = np.float32(float(sum(best)))
    return found


def searched(queries, texts, k, names, sizes, ignore=False):
    searcher = MaxSimSearcher(queries, [f"q{place}" for place in range(len(queries))], k, "cpu", ignore)
    start = 0
    for size in sizes:
        part = slice(texts.starts[start], texts.starts[start + size])
        block = TokenVectors(texts.vectors[part], texts.starts[start : start + size + 1] - texts.starts[start])
        searcher.add(names[start : start + size], block)
        start += size
    return searcher.finish()


@pytest.mark.parametrize("k", [1, 5, 40])
def test_a_search_finds_the_best_by_exact_scores_and_equal_ones_by_id_whatever_the_blocks(k):
    queries, texts = texts_of(4, 5, 0), texts_of(20, 9, 1, least=0)
    texts = TokenVectors.joined([texts, texts])  # every text twice: equal scores
    names = [f"d{place * 7 % 40:02d}" for place in range(40)]
    scores = by_definition(queries, texts)
    whole = searched(queries, texts, k, names, [40])
    for sizes in ([40], [13, 1, 26], [5] * 8):
        found = searched(queries, texts, k, names, sizes)
        assert found.ids == whole.ids and all(map(np.array_equal, found.scores, whole.scores))
    for query in range(4):
        order = sorted(range(40), key=lambda text: (scores[query, text], names[text]), reverse=True)[:k]
        assert whole.ids[query] == [names[text] for text in order]
        assert np.array_equal(whole.scores[query], scores[query, order])


def test_parts_on_several_ranks_merge_to_the_whole():
    queries, texts = texts_of(3, 6, 2), texts_of(30, 8, 3)
    names = [str(place) for place in range(30)]
    parts = [
        searched(queries, TokenVectors(texts.vectors[texts.starts[a] :], texts.starts[a:] - texts.starts[a]), 6,
                 names[a:], [b - a])
        for a, b in ((0, 11), (11, 30))
    ]  # fmt: skip
    merged, whole = merge(parts, 6), searched(queries, texts, 6, names, [30])
    assert merged.ids == whole.ids and all(map(np.array_equal, merged.scores, whole.scores))


def test_a_text_with_the_querys_id_may_be_left_out_and_the_next_takes_its_place():
    queries, texts = texts_of(2, 4, 4), texts_of(6, 4, 5)
    names = ["q0", "q1", "a", "b", "c", "d"]
    every, others = (searched(queries, texts, 4, names, [6], ignore) for ignore in (False, True))
    for query in range(2):
        full = searched(queries, texts, 6, names, [6]).ids[query]
        assert others.ids[query] == [name for name in full if name != f"q{query}"][:4]
        assert every.ids[query] == full[:4]


def test_many_queries_are_multiplied_in_groups(monkeypatch):
    queries, texts = texts_of(9, 5, 6), texts_of(12, 7, 7)
    names = [str(place) for place in range(12)]
    whole = searched(queries, texts, 12, names, [12])
    for name, size in (("QUERY_TOKENS", 6), ("PRODUCTS", 40)):
        monkeypatch.setattr(f"fmbench.search.maxsim.{name}", size)
    assert searched(queries, texts, 12, names, [12]).ids == whole.ids


def test_max_sim_is_the_sum_over_query_tokens_of_the_best_token():
    texts = texts_of(6, 5, 8, least=0)
    query = texts_of(1, 4, 9)
    found = max_sim(*map(torch.from_numpy, (query.vectors, texts.vectors, texts.starts)))
    assert found.numpy() == pytest.approx(by_definition(query, texts)[0], abs=1e-6)


def test_the_first_text_with_nan_or_infinity_is_named():
    texts = texts_of(5, 3, 10)
    assert texts.first_text_without_number() is None
    texts.vectors[texts.starts[3]] = np.inf
    assert texts.first_text_without_number() == 3
