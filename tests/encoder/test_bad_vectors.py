"""A platform that loses what it computed is told from a model that is bad: its vectors are refused by name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fmbench.converted import Output
from fmbench.encoder import BadVectorError, Encoder
from fmbench.encoder.recipe import Recipe
from fmbench.errors import PlatformError, UsageError
from fmbench.outputs import blamed
from fmbench.search.maxsim import TokenVectors

from .conftest import Load

TEXTS = ["a b c", "b c", "c"]
Change = Callable[[torch.Tensor], object]


def half_zero(hidden: torch.Tensor) -> torch.Tensor:
    return hidden * (torch.arange(len(hidden)) < len(hidden) // 2)[:, None, None]


def changed(encoder: Encoder, monkeypatch: pytest.MonkeyPatch, change: Change) -> None:
    """Let a platform return other hidden states than the model's."""
    forward = encoder._compute._forward
    found = lambda batch: Output(change(forward(batch).last_hidden_state))  # noqa: E731
    monkeypatch.setattr(encoder._compute, "_forward", found)


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:1]])
@pytest.mark.parametrize("change", [torch.zeros_like, half_zero])
def test_zeros_are_no_vector_of_a_text(
    load: Load, tiny_text_model: Path, monkeypatch: pytest.MonkeyPatch, change: Change, texts: list[str]
) -> None:
    encoder = load(tiny_text_model)
    changed(encoder, monkeypatch, change)
    with pytest.raises(BadVectorError, match="zero throughout, so --platform cpu computed nothing of it") as caught:
        encoder.encode(texts)
    assert texts[caught.value.position] in str(caught.value)


def of_the_first(hidden: torch.Tensor) -> torch.Tensor:
    return hidden[:1, :1].expand_as(hidden).clone()  # whose mean differs in the last bit with how many tokens there are


@pytest.mark.parametrize("change", [torch.ones_like, of_the_first])
def test_one_vector_is_none_of_texts_that_are_others(
    load: Load, tiny_text_model: Path, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    encoder = load(tiny_text_model)
    changed(encoder, monkeypatch, change)
    assert encoder.encode(["a b"] * 3).any()
    with pytest.raises(BadVectorError, match="all 2 texts beside it, which are others, so --platform cpu computed"):
        encoder.encode(TEXTS)


def test_one_number_of_length_one_may_be_that_of_all_texts(load: Load, tiny_text_model: Path) -> None:
    encoder = load(tiny_text_model, recipe=Recipe(truncate_dim=1, normalise=True))
    found = encoder.encode([f"{'a ' * count}b" for count in range(1, 9)]).ravel()
    same = [place for place in range(8) if found[place] == found[0]]
    assert set(np.abs(found)) == {1.0} and len(same) > 1
    assert len(encoder.encode([f"{'a ' * (place + 1)}b" for place in same])) == len(same)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda hidden: hidden[:1], r"float32 of shape \[1, (\d+), 32\], no floating numbers of shape \[3, \1, 32\]$"),
        (lambda hidden: hidden[:, :1], r"float32 of shape \[3, 1, 32\], no floating numbers of shape"),
        (lambda hidden: hidden[:, 0], r"float32 of shape \[3, 32\], no floating numbers of shape"),
        (lambda hidden: hidden[..., :30], r"float32 of shape \[3, \d+, 30\], no floating numbers of shape"),
        (lambda hidden: (hidden * 100).to(torch.int8), r"int8 of shape \[3, "),
        (lambda hidden: None, "returned None"),
        (torch.Tensor.tolist, "returned list of 3, the first float32 of shape"),
    ],
)
def test_what_is_no_answer_of_a_call_names_the_platform(
    load: Load, tiny_text_model: Path, monkeypatch: pytest.MonkeyPatch, change: Change, said: str
) -> None:
    """One row would do for all texts of a batch, if nobody counted."""
    encoder = load(tiny_text_model)
    changed(encoder, monkeypatch, change)
    with pytest.raises(PlatformError, match=rf"^--platform cpu: prepare\(\): the call .*{said}"):
        encoder.encode(TEXTS)


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(truncate_dim=8)])
def test_numbers_that_are_cut_off_are_no_vectors_of_so_many(
    load: Load, tiny_text_model: Path, monkeypatch: pytest.MonkeyPatch, recipe: Recipe
) -> None:
    encoder = load(tiny_text_model, recipe=recipe)
    changed(encoder, monkeypatch, lambda hidden: hidden[..., :30])
    with pytest.raises(PlatformError, match=r"^--platform cpu: prepare\(\): the call returned float32 of shape \[3, "):
        encoder.encode(TEXTS)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (
            lambda batch: {name: one[:, :2] for name, one in batch.items()},
            r"with input_ids of shape \[3, 2\], not \[3, ",
        ),
        (lambda batch: {"input_ids": batch["input_ids"]}, "without attention_mask$"),
    ],
)
def test_a_platform_that_loses_inputs_is_named(
    load: Load, tiny_text_model: Path, monkeypatch: pytest.MonkeyPatch, place: Callable, said: str
) -> None:
    encoder = load(tiny_text_model)
    monkeypatch.setattr(encoder.platform, "place", place)
    with pytest.raises(PlatformError, match=rf"^--platform cpu: place\(\) returns the batch where .*; not {said}"):
        encoder.encode(TEXTS)


