"""Codes of vectors, what they stand for, and that an index of them finds what the exact search of that finds."""

import numpy as np
import pytest

from fmbench.errors import UsageError
from fmbench.search import Block, default_engine, search
from fmbench.search.compression import Codec, Compression, limits_of

DIMENSIONS = 100
TYPES = ("float32", "float16", "bfloat16", "int8", "binary", "int8@32", "binary@60")


def vectors(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, DIMENSIONS)).astype(np.float32)


def codec(name: str, documents: np.ndarray, unit: bool = True) -> Codec:
    compression = Compression.parse(name)
    plain = Codec(compression, DIMENSIONS, unit)
    return Codec(compression, DIMENSIONS, unit, limits_of(None, plain.cut(documents)))


@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("name", TYPES)
def test_the_index_finds_what_the_exact_search_of_the_codes_finds(name, unit):
    documents, queries = vectors(2000, 0), vectors(30, 1)
    made = codec(name, documents, unit)
    codes = made.encode(made.cut(documents))
    assert codes.shape == (2000, made.bytes) and codes.dtype == np.uint8
    blocks = [Block([f"{number:04}" for number in range(2000)], made.decode(codes))]
    names = [str(number) for number in range(30)]
    exact = search(made.question(queries), names, blocks, 10, engine=default_engine(made.dimensions),
                   ignore_identical_ids=False)  # fmt: skip
    scores, _ = made.index(np.array_split(codes, 3)).search(queries, 10)
    assert np.allclose(np.stack(exact.scores), scores, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "size"), [("float32", 400), ("bfloat16", 200), ("int8", 100), ("binary", 13),
                                            ("binary@9", 2), ("int8@32", 32)])  # fmt: skip
def test_bytes_of_a_document(name, size):
    assert Codec(Compression.parse(name), DIMENSIONS, False).bytes == size


def test_int8_is_off_by_half_a_step_at_most():
    documents = vectors(500, 2) * np.linspace(0.1, 3, DIMENSIONS, dtype=np.float32)
    made = codec("int8", documents, unit=False)
    step = (documents.max(axis=0) - documents.min(axis=0)) / 255
    error = np.abs(made.decode(made.encode(documents)) - documents)
    assert (error <= 0.51 * step).all() and error.max() > 0.4 * step.max()


def test_rescoring_orders_what_the_signs_found_by_whole_queries():
    documents, queries = vectors(2000, 3), vectors(20, 4)
    made = codec("binary", documents)
    index = made.index([made.encode(made.cut(part)) for part in np.array_split(documents, 3)])
    scores, rows = index.search(queries, 5, rescore=50)
    _, candidates = index.search(queries, 50)
    wanted = np.where(documents > 0, 1.0, -1.0)
    for query, candidate, row, score in zip(made.cut(queries), candidates, rows, scores, strict=True):
        products = wanted[candidate] @ query
        assert set(row) <= set(candidate)
        assert score == pytest.approx(np.sort(products)[::-1][:5], rel=1e-5)


@pytest.mark.parametrize(("name", "said"), [("int9", "did you mean int8"), ("int8@0", "at least one"), ("", "unknown")])
def test_what_is_no_type_is_refused(name, said):
    with pytest.raises(UsageError, match=said):
        Compression.parse(name)


def test_more_dimensions_than_there_are():
    with pytest.raises(UsageError, match="int8@101: the vectors have 100 dimensions"):
        Codec(Compression.parse("int8@101"), DIMENSIONS, False)
