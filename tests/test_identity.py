"""Which edits make another model of a folder, part by part, and which do not."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from fmbench import digest
from fmbench.encoder import EncoderPlan
from fmbench.identity import identify
from fmbench.options import Arguments
from tests.encoder.conftest import text_arguments
from tests.tiny_model import write_model

TRUSTED = "--model:trust_remote_code@=True"
CODE = "from .helper import scale\n\n\nclass Model:\n    factor = scale\n"


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder with everything that a model may have: code, vocabularies, a Dense module."""
    folder = write_model(tmp_path_factory.mktemp("identity") / "model")
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n")
    (folder / "special_tokens_map.json").write_text('{"cls_token": "[CLS]"}')
    (folder / "modeling_own.py").write_text(CODE)
    (folder / "helper.py").write_text("scale = 2\n")
    (folder / "train_script.py").write_text("print('training')\n")
    edit(folder / "config.json", auto_map={"AutoModel": "modeling_own.Model"}, layer_norm_eps=1e-12)
    prompts = {"__version__": {"transformers": "4.1"}, "prompts": {"query": "q: ", "document": ""}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    listed = json.loads((folder / "modules.json").read_text())
    listed.insert(2, {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"})
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "2_Dense").mkdir()
    dense = {"in_features": 32, "out_features": 32, "bias": False, "activation_function": "torch.nn.Identity"}
    (folder / "2_Dense" / "config.json").write_text(json.dumps(dense))
    save_file({"linear.weight": torch.eye(32)}, folder / "2_Dense" / "model.safetensors")
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "model"))


