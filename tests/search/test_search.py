from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fmbench.errors import FmbenchError, UsageError
from fmbench.search import Block, Index, TopK, merge, search
from fmbench.search import questions as questions_module
from fmbench.search import searcher as searcher_module
from fmbench.search.torch_engine import TorchEngine

from .brute_force import brute_force

SIMILARITIES = ["dot", "cosine"]


def blocks_of(ids, vectors, size):
    for start in range(0, len(ids), size):
        yield Block(ids[start : start + size], vectors[start : start + size])


def names(count, seed=0):
    """Ids whose order is not that of the rows."""
    return [f"d{number}" for number in np.random.default_rng(seed).permutation(count)]


def hits(found: TopK):
    return [found.hits(query) for query in range(len(found.query_ids))]


def run(engine, queries, ids, vectors, k, similarity="dot", size=None):
    query_ids = [f"q{number}" for number in range(len(queries))]
    return search(
        queries,
        query_ids,
        blocks_of(ids, vectors, size or max(len(ids), 1)),
        k,
        similarity,
        engine=engine,
        ignore_identical_ids=False,
    )


NUMBERS = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 3.0, 1e-3, 0.1, 2.0**-20, 1000.0, 60000.0])


@st.composite
def problems(draw):
    """Small searches with many equal vectors, and every size that matters near its limits."""
    dimensions = draw(st.integers(1, 5))
    vector = st.lists(NUMBERS, min_size=dimensions, max_size=dimensions)
    pool = draw(st.lists(vector, min_size=1, max_size=4))
    dtype = draw(st.sampled_from([np.float16, np.float32]))
    documents = draw(st.lists(st.one_of(st.sampled_from(pool), vector), max_size=25))
    queries = draw(st.lists(st.one_of(st.sampled_from(pool), vector), max_size=40))
    return {
        "queries": np.array(queries, dtype=np.float32).reshape(-1, dimensions),
        "vectors": np.array(documents, dtype=dtype).reshape(-1, dimensions),
        "k": draw(st.integers(1, 30)),
        "similarity": draw(st.sampled_from(SIMILARITIES)),
        "size": draw(st.integers(1, 30)),
        "rows": draw(st.integers(1, 12)),
        "seed": draw(st.integers(0, 5)),
    }


@given(problem=problems())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_engine_finds_what_brute_force_finds(engine, problem):
    engine.rows, engine.queries_at_once = problem["rows"], 35
    ids = names(len(problem["vectors"]), problem["seed"])
    found = run(
        engine, problem["queries"], ids, problem["vectors"], problem["k"], problem["similarity"], problem["size"]
    )
    wanted = brute_force(problem["queries"], ids, problem["vectors"], problem["k"], problem["similarity"])
    assert hits(found) == wanted
    assert not any(np.signbit(scores[scores == 0]).any() for scores in found.scores)


