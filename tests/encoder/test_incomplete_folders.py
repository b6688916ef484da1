"""Folders that lack something, or say what they cannot mean: refused in one line, or said; never a guess."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from fmbench.encoder import EncoderPlan, Recipe
from fmbench.encoder.folder import read
from fmbench.errors import UsageError
from fmbench.source import read_config
from tests.text_models import DIMENSION, add_modules, save_bert, write_json
from tests.trials.damaged_folders import read_folder, tried

from .conftest import Load, text_arguments


@pytest.fixture
def folder(tmp_path: Path, tiny_text_model: Path) -> Path:
    shutil.copytree(tiny_text_model, tmp_path / "model")
    return add_modules(tmp_path / "model")


def changed(path: Path, **values: Any) -> None:
    """Put values into a JSON file; one that is ... is taken out."""
    merged = {**json.loads(path.read_text()), **values}
    write_json(path, {key: value for key, value in merged.items() if value is not ...})


@pytest.mark.parametrize("name", ["1_Pooling/config.json", "2_Dense/config.json"])
def test_a_module_without_its_configuration_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    for reader in (lambda: EncoderPlan.of(text_arguments(folder)), lambda: read(folder, query_side=True)):
        with pytest.raises(UsageError, match=rf"{name} is missing; the folder is not complete"):
            reader()


def test_a_layer_norm_is_complete_or_refused(folder: Path) -> None:
    from safetensors.torch import save_file

    modules = json.loads((folder / "modules.json").read_text())
    kind = "sentence_transformers.models.LayerNorm"
    write_json(folder / "modules.json", [*modules, {"path": "3_LayerNorm", "type": kind}])
    with pytest.raises(UsageError, match=r"3_LayerNorm/config.json is missing"):
        read(folder)
    write_json(folder / "3_LayerNorm" / "config.json", {"dimension": 4})
    save_file({"norm.weight": torch.ones(4)}, folder / "3_LayerNorm" / "model.safetensors")
    with pytest.raises(UsageError, match=r"norm.bias is not there; by 3_LayerNorm/config.json it should be \(4,\)"):
        read(folder)
    save_file({"norm.weight": torch.ones(4), "norm.bias": torch.ones(4)}, folder / "3_LayerNorm/model.safetensors")
    assert read(folder) is not None


def test_normalising_tokens_is_not_normalising_vectors(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    kind = "sentence_transformers.models.Normalize"
    write_json(folder / "modules.json", [*modules, {"path": "3_Normalize", "type": kind}])
    assert read(folder) is not None  # its folder may be missing
    write_json(folder / "3_Normalize" / "config.json", {"module_input_name": "token_embeddings"})
    with pytest.raises(UsageError, match="a module on token_embeddings is not supported"):
        read(folder)


def test_what_the_library_assumes_is_said(folder: Path, capsys: pytest.CaptureFixture) -> None:
    changed(folder / "2_Dense" / "config.json", activation_function=...)
    write_json(folder / "1_Pooling" / "config.json", {"embedding_dimension": DIMENSION})
    (folder / "sentence_bert_config.json").unlink()
    found = read(folder)
    assert found is not None and found.recipe.pooling == ("mean",)
    said = capsys.readouterr().err
    assert "2_Dense/config.json names no activation_function; Tanh is assumed" in said
    assert "1_Pooling/config.json names no pooling; mean is assumed" in said
    assert "sentence_bert_config.json is missing; the maximum length is assumed" in said


def test_a_folder_without_modules_says_that_its_pooling_is_assumed(folder: Path, capsys: pytest.CaptureFixture) -> None:
    (folder / "modules.json").unlink()
    EncoderPlan.of(text_arguments(folder))
    said = capsys.readouterr().err
    assert "has no modules.json: mean pooling is assumed, as sentence-transformers does" in said
    assert "1_Pooling, 2_Dense, sentence_bert_config.json beside it is not read: is the folder complete?" in said
    EncoderPlan.of(text_arguments(folder), Recipe(pooling=("cls",)))
    said = capsys.readouterr().err
    assert "assumed" not in said and "1_Pooling, 2_Dense" in said


def test_a_plain_model_says_no_more_than_that(tiny_text_model: Path, capsys: pytest.CaptureFixture) -> None:
    EncoderPlan.of(text_arguments(tiny_text_model), Recipe(pooling=("mean",)))
    assert capsys.readouterr().err == ""
    EncoderPlan.of(text_arguments(tiny_text_model))
    assert capsys.readouterr().err.endswith("mean pooling is assumed, as sentence-transformers does\n")


def test_a_missing_shard_is_named(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    write_json(folder / "model.safetensors.index.json", {"weight_map": shards})
    with pytest.raises(UsageError, match=r"model-00002-of-00002.safetensors is missing, and model.safetensors.index"):
        EncoderPlan.of(text_arguments(folder))


def test_the_prompts_are_said(folder: Path, capsys: pytest.CaptureFixture) -> None:
    write_json(folder / "config_sentence_transformers.json", {"prompts": {"query": "q: ", "passage": "p: "}})
    EncoderPlan.of(text_arguments(folder))
    said = capsys.readouterr().err
    assert "note: the prompt of a query is query, 'q: '" in said
    assert "a passage has no prompt, as with encode_document of" in said
    assert "--passage_prompt 'p: ' takes passage" in said
    plan = EncoderPlan.of(text_arguments(folder), Recipe(passage_prompt="p: ", query_prompt=""))
    assert capsys.readouterr().err == ""
    assert plan.prompt_names == {"query": None, "passage": None}
    assert (plan.prompt("query"), plan.prompt("passage")) == ("", "p: ")


def test_a_similarity_that_is_not_searched_by_is_refused_before_the_model_is_loaded(folder: Path) -> None:
    write_json(folder / "config_sentence_transformers.json", {"similarity_fn_name": "euclidean"})
    plan = EncoderPlan.of(text_arguments(folder))
    with pytest.raises(
        UsageError, match=r"config_sentence_transformers.json: .*euclidean.*dot and cosine.*--similarity"
    ):
        plan.similarity(None)
    assert plan.similarity("dot") == "dot"


ALL_TAKEN = (
    Recipe(query_prompt="x" * 70),
    Recipe(query_max_length=2),
    Recipe(query_prompt="ab cd ef", query_max_length=8),
)


@pytest.mark.parametrize("recipe", ALL_TAKEN)
def test_a_length_that_leaves_no_token_of_a_text_is_refused(folder: Path, load: Load, recipe: Recipe) -> None:
    with pytest.raises(UsageError, match="no text would be seen"):
        load(folder, recipe=recipe)


def test_a_prompt_that_leaves_one_token_is_honoured(folder: Path, load: Load) -> None:
    ours = load(folder, recipe=Recipe(query_prompt="ab cd ef", query_max_length=9))
    one, other = ours.encode(["a", "b"], "query")
    assert abs(one - other).max() > 0


def test_a_maximum_length_beyond_the_positions_is_said(folder: Path, load: Load, capsys: pytest.CaptureFixture) -> None:
    changed(folder / "sentence_bert_config.json", max_seq_length=100, query_length=90)
    found = load(folder).recipe
    assert (found.query_max_length, found.passage_max_length) == (64, 64)
    said = capsys.readouterr().err
    assert "its maximum length of 90 tokens is beyond the model's 64 positions; texts are cut at 64" in said
    assert "its maximum length of 100 tokens" in said


def test_what_the_tokenizer_is_told_goes_before_the_maximum_length(folder: Path, load: Load) -> None:
    changed(folder / "sentence_bert_config.json", processor_kwargs={"model_max_length": 7})
    assert load(folder).recipe.passage_max_length == 7


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("num_hidden_layers", 10**30, "num_hidden_layers is 10+"),
        ("num_hidden_layers", "2", 'num_hidden_layers is "2"; expected a whole number'),
        ("n_layer", 10**9, "n_layer is 1000000000; expected a whole number up to 10,000"),
        ("model_type", ["bert"], "model_type is .*; expected a text"),
        ("pad_token_id", "x", 'pad_token_id is "x"; expected a whole number'),
        ("architectures", 5, "architectures is 5; expected a text, or a list of texts"),
        ("dtype", 16, "dtype is 16; expected a text"),
    ],
)
def test_a_configuration_says_what_it_can_mean(folder: Path, key: str, value: Any, said: str) -> None:
    changed(folder / "config.json", **{key: value})
    with pytest.raises(UsageError, match=rf"config.json: {said}"):
        read_config(folder / "config.json")


@pytest.mark.slow
def test_damaged_folders_are_refused_in_one_line_or_read(folder: Path) -> None:
    write_json(folder / "config_sentence_transformers.json", {"prompts": {"query": "q: "}, "truncate_dim": 2})
    counts = tried(folder, 600, read_folder)
    assert counts["other"] == [] and 100 < counts["refused"] < 550


@pytest.mark.parametrize(("kept", "said"), [(200, True), (290, False)])
def test_a_list_of_tokens_that_was_cut_short_is_said(
    tmp_path: Path, load: Load, capsys: Any, kept: int, said: bool
) -> None:
    folder = save_bert(tmp_path / "model", vocab_size=400)
    words = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    words += [f"word{number}" for number in range(400 - len(words))]
    (folder / "vocab.txt").write_text("\n".join(words[:kept]) + "\n", encoding="utf-8")
    load(folder)
    assert (f"knows {kept} tokens and the model 400: is vocab.txt complete?" in capsys.readouterr().err) is said


def test_an_adapter_that_nobody_would_apply_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(folder / "adapter_config.json", {"peft_type": "LORA"})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "peft" else True)
    with pytest.raises(UsageError, match=r"adapter_config.json: an adapter belongs to this model, .* pip install peft"):
        EncoderPlan.of(text_arguments(folder))


def test_layers_that_the_configuration_leaves_out_are_said(folder: Path, load: Load, capsys: Any) -> None:
    layers = json.loads((folder / "config.json").read_text())["num_hidden_layers"]
    changed(folder / "config.json", num_hidden_layers=layers - 1)
    load(folder)
    assert "of layers that config.json does not have" in capsys.readouterr().err