def test_a_call_that_returns_nothing_names_the_platform(
    load: Load, tiny_text_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load(tiny_text_model)
    monkeypatch.setattr(encoder._compute, "_forward", lambda batch: None)
    with pytest.raises(PlatformError, match=r"^--platform cpu: prepare\(\): the call returned None"):
        encoder.encode(TEXTS)
    for output, kind in ((np.ones((3, 4, 32)), "ndarray"), ({"last_hidden_state": torch.ones(3, 4, 32)}, "dict")):
        monkeypatch.setattr(encoder._compute, "_forward", lambda batch, output=output: output)
        with pytest.raises(PlatformError, match=rf"the call returned {kind}, which has no last_hidden_state$"):
            encoder.encode(TEXTS)
    monkeypatch.setattr(encoder._compute, "_forward", lambda batch: {"logits": torch.ones(3, 4)})
    with pytest.raises(UsageError, match="^--model_class: its output has no last_hidden_state"):
        encoder.encode(TEXTS)


def test_the_first_text_with_a_vector_of_zeros_is_found() -> None:
    vectors = np.ones((5, 2), np.float32)
    found = TokenVectors(vectors, np.array([0, 2, 2, 5]))
    assert found.first_text_of_nothing() is None
    vectors[3] = 0
    assert (found.first_text_of_nothing(), found.first_text_without_number()) == (2, None)


@pytest.mark.parametrize(
    "wrong", [lambda hidden: hidden / 0 * 0, lambda hidden: hidden[:, :1], lambda hidden: hidden * 0, "an error"]
)
def test_a_platform_that_answers_wrongly_is_one_exit_code(load: Load, tiny_text_model: Path, wrong) -> None:
    encoder = load(tiny_text_model)
    right = encoder.platform.prepare(encoder.module, encoder.arguments)

    def call(batch):
        if isinstance(wrong, str):
            raise RuntimeError(wrong)
        return Output(wrong(right(batch).last_hidden_state))

    encoder._compute._forward = blamed(encoder.platform, call)
    with pytest.raises(PlatformError, match="--platform cpu") as caught:
        encoder.encode(["a b", "c d"])
    assert caught.value.exit_code == 3
    assert not isinstance(wrong, str) or str(caught.value).endswith("prepare(): the call raised RuntimeError: an error")


def test_memory_that_ran_out_is_no_wrong_answer(load: Load, tiny_text_model: Path) -> None:
    encoder = load(tiny_text_model)

    def call(batch):
        raise torch.OutOfMemoryError("too large")

    encoder._compute._forward = blamed(encoder.platform, call)
    with pytest.raises(torch.OutOfMemoryError):
        encoder.encode(["a b", "c d"])
