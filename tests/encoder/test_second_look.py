"""A platform that changes its mind late is told from a model that is bad, and a right one is let go on."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch

from fmbench.converted import Output
from fmbench.drivers.choose.alone import Alone
from fmbench.encoder import Encoder, EncoderPlan, Recipe
from fmbench.encoder.late import LateEncoder
from fmbench.encoder.second_look import FAR, SELDOM, fault
from fmbench.encoder.tokens import Tokens
from fmbench.errors import PlatformError

from ..late_models import save_colbert
from .conftest import Load, text_arguments

WORDS = ["some", "words", "of", "a", "text", "that", "differ"]
TEXTS = [" ".join(WORDS[(index * step) % 7] for step in range(1, 2 + index % 9)) + f" {index}" for index in range(90)]
LEVEL = [  # batches of one shape, but for the last; no text is near another
    "abcdefghi"[index % 9] * 6 + " " + "jklmnopqrs"[index // 9] * 6 for index in range(90)
]
SMALL = Recipe(tokens_per_batch=160)
Call = Callable[[dict[str, torch.Tensor]], torch.Tensor]


def turning(encoder: Encoder, after: int, wrong: Callable[[Call], Call]) -> list[tuple[int, ...]]:
    """Let a platform's call turn wrong after some batches; return the shapes that it is given, as they come."""
    forward, shapes = encoder._compute._forward, []

    def right(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return forward(batch).last_hidden_state

    late = wrong(right)

    def call(batch: dict[str, torch.Tensor]) -> Output:
        shapes.append(tuple(batch["input_ids"].shape))
        return Output((right if len(shapes) <= after else late)(batch))

    encoder._compute._forward = call
    return shapes


def reversed_rows(right: Call) -> Call:
    return lambda batch: right(batch).flip(0)


def one_behind(right: Call) -> Call:
    """Return a call that returns what the batch before had, where that had the same shape."""
    known: dict[tuple[int, ...], torch.Tensor] = {}

    def call(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        shape, found = tuple(batch["input_ids"].shape), right(batch)
        before, known[shape] = known.get(shape, found), found
        return before

    return call


def same_for_ever(right: Call) -> Call:
    """Return a call that returns what the first batch of each shape had."""
    known: dict[tuple[int, ...], torch.Tensor] = {}
    return lambda batch: known.setdefault(tuple(batch["input_ids"].shape), right(batch))


WRONG = [reversed_rows, one_behind, same_for_ever]
SAID = r"^--platform cpu: prepare\(\): the call does not give each text its own vector: '.+', computed once more, has "


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_call_that_turns_wrong_is_refused(load: Load, tiny_text_model: Path, wrong, pooling: str) -> None:
    encoder = load(tiny_text_model, recipe=Recipe(tokens_per_batch=160, pooling=(pooling,)))
    turning(encoder, 9, wrong)
    with pytest.raises(PlatformError, match=SAID):
        encoder.encode(TEXTS if wrong is reversed_rows else LEVEL)


def test_whose_vector_came_is_said(load: Load, tiny_text_model: Path) -> None:
    encoder = load(tiny_text_model, recipe=SMALL)
    turning(encoder, 9, reversed_rows)
    with pytest.raises(PlatformError, match=f"{SAID}the vector that came for '.+'$"):
        encoder.encode(TEXTS)


@pytest.mark.parametrize("wrong", WRONG)
def test_a_chunk_is_refused_before_it_is_yielded(load: Load, tiny_text_model: Path, wrong) -> None:
    encoder = load(tiny_text_model, recipe=SMALL)
    first = next(encoder.encode_chunks([TEXTS], "passage"))
    shapes = turning(encoder, 0, lambda right: right)
    assert np.array_equal(encoder.encode(TEXTS), first)
    batches, encoder = len(shapes), load(tiny_text_model, recipe=SMALL)
    turning(encoder, batches + 9, wrong)
    found = encoder.encode_chunks([TEXTS, TEXTS[::-1], TEXTS], "passage")
    with pytest.raises(PlatformError, match=SAID):
        list(found)


@pytest.mark.parametrize("order", [[4, 3, 2, 1, 0], [1, 2, 3, 4, 0], [4, 0, 1, 2, 3], [0, 1, 2, 4, 3]])
def test_batches_of_the_same_texts_hide_nothing(load: Load, tiny_text_model: Path, order: list[int]) -> None:
    """The two texts are then each other's neighbours, in the batch of the look as in those before it."""
    encoder = load(tiny_text_model, recipe=Recipe(tokens_per_batch=4096))

    def reordered(right: Call) -> Call:
        return lambda batch: right(batch)[[row for row in order if row < len(batch["input_ids"])]]

    turning(encoder, 9, reordered)
    texts = ["a", "b b", "c c c", "d d d d", "e e e e e"]
    with pytest.raises(PlatformError, match=SAID):
        list(encoder.encode_chunks([texts] * (2 * SELDOM), "passage"))


@pytest.mark.parametrize("share", [0.5, 1.5])
@pytest.mark.parametrize("first", [0, 1], ids=["as another", "as none"])
def test_only_what_is_far_is_refused(share: float, first: int) -> None:
    """Vectors may be alike, and rounding then moves one nearer to another text's than to its own."""
    away, own = share * FAR, [1.0, 0.0, 0.0, 0.0]
    others = [own, [1.0, away, 0.0, 0.0], [1.0, 0.0, away, 0.0]][first:]
    vectors = np.array([[1.0, 0.0, 0.0, away], *others], dtype=np.float32)
    tokens = Tokens(np.arange(len(vectors)), None, np.arange(len(vectors) + 1))
    why, seen = fault(vectors, torch.tensor(own), tokens, "abcd", 0)
    assert seen is (share > 1)
    said = "has another vector, as far" if first else "has the vector that came for 'b'"
    assert why is None if share < 1 else why and why.startswith(said)


@pytest.mark.parametrize("apart", [0.02, 0.07])
@pytest.mark.parametrize("rounding", [1e-4, 1.0])
def test_of_vectors_that_are_alike_only_what_is_nearer_by_far_is_told(apart: float, rounding: float) -> None:
    """As a swap of random weights' vectors; `rounding` is by how much they are apart."""
    draw = np.random.default_rng(0).standard_normal
    base, each, noise = draw(64), draw((9, 64)), draw(64)
    unit = lambda some: some / np.linalg.norm(some, axis=-1, keepdims=True)  # noqa: E731
    right = unit(base) + apart * unit(each)
    tokens, again = Tokens(np.arange(9), None, np.arange(10)), torch.tensor(right[0] + rounding * apart * unit(noise))
    assert fault(right, again, tokens, "abcdefghi", 0) == (None, rounding < 1)
    why, seen = fault(right[[1, 0, *range(2, 9)]], again, tokens, "abcdefghi", 0)
    told = rounding < 1 and apart > 0.05
    assert (why, seen) == ("has the vector that came for 'b'" if told else None, told)


def test_what_could_not_be_seen_is_not_claimed(load: Load, tiny_text_model: Path, capsys) -> None:
    encoder = load(tiny_text_model, recipe=SMALL)
    drawn = torch.Generator().manual_seed(0)

    def alike(right: Call) -> Call:
        return lambda batch: 1 + 0.01 * torch.randn(right(batch).shape, generator=drawn)

    turning(encoder, 0, alike)
    for _ in range(2):
        encoder.encode(TEXTS)
    assert set(encoder.timings.phases) == {"warm_up", "looked_in_vain"}
    assert capsys.readouterr().err.count("note: all vectors are alike, as those of random weights may be") == 1


def test_a_late_interaction_model(tmp_path: Path, restore_torch: None) -> None:
    plan = EncoderPlan.of(text_arguments(save_colbert(tmp_path / "late")), SMALL, late=True)
    for role in ("query", "passage"):
        assert len(LateEncoder(plan).encode(TEXTS, role)) == len(TEXTS)
        encoder = LateEncoder(plan)
        turning(encoder, 8, reversed_rows)
        with pytest.raises(PlatformError, match=SAID):
            encoder.encode(TEXTS, role)


def test_texts_of_the_same_tokens_have_the_same_vector(load: Load, tiny_text_model: Path) -> None:
    texts = ["a b c d", "A b  c d", "a b c d"] * 9 + ["", " "] * 3
    encoder = load(tiny_text_model, recipe=SMALL)
    turning(encoder, 9, reversed_rows)
    assert len(encoder.encode(texts)) == len(texts)
    cut = load(tiny_text_model, recipe=Recipe(tokens_per_batch=64, passage_max_length=6))
    turning(cut, 6, reversed_rows)
    assert len(cut.encode([f"a b c d e {index}" for index in range(90)])) == 90


@pytest.mark.parametrize("dimension", [None, 1, 2])
def test_a_right_platform_goes_on(load: Load, tiny_text_model: Path, dimension: int | None) -> None:
    recipe = Recipe(tokens_per_batch=160, truncate_dim=dimension)
    encoder = load(tiny_text_model, "--model:dtype=bfloat16", recipe=recipe)
    assert len(list(encoder.encode_chunks([TEXTS, TEXTS[:2], TEXTS[:1]], "passage"))) == 3


def test_it_is_in_no_figure(load: Load, tiny_text_model: Path) -> None:
    figures = []
    for once in (True, False):
        encoder = load(tiny_text_model, recipe=SMALL)
        shapes = turning(encoder, 0, lambda right: right)
        vectors = encoder.encode(TEXTS, once=once)
        found = encoder.timings
        figures.append((found.texts, found.tokens, found.padded_tokens, found.batches, vectors.tolist()))
        assert set(found.phases) == {"warm_up", *(() if once else ("look_again",))}
        assert set(found.seconds) == {"tokenise", "collate", "forward", "pool"}
        before = len(shapes)
        encoder.encode(TEXTS, once=once)
        assert len(shapes) - before == found.batches // 2 + (0 if once else 1)
    assert figures[0] == figures[1]


def looks_at(shapes: list[tuple[int, ...]], calls: Iterable[object], rows: int) -> list[int]:
    """Return after which of several calls something was computed in a batch of so many rows."""
    begun, looks = len(shapes), []
    for index, _ in enumerate(calls):
        if any(shape[0] == rows for shape in shapes[begun:]):
            looks.append(index)
        begun = len(shapes)
    return looks


def test_texts_alone_are_looked_at_now_and_then(load: Load, tiny_text_model: Path) -> None:
    encoder = load(tiny_text_model)
    shapes = turning(encoder, 0, lambda right: right)
    texts = LEVEL * 7
    assert looks_at(shapes, (encoder.encode([text]) for text in texts), 2) == [2 * SELDOM - 1]
    assert looks_at(shapes, (encoder.encode([text], once=True) for text in texts), 2) == []


@pytest.mark.parametrize("wrong", WRONG)
def test_a_last_text_alone_is_looked_at_with_those_before_it(load: Load, tiny_text_model: Path, wrong) -> None:
    encoder = load(tiny_text_model, recipe=SMALL)
    turning(encoder, 9, wrong)
    found = encoder.encode_chunks([LEVEL, LEVEL[:1]], "passage")
    next(found)
    with pytest.raises(PlatformError, match=SAID):
        next(found)


def test_chunks_on_the_way_are_looked_at_now_and_then(load: Load, tiny_text_model: Path) -> None:
    encoder = load(tiny_text_model, recipe=Recipe(tokens_per_batch=4096))
    texts = [f"{index} a b c" for index in range(40)]
    shapes = turning(encoder, 0, lambda right: right)
    count = 2 * SELDOM + 9
    found = encoder.encode_chunks([texts] * count, "passage")
    next(found)  # which is asked for the order of its rows too
    assert [1 + place for place in looks_at(shapes, found, 2)] == [SELDOM - 1, 2 * SELDOM - 1, count - 1]


def test_a_second_look_of_no_numbers_is_no_second_look(load: Load, tiny_text_model: Path) -> None:
    encoder = load(tiny_text_model, recipe=SMALL)
    shapes = turning(encoder, 0, lambda right: right)
    encoder.encode(TEXTS, once=True)
    count, encoder = len(shapes), load(tiny_text_model, recipe=SMALL)
    turning(encoder, count, lambda right: lambda batch: right(batch) * float("nan"))
    with pytest.raises(PlatformError, match=f"{SAID}another vector, which holds NaN or infinity$"):
        encoder.encode(TEXTS)


def test_where_shapes_cost_a_compilation_no_other_one_is_computed(load: Load, tiny_text_model: Path) -> None:
    words = ("--compile:dynamic@=False", "--compile:backend=eager")
    encoder = load(tiny_text_model, *words, recipe=Recipe(tokens_per_batch=192, lengths=(64,), passage_max_length=64))
    shapes = turning(encoder, 20, reversed_rows)
    with pytest.raises(PlatformError, match=SAID):
        encoder.encode(TEXTS)
    assert set(shapes) == {(3, 64)}


class Known:
    """A cache that has the vectors of all texts of a chunk."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = vectors

    def take(self, positions: np.ndarray) -> np.ndarray:
        return self.vectors[positions]


def test_nothing_is_computed_again_of_what_comes_from_a_cache(load: Load, tiny_text_model: Path) -> None:
    encoder = load(tiny_text_model, recipe=SMALL)
    vectors = encoder.encode(TEXTS)
    shapes = turning(encoder, 0, reversed_rows)
    (found,) = encoder.encode_chunks([TEXTS], "passage", kept=iter([Known(vectors)]))
    assert np.array_equal(found, vectors) and not shapes


@pytest.mark.parametrize("wrong", WRONG)
def test_texts_that_were_encoded_one_at_a_time(load: Load, tiny_text_model: Path, wrong) -> None:
    alone = Alone(load(tiny_text_model))
    assert len(alone.encode(LEVEL, "query")) == len(LEVEL)
    encoder = load(tiny_text_model)
    turning(encoder, 9, wrong)
    with pytest.raises(PlatformError, match=SAID):
        Alone(encoder).encode(LEVEL, "query")