def corpus(kind, count, dimensions, seed=0):
    """Corpora that are hard on rough scores, each in its way."""
    generator = np.random.default_rng(seed)
    noise = generator.standard_normal((count, dimensions)).astype(np.float32)
    if kind == "duplicates":
        noise = noise[generator.integers(0, max(count // 10, 1), count)]
    if kind == "crowded":  # cosines near 0.99, as of a model without training
        noise = noise / np.sqrt(dimensions) + 10 * np.ones(dimensions, np.float32) / np.sqrt(dimensions)
    if kind == "identical":
        noise[:] = noise[0]
    if kind == "negative":
        noise = -np.abs(noise)
    if kind == "lengths":
        noise *= np.exp(generator.standard_normal((count, 1)) * 3)
    if kind == "sparse":
        noise *= generator.random((count, dimensions)) < 0.05
    return noise.astype(np.float32)


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("kind", ["random", "duplicates", "crowded", "identical", "negative", "lengths", "sparse"])
def test_all_engines_and_sizes_of_blocks_agree_with_float64(engines, kind, similarity):
    vectors, queries = corpus(kind, 3000, 48), np.abs(corpus(kind, 40, 48, seed=1))
    if kind == "random":
        vectors = vectors.astype(np.float16)
    ids = names(3000)
    results = [
        hits(run(engine, queries, ids, vectors, 20, similarity, size)) for engine in engines for size in (3000, 700)
    ]
    assert all(result == results[0] for result in results)
    left, right = queries.astype(np.float64), vectors.astype(np.float64)
    scores = left @ right.T
    if similarity == "cosine":
        lengths = np.linalg.norm(left, axis=1)[:, None] * np.linalg.norm(right, axis=1)
        scores = np.divide(scores, lengths, out=np.zeros_like(scores), where=lengths > 0)
    for row, found in zip(scores, results[0], strict=True):
        assert [score for score, _, _ in found] == pytest.approx(np.sort(row)[::-1][:20], rel=1e-6, abs=1e-7)
        assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("k", [1, 7, 100])
def test_parts_of_a_corpus_merge_to_the_same(engine, k):
    vectors, queries, ids = corpus("duplicates", 400, 16), corpus("duplicates", 5, 16, seed=2), names(400)
    whole = run(engine, queries, ids, vectors, k)
    cuts = [0, 0, 13, 200, 399, 400]
    parts = [
        search(
            queries,
            whole.query_ids,
            [Block(ids[start:end], vectors[start:end])],
            k,
            engine=engine,
            ignore_identical_ids=False,
            first=start,
        )
        for start, end in pairwise(cuts)
    ]
    assert hits(merge(parts, k)) == hits(whole)


def test_blocks_that_do_not_fit_in_memory_are_settled_one_by_one(engine, monkeypatch):
    vectors, queries, ids = corpus("duplicates", 900, 16), corpus("duplicates", 5, 16, seed=2), names(900)
    whole = run(engine, queries, ids, vectors, 10)
    settled = []
    settle = questions_module.Questions.settle
    monkeypatch.setattr(
        questions_module.Questions,
        "settle",
        lambda self, held, threads: (settled.append(len(held)), settle(self, held, threads)),
    )
    monkeypatch.setattr(searcher_module, "OWN_BYTES", 100 * 16 * 4)
    assert hits(run(engine, queries, ids, vectors, 10, size=60)) == hits(whole)
    assert max(settled) == 2
    monkeypatch.setattr(searcher_module, "CANDIDATES", 30)
    assert hits(run(engine, queries, ids, vectors, 10, size=60)) == hits(whole)


def test_a_mapped_file_counts_as_no_memory(tmp_path):
    np.save(tmp_path / "vectors.npy", corpus("random", 10, 4))
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    assert searcher_module.own_bytes(mapped[2:7]) == 0
    assert searcher_module.own_bytes(np.array(mapped)) == 160


def test_read_only_vectors_are_searched_without_a_warning(engine, recwarn):
    vectors = corpus("random", 50, 8)
    vectors.flags.writeable = False
    run(engine, vectors[:2], names(50), vectors, 3)
    assert not [str(warning.message) for warning in recwarn if "writable" in str(warning.message)]


def test_fewer_documents_than_k(engine):
    found = run(engine, np.eye(2, dtype=np.float32), ["b", "a"], np.eye(2, dtype=np.float32), 5)
    assert found.ids == [["b", "a"], ["a", "b"]]


@pytest.mark.parametrize("blocks", [[], [Block([], np.empty((0, 3), np.float32))]])
def test_an_empty_corpus(engine, blocks):
    found = search(np.ones((2, 3), np.float32), ["x", "y"], blocks, 5, engine=engine, ignore_identical_ids=False)
    assert found.query_ids == ("x", "y")
    assert found.ids == [[], []]


def test_no_queries(engine):
    found = run(engine, np.empty((0, 3), np.float32), ["a"], np.ones((1, 3), np.float32), 5)
    assert found == TopK((), [], [], [])


def test_other_types_are_rounded_to_float32(engine):
    vectors = np.array([[0.1, 0.2], [0.3, 0.4]])
    found = run(engine, vectors, ["a", "b"], vectors, 2)
    assert hits(found) == hits(run(engine, vectors.astype(np.float32), ["a", "b"], vectors.astype(np.float32), 2))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_vectors_that_are_no_numbers_are_named(engine, bad, dtype):
    vectors = np.ones((9, 4), dtype)
    vectors[[5, 7], 2] = bad
    ids = [f"d{number}" for number in range(9)]
    with pytest.raises(UsageError, match=r"document 'd5' \(and of 1 more\) holds NaN or infinity"):
        run(engine, np.ones((1, 4), np.float32), ids, vectors, 3, size=4 if dtype == np.float32 else 9)
    with pytest.raises(UsageError, match="the vector of query 'q1' holds NaN"):
        run(engine, np.array([[1.0] * 4, [bad] * 4], np.float32), ids, np.ones((9, 4), dtype), 3)


def test_vectors_too_long_for_float32_are_named(engine):
    with pytest.raises(UsageError, match="document 'a' is longer than 1e"):
        run(engine, np.ones((1, 4), np.float32), ["a"], np.full((1, 4), 1e30, np.float32), 3)


def test_very_short_vectors_keep_their_cosine(engine):
    vectors = np.array([[1e-30, 0], [0, 1e-40], [1e-30, 1e-30], [0, 0]], np.float32)
    found = run(engine, np.array([[1e-25, 0]], np.float32), ["a", "b", "c", "d"], vectors, 4, "cosine")
    assert found.ids == [["a", "c", "d", "b"]]
    assert found.scores[0].tolist() == pytest.approx([1, 2**-0.5, 0, 0])


def test_dimensions_that_differ(engine):
    with pytest.raises(UsageError, match="document vectors have 3 dimensions and the query vectors 4"):
        run(engine, np.ones((1, 4), np.float32), ["a"], np.ones((1, 3), np.float32), 3)
    with pytest.raises(UsageError, match="document vectors have 3 dimensions and the query vectors 4"):
        Index([Block(["a"], np.ones((1, 3), np.float32))], "dot", engine).search(np.ones((1, 4), np.float32), ["q"], 1)


@pytest.mark.parametrize("vectors", [np.ones((2, 3), np.float32), np.ones(3, np.float32)])
def test_one_row_an_id(engine, vectors):
    with pytest.raises(UsageError, match="one row an id"):
        search(
            np.ones((1, 3), np.float32), ["q"], [Block(["a"], vectors)], 3, engine=engine, ignore_identical_ids=False
        )
    with pytest.raises(UsageError, match="one row an id"):
        search(vectors, ["q"], [], 3, engine=engine, ignore_identical_ids=False)


def test_k_and_similarity_are_checked(engine):
    with pytest.raises(UsageError, match="k = 0"):
        run(engine, np.ones((1, 3), np.float32), [], np.ones((0, 3), np.float32), 0)
    with pytest.raises(UsageError, match="similarity 'l2': known are dot and cosine"):
        run(engine, np.ones((1, 3), np.float32), [], np.ones((0, 3), np.float32), 1, "l2")


class WrongEngine(TorchEngine):
    name = "wrong"

    def place_documents(self, vectors, lengths):
        return super().place_documents(vectors * np.float32(1.001), lengths)


def test_a_device_that_multiplies_badly_is_found_out():
    vectors = corpus("random", 500, 16)
    with pytest.raises(FmbenchError, match="wrong multiplies less exactly than it says"):
        run(WrongEngine(), vectors[:4], names(500), vectors, 5)


def test_bfloat16_gives_way_to_float32_where_it_is_too_rough(monkeypatch):
    from fmbench.search.bfloat16_engine import Bfloat16Engine
    from fmbench.search.candidates import Candidates

    taken = []
    take = Candidates.take
    monkeypatch.setattr(Candidates, "take", lambda self: taken.append(take(self)) or taken[-1])
    vectors, queries = corpus("crowded", 6000, 48), corpus("crowded", 64, 48, seed=1)
    run(Bfloat16Engine(), queries, names(6000), vectors, 20)
    assert len(taken[0]) < 64 * 20 * 8


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("kind", ["random", "duplicates", "crowded", "identical", "negative", "lengths", "sparse"])
def test_an_index_in_int8_finds_for_few_queries_what_all_engines_find(kind, similarity, monkeypatch):
    from fmbench.search import bfloat16_engine

    monkeypatch.setattr(bfloat16_engine, "int8_pays", lambda dimensions, threads: True)
    vectors, queries, ids = corpus(kind, 3000, 48), np.abs(corpus(kind, 9, 48, seed=1)), names(3000)
    vectors[7], queries[4] = 0, 0
    vectors[8] *= np.float32(1e-20)
    engine = bfloat16_engine.Bfloat16Engine()
    engine.rows = 1000
    index = Index(blocks_of(ids, vectors, 2100), similarity, engine)
    for k in (1, 20):
        wanted = hits(run(TorchEngine(), queries, ids, vectors, k, similarity))
        assert hits(index.search(queries, [str(number) for number in range(9)], k)) == wanted


def test_one_query_is_scored_by_int8_alone_where_that_tells_documents_apart(monkeypatch):
    from fmbench.search import bfloat16_engine

    monkeypatch.setattr(bfloat16_engine, "int8_pays", lambda dimensions, threads: True)
    vectors, ids = corpus("random", 40_000, 64), names(40_000)
    index = Index(blocks_of(ids, vectors, 40_000), "cosine", bfloat16_engine.Bfloat16Engine())
    rounded = []
    real = bfloat16_engine.in_bfloat16
    monkeypatch.setattr(bfloat16_engine, "in_bfloat16", lambda part: rounded.append(part) or real(part))
    query = corpus("random", 1, 64, seed=1)
    assert hits(index.search(query, ["q"], 10)) == hits(run(TorchEngine(), query, ids, vectors, 10, "cosine"))
    assert len(rounded) <= 1  # of the first documents, before there is a floor


def test_an_index_is_searched_again_and_again(engine):
    vectors, queries, ids = corpus("duplicates", 300, 16), corpus("random", 45, 16), names(300)
    index = Index(blocks_of(ids, vectors, 70), "cosine", engine, first=1000)
    assert len(index) == 300
    whole = run(engine, queries, ids, vectors, 10, "cosine")
    for count in (45, 1, 0):
        found = index.search(queries[:count], whole.query_ids[:count], 10)
        assert found.ids == whole.ids[:count]
        assert [row.tolist() for row in found.positions] == [(row + 1000).tolist() for row in whole.positions[:count]]


def test_the_settings_of_torch_are_as_before(restore_torch):
    import torch

    torch.set_float32_matmul_precision("medium")
    run(TorchEngine(), np.ones((1, 3), np.float32), ["a"], np.ones((1, 3), np.float32), 1)
    assert torch.get_float32_matmul_precision() == "medium"


@pytest.mark.parametrize("k", [1, 3, 9])
def test_the_next_best_takes_the_place_of_the_querys_own_document(k):
    vectors = np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32)
    ids = [f"d{number}" for number in range(8)]

    def found(ignored):
        blocks = blocks_of(ids, vectors, 3)
        return search(vectors, ids, blocks, k, "cosine", engine=TorchEngine(), ignore_identical_ids=ignored).ids

    assert [names[0] for names in found(False)] == ids
    whole = search(
        vectors, ids, blocks_of(ids, vectors, 8), 8, "cosine", engine=TorchEngine(), ignore_identical_ids=False
    )
    assert found(True) == [names[1 : k + 1] for names in whole.ids]  # as many as asked for
    with pytest.raises(UsageError, match="k = 0"):
        search(vectors, ids, [], 0, "cosine", engine=TorchEngine(), ignore_identical_ids=True)
