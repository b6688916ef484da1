"""Batches without padding: the vectors of those with padding, and one line for what cannot do without."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from fmbench import attention
from fmbench.encoder import Encoder, Recipe
from fmbench.errors import UsageError
from tests.text_models import save_family

from .conftest import Load

UNPADDED = "--model:attn_implementation=unpadded"
TEXTS = ["one", "a longer text of some words", " ", "two 2", "日本", "z" * 500, "é"]
EVERY = ("mean", "cls", "max", "last")
# A table of positions; rotary ones and a window; positions that begin at 2; a causal mask and fewer heads of keys.
FAMILIES = ("bert", "modernbert", "xlm-roberta", "qwen3")
BFLOAT16 = "--model:dtype=bfloat16"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("families")
    window = {"modernbert": {"local_attention": 8}}
    kinds = (*FAMILIES, "mpnet", "t5", "gemma2")
    return {kind: save_family(root / kind, kind, **window.get(kind, {})) for kind in kinds}


def both(load: Load, folder: Path, *options: str, recipe: Recipe, platform: str = "cpu") -> Sequence[Encoder]:
    return [load(folder, *options, *more, recipe=recipe, platform=platform) for more in ((), (UNPADDED,))]


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_vectors_of_padded_batches(load: Load, folders: dict[str, Path], kind: str) -> None:
    padded, unpadded = both(load, folders[kind], recipe=Recipe(pooling=EVERY))
    np.testing.assert_allclose(unpadded.encode(TEXTS), padded.encode(TEXTS), atol=1e-5)
    np.testing.assert_allclose(unpadded.encode(TEXTS[:1]), padded.encode(TEXTS[:1]), atol=1e-5)
    assert unpadded.facts["attention"] == unpadded.key("query")["attention"] == "unpadded"
    assert unpadded.timings.padded_tokens == unpadded.timings.tokens == padded.timings.tokens
    assert unpadded.timings.padded_tokens < padded.timings.padded_tokens
    assert unpadded.timings.seconds.keys() == padded.timings.seconds.keys()


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_prompts_are_left_out_and_texts_may_be_empty(load: Load, folders: dict[str, Path], kind: str) -> None:
    texts = ["", *TEXTS, ""]  # an empty one is its prompt; with this tokenizer that is all of its tokens
    recipe = Recipe(pooling=("mean", "cls", "last"), passage_prompt="to: ", include_prompt=False)
    padded, unpadded = both(load, folders[kind], recipe=recipe)
    np.testing.assert_allclose(unpadded.encode(texts), padded.encode(texts), atol=1e-5)
    padded, unpadded = both(load, folders[kind], recipe=Recipe(pooling=("mean", "last")))
    assert unpadded.tokenise([""]).lengths[0] == 0
    for empty in (["", ""], texts):
        np.testing.assert_allclose(unpadded.encode(empty), padded.encode(empty), atol=1e-5)


def test_a_pad_token_that_is_typed_has_no_place_in_robertas_count(load: Load, folders: dict[str, Path]) -> None:
    padded, unpadded = both(load, folders["xlm-roberta"], recipe=Recipe(pooling=EVERY))
    typed = padded.tokenizer.pad_token
    assert padded.tokenizer.pad_token_id in padded.tokenise([f"a{typed}b"]).ids
    texts = [f"a{typed}b", "abc"]
    np.testing.assert_allclose(unpadded.encode(texts), padded.encode(texts), atol=1e-5)


@pytest.mark.parametrize("kind", FAMILIES)
def test_batches_with_padding_are_computed_as_ever(load: Load, folders: dict[str, Path], kind: str) -> None:
    padded, unpadded = both(load, folders[kind], recipe=Recipe(pooling=EVERY))
    ids = torch.randint(5, 40, (2, 30), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    for left_out in (0, 10):
        mask[1, 30 - left_out :] = 0
        batch = {"input_ids": ids, "attention_mask": mask}
        with torch.no_grad():
            found, expected = (each.module(**batch).last_hidden_state[mask.bool()] for each in (unpadded, padded))
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "options", "told"),
    [
        ("mpnet", (), "MPNetModel has an attention of its own"),
        ("t5", (), "T5EncoderModel has an attention of its own"),
        ("gemma2", (), "Gemma2Attention wants softcap"),
        ("bert", ("--compile:dynamic@=False",), "shapes are fixed"),
    ],
)
def test_models_that_cannot(
    load: Load, folders: dict[str, Path], kind: str, options: tuple[str, ...], told: str
) -> None:
    with pytest.raises(UsageError, match=f"--model:attn_implementation unpadded: .*{told}") as error:
        load(folders[kind], UNPADDED, *options, recipe=Recipe(pooling=("mean",), passage_max_length=32,
                                                              query_max_length=32))  # fmt: skip
    assert "\n" not in str(error.value)


def test_a_model_that_computes_something_else_is_refused(
    load: Load, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_text(query, key, value, bounds, *rest):
        return right(query, key, value, bounds[[0, -1]], *rest)

    right = attention.reference
    monkeypatch.setattr(attention, "reference", one_text)
    with pytest.raises(UsageError, match=r"BertModel computes something else without padding \(least cosine 0\.\d+"):
        load(folders["bert"], UNPADDED)


def test_a_platform_without_the_kernel(load: Load, folders: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="--platform openvino has no such kernel"):
        load(folders["bert"], UNPADDED, platform="openvino")


@pytest.mark.cuda
@pytest.mark.parametrize("kind", FAMILIES)
def test_flash_attention_on_the_gpu(load: Load, folders: dict[str, Path], kind: str) -> None:
    padded, unpadded = both(load, folders[kind], BFLOAT16, recipe=Recipe(pooling=EVERY), platform="cuda")
    found, expected = (each.encode([*TEXTS, *map(str, range(200))]) for each in (unpadded, padded))
    cosines = (found * expected).sum(axis=1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosines.min() > 0.999


@pytest.mark.cuda
def test_flash_attention_wants_16_bits(load: Load, folders: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="multiplies no float32; add --model:dtype@ torch.bfloat16"):
        load(folders["bert"], UNPADDED, platform="cuda")