def edit(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file; None takes a key away."""
    kept = {key: value for key, value in json.loads(path.read_text()).items() if key not in changes}
    path.write_text(json.dumps(kept | {key: value for key, value in changes.items() if value is not None}))


def parts(folder: Path, *suboptions: str, **fixed: Any) -> dict[str, str | None]:
    arguments: Arguments = text_arguments(folder, *suboptions, **fixed)
    plan = EncoderPlan.of(arguments)
    return dict(identify(plan.source, arguments.evaluated(), plan.folder.path).parts)


def edit_weights(folder: Path) -> None:
    save_file({"anything": torch.ones(1)}, folder / "model.safetensors")


def edit_dense(folder: Path) -> None:
    save_file({"linear.weight": torch.ones(32, 32)}, folder / "2_Dense" / "model.safetensors")


DECIDING = {
    "weights": ("weights", edit_weights),
    "hidden_act": ("configuration", lambda folder: edit(folder / "config.json", hidden_act="relu")),
    "layer_norm_eps": ("configuration", lambda folder: edit(folder / "config.json", layer_norm_eps=0.5)),
    "modeling": ("code", lambda folder: (folder / "modeling_own.py").write_text(CODE + "# other\n")),
    "imported": ("code", lambda folder: (folder / "helper.py").write_text("scale = 3\n")),
    "auto_map": ("code", lambda folder: edit(folder / "config.json", auto_map={"AutoModel": "modeling_own.Other"})),
    "tokenizer": ("tokenizer", lambda folder: edit(folder / "tokenizer.json", added_tokens=[])),
    "vocabulary": ("tokenizer", lambda folder: (folder / "vocab.txt").write_text("[PAD]\n")),
    "special tokens": ("tokenizer", lambda folder: edit(folder / "special_tokens_map.json", sep="[SEP]")),
    "lower case": ("tokenizer", lambda folder: edit(folder / "tokenizer_config.json", do_lower_case=False)),
    "pooling": ("modules", lambda folder: edit(folder / "1_Pooling" / "config.json", pooling_mode="cls")),
    "length": ("modules", lambda folder: edit(folder / "sentence_bert_config.json", max_seq_length=9)),
    "prompt": ("modules", lambda folder: edit(folder / "config_sentence_transformers.json", prompts={"query": "?"})),
    "similarity": ("modules", lambda f: edit(f / "config_sentence_transformers.json", similarity_fn_name="dot")),
    "dense weights": ("modules", edit_dense),
    "activation": ("modules", lambda f: edit(f / "2_Dense" / "config.json", activation_function="torch.nn.Tanh")),
}


@pytest.mark.parametrize(("part", "change"), DECIDING.values(), ids=DECIDING)
def test_what_decides_a_vector_makes_another_model_and_the_part_is_named(part, change, folder: Path) -> None:
    before = parts(folder, TRUSTED)
    change(folder)
    after = parts(folder, TRUSTED)
    assert [name for name in before if before[name] != after[name]] == [part]


def reorder(path: Path) -> None:
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(whole.items())), indent=3))


HARMLESS = {
    "key order": lambda folder: [reorder(folder / name) for name in ("config.json", "tokenizer.json")],
    "name": lambda folder: edit(folder / "config.json", _name_or_path="/home/me/model"),
    "version": lambda folder: edit(folder / "config.json", transformers_version="4.0.0"),
    "versions": lambda folder: edit(folder / "config_sentence_transformers.json", __version__={"pytorch": "1"}),
    "tokenizer's name": lambda folder: edit(folder / "tokenizer_config.json", name_or_path="/home/me/model"),
    "number": lambda f: (f / "config.json").write_text((f / "config.json").read_text().replace("1e-12", "0.1e-11")),
    "readme": lambda folder: (folder / "README.md").write_text("A model.\n"),
    "code that is not reached": lambda folder: (folder / "train_script.py").write_text("pass\n"),
    "time": lambda folder: os.utime(folder / "model.safetensors", (1, 1)),
}


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_what_decides_nothing_leaves_the_model_the_same(change, folder: Path) -> None:
    before = parts(folder, TRUSTED)
    change(folder)
    assert parts(folder, TRUSTED) == before


def test_where_a_folder_lies_decides_nothing(folder: Path, tmp_path: Path) -> None:
    assert parts(folder, TRUSTED) == parts(Path(shutil.copytree(folder, tmp_path / "elsewhere")), TRUSTED)


def test_an_override_is_the_same_as_the_edit_of_the_file(folder: Path) -> None:
    plain = parts(folder)
    overridden = parts(folder, "--model:hidden_act=relu")
    edit(folder / "config.json", hidden_act="relu")
    assert overridden == parts(folder) != plain
    assert overridden["weights"] == plain["weights"]


def test_dtype_and_attention_are_facts_of_their_own(folder: Path) -> None:
    assert parts(folder, "--model:dtype=bfloat16", "--model:attn_implementation=eager") == parts(folder)


def test_code_counts_where_it_is_trusted_only(folder: Path) -> None:
    assert parts(folder)["code"] is None and parts(folder, TRUSTED)["code"] is not None
    edit(folder / "config.json", auto_map=None)
    assert parts(folder, TRUSTED)["code"] is None


def test_code_of_another_repository_is_read_where_it_is(folder: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "models--some--code" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    (snapshot / "modeling_own.py").write_text(CODE)
    (snapshot / "helper.py").write_text("scale = 2\n")
    edit(folder / "config.json", auto_map={"AutoModel": "some/code--modeling_own.Model"})
    options = (TRUSTED, f"--model:cache_dir={tmp_path / 'hub'}")
    before = parts(folder, *options)
    (snapshot / "helper.py").write_text("scale = 3\n")
    after = parts(folder, *options)
    assert before["code"] != after["code"] and before["code"] is not None


def test_a_hub_model_is_told_by_what_its_cache_holds(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = tmp_path / "hub" / "models--some--model" / "snapshots" / "abc"
    shutil.copytree(folder, snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    options = (TRUSTED, f"--model:cache_dir={tmp_path / 'hub'}")
    assert parts(Path("some/model"), *options) == parts(folder, TRUSTED)
    edit(snapshot / "config.json", hidden_act="relu")
    (snapshot / "helper.py").write_text("scale = 3\n")
    changed, before = parts(Path("some/model"), *options), parts(folder, TRUSTED)
    assert [name for name in before if before[name] != changed[name]] == ["configuration", "code"]


def test_random_weights_are_told_by_what_they_are_drawn_from(folder: Path) -> None:
    one, same, other = (parts(folder, weights="random", seed=seed) for seed in (1, 1, 2))
    assert one == same and one["weights"] != other["weights"]
    edit(folder / "config.json", transformers_version="4.0.0")
    assert parts(folder, weights="random", seed=1) == one


def test_nothing_is_read_twice_in_a_run(folder: Path) -> None:
    parts(folder, TRUSTED)
    read = digest.digest_of_seen.cache_info().misses
    parts(folder, TRUSTED)
    assert digest.digest_of_seen.cache_info().misses == read
    edit_weights(folder)
    parts(folder, TRUSTED)
    assert digest.digest_of_seen.cache_info().misses == read + 1
