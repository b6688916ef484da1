"""Folders of sentence-transformers: written by that library, read by us, and the same vectors from both."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fmbench.drivers.distill import query_encoder
from fmbench.encoder import Encoder, EncoderPlan, Recipe, Role
from fmbench.encoder.folder import read
from fmbench.errors import UsageError
from tests.text_models import DIMENSION, add_modules, write_json

from .conftest import Load, text_arguments

pytestmark = pytest.mark.slow

TEXTS = ["a sentence", "", " \n\t", "x" * 300, "the same words in another order: 日本", "é?", "b a", "Ünknown…"]


@pytest.fixture
def load(load: Load) -> Load:
    """Load an encoder, and have every vector that it gives compared with those of a query encoder in distillation."""

    def run(folder: Path, *suboptions: str, recipe: Recipe | None = None, **fixed: Any) -> Encoder:
        encoder, plan = load(folder, *suboptions, recipe=recipe, **fixed), text_arguments(folder, *suboptions, **fixed)
        encode = encoder.encode

        def both(texts: list[str], role: Role = "passage") -> np.ndarray:
            vectors = encode(texts, role)
            network, tokenizer = query_encoder.load(EncoderPlan.of(plan, recipe), role)
            with torch.inference_mode():
                batch = query_encoder.batch_of(tokenizer(texts), range(len(texts)), network.types)
                close(network(**batch).numpy(), vectors)
            assert network.dimensions == encoder.dimension
            return vectors

        encoder.encode = both
        return encoder

    return run


@pytest.fixture(scope="module")
def library():
    pytest.importorskip("sentence_transformers.models")
    return pytest.importorskip("sentence_transformers")


@pytest.fixture
def saved(library, tiny_text_model: Path, tmp_path: Path):
    """Save and load a model with the library itself: saved(module, ..., prompts=...) -> (folder, its model)."""

    def save(*after, pooling="mean", include_prompt=True, max_length=40, lower=False, **options):
        models = library.models
        torch.manual_seed(1)
        first = models.Transformer(str(tiny_text_model), max_seq_length=max_length, do_lower_case=lower)
        pool = models.Pooling(DIMENSION, pooling_mode=pooling, include_prompt=include_prompt)
        model = library.SentenceTransformer(modules=[first, pool, *after], device="cpu", **options)
        model.save(str(tmp_path / "saved"))
        return tmp_path / "saved", library.SentenceTransformer(str(tmp_path / "saved"), device="cpu", **options)

    return save


def close(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape and ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "lasttoken", ("cls", "max", "mean")])
def test_every_pooling(saved, load: Load, pooling) -> None:
    folder, theirs = saved(pooling=pooling)
    close(load(folder).encode(TEXTS), theirs.encode(TEXTS))


def test_dense_layer_norm_dropout_and_normalise_modules(saved, load: Load, library) -> None:
    models = library.models
    dense = models.Dense(2 * DIMENSION, 12, activation_function=torch.nn.GELU())
    folder, theirs = saved(models.Dropout(), dense, models.LayerNorm(12), models.Normalize(), pooling=("mean", "max"))
    ours = load(folder)
    close(ours.encode(TEXTS), theirs.encode(TEXTS))
    assert ours.dimension == 12
    assert [step if isinstance(step, str) else step[0] for step in ours.key("query")["modules"]] == [
        "dense",
        "layer norm",
        "normalise",
    ]


@pytest.mark.parametrize("size", [DIMENSION, 8])
def test_a_dense_module_with_a_residual(saved, load: Load, library, size: int) -> None:
    try:
        dense = library.models.Dense(DIMENSION, size, bias=False, use_residual=True)
    except TypeError:
        pytest.skip("this sentence-transformers has no use_residual")
    folder, theirs = saved(dense)
    close(load(folder).encode(TEXTS), theirs.encode(TEXTS))


def test_prompts_of_the_roles(saved, load: Load) -> None:
    folder, theirs = saved(prompts={"query": "find: ", "document": "text: "})
    ours = load(folder)
    close(ours.encode(TEXTS, "query"), theirs.encode_query(TEXTS))
    close(ours.encode(TEXTS, "passage"), theirs.encode_document(TEXTS))
    said = load(folder, recipe=Recipe(query_prompt="", passage_prompt="p: "))
    close(said.encode(TEXTS, "query"), theirs.encode(TEXTS, prompt=""))
    close(said.encode(TEXTS, "passage"), theirs.encode(TEXTS, prompt="p: "))


PROMPTS = {
    "both roles": ({"query": "find: ", "document": "text: "}, None, {"query": "query", "passage": "document"}),
    "no document": ({"query": "find: ", "passage": "text: "}, None, {"query": "query", "passage": None}),
    "no document, corpus": ({"query": "find: ", "corpus": "text: "}, None, {"query": "query", "passage": None}),
    "an empty document": ({"document": "", "passage": "text: "}, None, {"query": None, "passage": None}),
    "only a default": ({"topic": "topic: "}, "topic", {"query": None, "passage": None}),
    "query is the default": ({"query": "find: "}, "query", {"query": "query", "passage": None}),
    "a default of no prompt": ({}, "document", {"query": None, "passage": None}),
    "null": ({"query": None, "document": "text: "}, None, {"query": None, "passage": "document"}),
}


@pytest.mark.parametrize(("prompts", "default", "names"), PROMPTS.values(), ids=PROMPTS)
def test_the_prompts_are_those_of_encode_query_and_encode_document(
    saved, load: Load, library, prompts, default, names
) -> None:
    folder, _ = saved()
    root = folder / "config_sentence_transformers.json"
    write_json(root, {**json.loads(root.read_text()), "prompts": prompts, "default_prompt_name": default})
    theirs = library.SentenceTransformer(str(folder), device="cpu")
    ours = load(folder)
    close(ours.encode(TEXTS, "query"), theirs.encode_query(TEXTS))
    close(ours.encode(TEXTS, "passage"), theirs.encode_document(TEXTS))
    assert EncoderPlan.of(text_arguments(folder)).prompt_names == names


@pytest.mark.parametrize("pooling", ["mean", "cls", "lasttoken"])
def test_a_prompt_that_is_not_pooled(saved, load: Load, pooling: str) -> None:
    folder, theirs = saved(prompts={"query": "find: "}, include_prompt=False, pooling=pooling)
    close(load(folder).encode(TEXTS, "query"), theirs.encode(TEXTS, prompt_name="query"))
    theirs.set_pooling_include_prompt(True)
    close(
        load(folder, recipe=Recipe(include_prompt=True)).encode(TEXTS, "query"),
        theirs.encode(TEXTS, prompt_name="query"),
    )


def test_truncating_comes_after_the_modules_and_before_our_own_normalising(saved, load: Load, library) -> None:
    folder, theirs = saved(library.models.Normalize())
    cut = load(folder, recipe=Recipe(truncate_dim=8)).encode(TEXTS)
    close(cut, theirs.encode(TEXTS, truncate_dim=8))
    assert (np.linalg.norm(cut, axis=1) < 0.99).all()
    whole = load(folder, recipe=Recipe(truncate_dim=8, normalise=True)).encode(TEXTS)
    close(whole, theirs.encode(TEXTS, truncate_dim=8, normalize_embeddings=True))
    plain = load(folder, recipe=Recipe(normalise=False)).encode(TEXTS)
    assert not np.allclose(np.linalg.norm(plain, axis=1), 1)


def test_a_published_truncation_and_similarity(saved, load: Load, library) -> None:
    folder, theirs = saved(truncate_dim=8, similarity_fn_name="dot")
    path = folder / "config_sentence_transformers.json"
    write_json(path, {**json.loads(path.read_text()), "truncate_dim": 8})
    ours = load(folder)
    close(ours.encode(TEXTS), theirs.encode(TEXTS))
    assert (ours.dimension, ours.similarity) == (8, "dot")


def test_lower_case_and_maximum_lengths(saved, load: Load) -> None:
    folder, theirs = saved(lower=True, max_length=9)
    texts = [*TEXTS, "A SENTENCE", "É"]
    close(load(folder).encode(texts), theirs.encode(texts))
    ours = load(folder, recipe=Recipe(query_max_length=5))
    theirs.max_seq_length = 5
    close(ours.encode(texts, "query"), theirs.encode(texts))
    assert (ours.recipe.query_max_length, ours.recipe.passage_max_length) == (5, 9)


def test_the_model_in_a_sub_folder(saved, load: Load) -> None:
    folder, theirs = saved()
    expected = theirs.encode(TEXTS)
    inside = folder / "0_Transformer"
    inside.mkdir()
    for path in list(folder.iterdir()):
        if path.is_file() and path.name not in ("modules.json", "config_sentence_transformers.json"):
            path.rename(inside / path.name)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    write_json(folder / "modules.json", modules)
    ours = load(folder)
    close(ours.encode(TEXTS), expected)
    assert ours.name == "saved"


def test_without_modules_the_pooling_is_the_mean(library, load: Load, tiny_text_model: Path) -> None:
    theirs = library.SentenceTransformer(str(tiny_text_model), device="cpu")
    ours = load(tiny_text_model)
    close(ours.encode(TEXTS), theirs.encode(TEXTS))
    assert (ours.recipe.pooling, ours.recipe.passage_max_length) == (("mean",), 64)
    assert load(tiny_text_model, recipe=Recipe(pooling=("last",))).recipe.pooling == ("last",)


def test_older_pooling_flags_are_read(saved, load: Load) -> None:
    folder, theirs = saved(pooling=("cls", "mean"))
    flags = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True, "pooling_mode_max_tokens": False}
    write_json(folder / "1_Pooling" / "config.json", {**SIZED, **flags})
    close(load(folder).encode(TEXTS), theirs.encode(TEXTS))


@pytest.fixture
def folder(tmp_path: Path, tiny_text_model: Path) -> Path:
    """A folder of our own making, so that these tests need no sentence-transformers."""
    shutil.copytree(tiny_text_model, tmp_path / "model")
    return add_modules(tmp_path / "model")


def modules(*kinds_and_paths: tuple[str, str]) -> list[dict[str, str]]:
    kinds = ((kind.replace("x.", "sentence_transformers.models."), path) for kind, path in kinds_and_paths)
    return [{"type": kind, "path": path} for kind, path in kinds]


SIZED = {"word_embedding_dimension": DIMENSION}
LAYER = {"in_features": DIMENSION, "out_features": 4, "activation_function": "torch.nn.Tanh"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("modules.json", "[", "not readable as JSON"),
        ("modules.json", [], "lists no module"),
        ("modules.json", modules(("x.Transformer", "")), "no Pooling module"),
        (
            "modules.json",
            modules(("x.Transformer", ""), ("x.Router", "1")),
            "module 1 is a .*Router, which is not supp",
        ),
        ("modules.json", modules(("x.CNN", "")), "module 0 is a .*CNN"),
        ("modules.json", modules(("x.Pooling", "1_Pooling")), "module 0 is a .*Pooling"),
        ("modules.json", modules(("custom.Transformer", "")), "module 0 is a custom.Transformer, which is not supp"),
        ("modules.json", [{"type": "sentence_transformers.models.Transformer"}], "module 0 has no type and path"),
        ("modules.json", {"type": 1}, "not readable as a list of modules"),
        ("modules.json", modules(("x.Transformer", "../other")), "leads out of the folder"),
        ("modules.json", modules(("x.Transformer", "/etc")), "leads out of the folder"),
        ("modules.json", modules(("x.Transformer", ""), ("x.Normalize", "2")), "stands before the Pooling module"),
        ("1_Pooling/config.json", {**SIZED, "pooling_mode": "weightedmean"}, "pooling weightedmean is not supported"),
        (
            "1_Pooling/config.json",
            {**SIZED, "pooling_mode_weightedmean_tokens": True},
            "pooling weightedmean is not supported",
        ),
        ("1_Pooling/config.json", "nonsense", "not readable as JSON"),
        ("1_Pooling/config.json", {"pooling_mode": "mean"}, "has no embedding_dimension or word_embedding_dimension"),
        ("1_Pooling/config.json", {**SIZED, "pooling_mode_new_tokens": True}, "pooling_mode_new_tokens is not known"),
        ("1_Pooling/config.json", {**SIZED, "pooling_mode": None}, "pooling_mode is null; expected the name of a pool"),
        ("1_Pooling/config.json", {**SIZED, "include_prompt": "no"}, 'include_prompt is "no"; expected true or false'),
        ("1_Pooling/config.json", {**SIZED, "pooling_mode_cls_token": 1}, "cls_token is 1; expected true or false"),
        ("2_Dense/config.json", {**LAYER, "activation_function": "os.system"}, "activation os.system is not supported"),
        ("2_Dense/config.json", {**LAYER, "activation_function": "torch.nn.Module"}, "activation torch.nn.Module"),
        ("2_Dense/config.json", {**LAYER, "activation_function": None}, "activation None"),
        ("2_Dense/config.json", {**LAYER, "module_input_name": "token_embeddings"}, "only one on sentence_embedding"),
        ("2_Dense/config.json", {"in_features": DIMENSION}, "has no out_features"),
        ("2_Dense/config.json", {**LAYER, "in_features": -1}, "in_features is -1; expected a whole number from 1 on"),
        ("2_Dense/config.json", {**LAYER, "out_features": 5}, r"linear.bias is \(4,\); by .* it should be \(5,\)"),
        ("2_Dense/config.json", {**LAYER, "bias": False}, r"linear.bias is \(4,\); by .* it should be not there"),
        ("2_Dense/config.json", {**LAYER, "use_residual": True}, "residual.weight is not there"),
        ("sentence_bert_config.json", {"max_seq_length": "64"}, 'max_seq_length is "64"; expected a whole number'),
        ("sentence_bert_config.json", {"max_seq_length": 0}, "max_seq_length is 0; expected a whole number from 1"),
        ("sentence_bert_config.json", {"max_seq_length": 10**30}, r"max_seq_length is 10+; expected a whole"),
        ("sentence_bert_config.json", {"do_lower_case": "false"}, 'do_lower_case is "false"; expected true or false'),
        ("sentence_bert_config.json", {"tokenizer_name_or_path": "x"}, "tokenizer_name_or_path is not known"),
        ("config_sentence_transformers.json", {"truncate_dim": 0}, "truncate_dim is 0; expected a whole number from 1"),
        ("config_sentence_transformers.json", {"prompts": {"query": 5}}, "query is 5; expected a text"),
        ("config_sentence_transformers.json", {"model_type": "SparseEncoder"}, "is of a SparseEncoder"),
        ("sentence_bert_config.json", {"query_expansion": {"length": 32}}, "only a MultiVectorEncoder has use for it"),
        ("sentence_bert_config.json", {"modality_config": {"message": {}}}, "only one that reads plain text"),
        ("config_sentence_transformers.json", {"default_prompt_name": "x"}, "default_prompt_name x is none"),
    ],
)
def test_what_cannot_be_honoured_is_refused(folder: Path, name: str, content, said: str) -> None:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UsageError, match=said):
        read(folder)


def test_pickled_weights_of_a_module_are_refused(folder: Path) -> None:
    (folder / "2_Dense" / "model.safetensors").rename(folder / "2_Dense" / "pytorch_model.bin")
    with pytest.raises(UsageError, match=r"pickled \(pytorch_model.bin\), which can run code"):
        read(folder)
    (folder / "2_Dense" / "pytorch_model.bin").unlink()
    with pytest.raises(UsageError, match=r"holds no model.safetensors"):
        read(folder)


def test_damaged_or_foreign_module_weights_are_one_line(folder: Path, load: Load) -> None:
    from safetensors.torch import save_file

    (folder / "2_Dense" / "model.safetensors").write_bytes(b"")
    with pytest.raises(UsageError, match="not readable"):
        read(folder)
    save_file({"other": torch.zeros(1)}, folder / "2_Dense" / "model.safetensors")
    with pytest.raises(UsageError, match=r"linear.bias is not there; by 2_Dense/config.json it should be \(4,\)"):
        read(folder)
    save_file({"linear.weight": torch.zeros(4, 7), "linear.bias": torch.zeros(4)}, folder / "2_Dense/model.safetensors")
    with pytest.raises(UsageError, match=r"linear.weight is \(4, 7\); by .* it should be \(4, 32\)"):
        read(folder)
    write_json(folder / "2_Dense" / "config.json", {**LAYER, "in_features": 7})
    with pytest.raises(UsageError, match="do not take vectors of 32 numbers"):
        load(folder)


def test_what_is_not_taken_over_is_said(folder: Path, capsys: pytest.CaptureFixture) -> None:
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 9, "model_args": {"dtype": "float16"}})
    found = read(folder)
    assert found is not None and found.max_length == 9
    assert "model_args {'dtype': 'float16'} is not taken over" in capsys.readouterr().err


def test_left_padding_gives_the_same_vectors(tmp_path: Path, tiny_text_model: Path, load: Load) -> None:
    """Position ids count from the left, so a causal model is what pads there; with one text there is no padding."""
    import transformers

    bert = transformers.AutoTokenizer.from_pretrained(tiny_text_model)
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]"}
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bert.backend_tokenizer, padding_side="left", **special
    )
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = transformers.Qwen2Config(
        vocab_size=len(bert), num_key_value_heads=2, max_position_embeddings=64, pad_token_id=0, **sizes
    )
    torch.manual_seed(0)
    folder = tmp_path / "left"
    transformers.Qwen2Model(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    written = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", {**written, "architectures": ["Qwen2ForCausalLM"]})
    ours = load(folder)
    assert ours.recipe.pooling == ("last",)
    together = ours.encode(["a", "a longer text", "bb"])
    alone = np.concatenate([ours.encode([text]) for text in ("a", "a longer text", "bb")])
    np.testing.assert_allclose(together, alone, atol=1e-4)
