"""A platform that returns the rows of a batch in another order is told from a model that is bad."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fmbench.backends.cpu import CpuBackend
from fmbench.converted import Output
from fmbench.encoder import Encoder, EncoderPlan, Recipe
from fmbench.encoder.late import LateEncoder
from fmbench.encoder.row_order import ROWS, other_row
from fmbench.errors import PlatformError

from ..late_models import save_colbert
from .conftest import Load, text_arguments

TEXTS = ["a b c", "b c", "c"]
Change = Callable[[torch.Tensor], torch.Tensor]


def changed(encoder: Encoder, change: Change) -> list[tuple[int, ...]]:
    """Let a platform return the model's rows changed; return the shapes that it is given, as they come."""
    forward, shapes = encoder._compute._forward, []

    def call(batch):
        shapes.append(tuple(batch["input_ids"].shape))
        return Output(change(forward(batch).last_hidden_state))

    encoder._compute._forward = call
    return shapes


def rolled(hidden: torch.Tensor) -> torch.Tensor:
    return hidden.roll(1, 0)


def last_two(hidden: torch.Tensor) -> torch.Tensor:
    return torch.cat([hidden[:-2], hidden[-2:].flip(0)])


@pytest.mark.parametrize("change", [rolled, lambda hidden: hidden.flip(0), last_two])
@pytest.mark.parametrize("pooling", ["mean", "cls", "last", "max"])
def test_another_order_is_refused_and_the_platform_named(
    load: Load, tiny_text_model: Path, change: Change, pooling: str
) -> None:
    encoder = load(tiny_text_model, recipe=Recipe(pooling=(pooling,)))
    changed(encoder, change)
    encoder.encode(["alone"])
    with pytest.raises(
        PlatformError, match=r"^--platform cpu: prepare\(\): the call returns the rows .* another order"
    ):
        encoder.encode(TEXTS)


def test_which_row_came_back_as_which_is_said(load: Load, tiny_text_model: Path) -> None:
    encoder = load(tiny_text_model)
    changed(encoder, rolled)
    with pytest.raises(PlatformError, match="what row 1 was given came back as row 2 of 3$"):
        encoder.encode(TEXTS)


def test_a_late_interaction_model(tmp_path: Path, restore_torch: None) -> None:
    arguments = text_arguments(save_colbert(tmp_path / "late"))
    LateEncoder(EncoderPlan.of(arguments, late=True)).encode(TEXTS)
    encoder = LateEncoder(EncoderPlan.of(arguments, late=True))
    changed(encoder, rolled)
    with pytest.raises(PlatformError, match="another order"):
        encoder.encode(TEXTS)


def test_fewer_bits_and_rounding_are_no_other_order(load: Load, tiny_text_model: Path) -> None:
    for change in (torch.Tensor.bfloat16, lambda hidden: hidden + 0.1 * hidden.std() * torch.randn_like(hidden)):
        encoder = load(tiny_text_model, "--model:dtype=bfloat16")
        changed(encoder, change)
        assert len(encoder.encode(TEXTS)) == 3


@pytest.mark.parametrize("noise", [1e-4, 0.01])
def test_vectors_that_are_alike_tell_nothing(load: Load, tiny_text_model: Path, noise: float) -> None:
    encoder, same = load(tiny_text_model), []

    def alike(hidden: torch.Tensor) -> torch.Tensor:
        same.append(hidden[:1, :1])
        return rolled(same[0] + noise * torch.randn_like(hidden))

    changed(encoder, alike)
    assert len(encoder.encode(TEXTS)) == 3


def test_it_is_asked_once_of_one_small_batch(load: Load, tiny_text_model: Path) -> None:
    encoder = load(tiny_text_model, recipe=Recipe(tokens_per_batch=4096))
    texts = [f"{letter} " * 25 + str(index) for letter in "abcdefgh" for index in range(10)]
    shapes = changed(encoder, lambda hidden: hidden)
    first = encoder.encode(texts)
    asked = [shape for shape in shapes if shape[0] in (2, ROWS) and shape[1] <= 16]
    assert len(asked) == 3
    before = len(shapes)
    assert (encoder.encode(texts) == first).all()
    assert not [shape for shape in shapes[before:] if shape in asked]


@pytest.mark.slow
def test_where_shapes_are_fixed_no_other_one_is_computed(
    load: Load, tiny_text_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CpuBackend, "single_shape", True)
    words = ("--compile:dynamic@=False", "--compile:backend=eager")
    for change in (rolled, lambda hidden: hidden):
        encoder = load(tiny_text_model, *words, recipe=Recipe(tokens_per_batch=192))
        shapes = changed(encoder, change)
        if change is rolled:
            with pytest.raises(PlatformError, match="another order"):
                encoder.encode(TEXTS)
        else:
            assert len(encoder.encode(TEXTS)) == 3
        assert set(shapes) == {(3, 64)}


def test_rounding_moves_a_vector_away_from_all_others() -> None:
    torch.manual_seed(0)
    found = torch.nn.functional.normalize(torch.randn(8, 32) + 4.0, dim=1)
    alike = found[0] + 0.02 * torch.nn.functional.normalize(torch.randn(8, 32), dim=1)
    for size in (0.0, 0.01, 0.1, 0.3):
        moved = size * torch.nn.functional.normalize(torch.randn(32), dim=0)
        assert other_row(found, found[0] + moved, 0) is None
        assert other_row(alike, alike[0] + moved, 0) is None
    assert [other_row(found, found[row], 0) for row in range(3)] == [None, 1, 2]
    assert other_row(torch.cat([found, torch.zeros(1, 32)]), torch.zeros(32), 0) is None
