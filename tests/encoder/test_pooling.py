import pytest
import torch

from fmbench.encoder.pooling import pool
from fmbench.encoder.recipe import POOLINGS

# Rows: tokens everywhere, padding on the right, padding on the left, no token at all.
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0]])
HIDDEN = torch.arange(4 * 4 * 2, dtype=torch.float32).reshape(4, 4, 2)
NAMES = {"cls": "cls", "max": "max", "mean": "mean", "last": "lasttoken"}


def test_the_formulas_by_hand() -> None:
    assert pool(HIDDEN, MASK, ["mean"])[:3].tolist() == [[3, 4], [9, 10], [20, 21]]
    assert pool(HIDDEN, MASK, ["max"])[:3].tolist() == [[6, 7], [10, 11], [22, 23]]
    assert pool(HIDDEN, MASK, ["cls"])[:3].tolist() == [[0, 1], [8, 9], [18, 19]]
    assert pool(HIDDEN, MASK, ["last"])[:3].tolist() == [[6, 7], [10, 11], [22, 23]]
    assert pool(HIDDEN, MASK, ["mean", "last"])[3].tolist() == [0, 0, 0, 0]


def test_the_prompt_is_left_out_from_where_the_text_begins() -> None:
    assert pool(HIDDEN, MASK, ["mean"], prompt_length=1)[:3].tolist() == [[4, 5], [10, 11], [21, 22]]
    assert pool(HIDDEN, MASK, ["cls"], prompt_length=1)[:3].tolist() == [[2, 3], [10, 11], [20, 21]]


@pytest.mark.parametrize("mode", POOLINGS)
@pytest.mark.parametrize("prompt_length", [0, 2])
def test_the_same_as_sentence_transformers(mode: str, prompt_length: int) -> None:
    modules = pytest.importorskip("sentence_transformers.models")
    torch.manual_seed(0)
    hidden = torch.randn(5, 7, 8)
    right = torch.arange(7) < torch.tensor([7, 5, 4, 7, 3]).unsqueeze(1)
    for mask in (right.long(), right.long().flip(1)):
        theirs = modules.Pooling(8, pooling_mode=NAMES[mode], include_prompt=not prompt_length)
        features = {"token_embeddings": hidden.clone(), "attention_mask": mask, "prompt_length": prompt_length}
        expected = theirs(features)["sentence_embedding"]
        torch.testing.assert_close(pool(hidden, mask, [mode], prompt_length), expected)


def test_half_precision_is_pooled_in_float32() -> None:
    hidden = torch.full((1, 4096, 1), 1.001, dtype=torch.bfloat16)
    found = pool(hidden, torch.ones(1, 4096, dtype=torch.int64), ["mean"])
    assert found.dtype == torch.float32 and found.item() == pytest.approx(hidden[0, 0, 0].item(), rel=1e-6)
