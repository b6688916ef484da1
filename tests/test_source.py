import json
from pathlib import Path

import pytest

from fmbench.errors import UsageError
from fmbench.model_class import check_exists
from fmbench.options import Arguments, parse_arguments
from fmbench.source import Entry, Source, catalogue, locate


def arguments(*more: str, model_class: str = "BertModel", model_name: str = "tiny") -> Arguments:
    shared = ["--platform", "cpu", "--input_sizes", "8", "--batch_sizes", "1", "--reps", "1"]
    return parse_arguments([*shared, "--model_class", model_class, "--model_name", model_name, *more])


def test_a_folder_by_root_and_name_or_by_its_whole_path(tiny_root: Path) -> None:
    by_root = locate(arguments("--weights", "random", "--model_root", str(tiny_root)))
    by_path = locate(arguments("--weights", "random", model_name=str(tiny_root / "tiny")))
    assert by_root == by_path
    assert (by_root.kind, by_root.location, by_root.claimed_length) == ("folder", str(tiny_root / "tiny"), 64)


def test_the_catalogue_needs_no_folder() -> None:
    found = locate(arguments("--weights", "random", model_name="BAAI/bge-small-en-v1.5"))
    assert (found.kind, found.location, found.claimed_length) == ("catalogue", "BAAI/bge-small-en-v1.5", 512)


def test_real_weights(minilm: Path) -> None:
    found = locate(arguments("--model_root", str(minilm.parent), model_name="model"))
    assert (found.kind, found.config["hidden_size"]) == ("folder", 384)


def test_an_unknown_class_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"--model_class RobretaModel: .*did you mean RobertaModel"):
        check_exists("RobretaModel")


@pytest.mark.parametrize(
    "name", ["BertModel", "AutoModel", "RobertaModel", "Qwen3Model", "BertLMHeadModel", "BertPreTrainedModel"]
)
def test_known_classes(name: str) -> None:
    check_exists(name)


def test_a_missing_folder_says_what_was_tried(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"no model folder at {tmp_path}/org/name .*leave --model_root out"):
        locate(arguments("--model_root", str(tmp_path), model_name="org/name"))


def test_a_missing_folder_of_the_catalogue_offers_random_weights(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--weights random builds BAAI/bge-small-en-v1.5"):
        locate(arguments("--model_root", str(tmp_path), model_name="BAAI/bge-small-en-v1.5"))


def test_random_weights_without_a_configuration_name_the_nearest() -> None:
    with pytest.raises(
        UsageError, match="no configuration of BAAI/bge-smal-en-v1.5.*did you mean BAAI/bge-small-en-v1.5"
    ):
        locate(arguments("--weights", "random", model_name="BAAI/bge-smal-en-v1.5"))


@pytest.mark.parametrize(("text", "said"), [("{", "not readable as JSON"), ("[]", "no JSON object")])
def test_a_damaged_configuration(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UsageError, match=said):
        locate(arguments("--weights", "random", model_name=str(tmp_path)))


def test_a_folder_without_weights_offers_random_ones(tiny_root: Path) -> None:
    with pytest.raises(UsageError, match="no model.safetensors; --weights random"):
        locate(arguments("--model_root", str(tiny_root)))


def test_pickled_weights_are_refused_until_trusted(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UsageError, match="pickled .*--model:use_safetensors@ False"):
        locate(arguments(model_name=str(tmp_path)))
    assert locate(arguments("--model:use_safetensors@", "False", model_name=str(tmp_path))).kind == "folder"


def test_an_unreachable_hub_is_one_line_and_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(
        huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9"
    )  # the discard port: refused at once
    with pytest.raises(UsageError, match=r"no folder no-such/model here.*127\.0\.0\.1:9 does not answer"):
        locate(arguments(model_name="no-such/model"))


@pytest.mark.parametrize("name", ["./typo", "../typo", "~/typo", "typo/", "a/b/c", "..", "./a/b", "here.json"])
def test_a_path_is_never_taken_for_a_model_of_the_hub(name: str, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "here.json").write_text("{}")
    monkeypatch.chdir(tmp_path / "inside")
    with pytest.raises(UsageError, match="no model folder at|the folder holds no config.json"):
        locate(arguments(model_name=name))


def test_offline_mode_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UsageError, match="HF_HUB_OFFLINE forbids"):
        locate(arguments(model_name="no-such/model"))


def test_a_model_in_the_hubs_cache_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    commit = "0" * 40
    repo = tmp_path / "models--org--cached"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(commit)
    (repo / "snapshots" / commit).mkdir(parents=True)
    (repo / "snapshots" / commit / "config.json").write_text(json.dumps({"max_position_embeddings": 77}))
    found = locate(arguments("--model:cache_dir", str(tmp_path), model_name="org/cached"))
    assert (found.kind, found.location, found.claimed_length) == ("hub", "org/cached", 77)


@pytest.mark.parametrize(
    ("config", "claimed"),
    [
        ({"max_position_embeddings": 512}, 512),
        ({"n_positions": 8192}, None),
        ({}, None),
        ({"max_position_embeddings": -1}, None),
    ],
)
def test_what_a_configuration_claims(config: dict, claimed: int | None) -> None:
    assert Source("folder", "x", config).claimed_length == claimed


def test_sizes_beyond_the_positions(tiny_root: Path) -> None:
    found = locate(arguments("--weights", "random", "--model_root", str(tiny_root)))
    found.check_lengths((1, 64), 64)
    with pytest.raises(UsageError, match="--input_sizes 65,100: .* has 64 positions"):
        found.check_lengths((64, 65, 100), 64)


def test_an_overridden_position_count_counts(tiny_root: Path) -> None:
    root = ["--weights", "random", "--model_root", str(tiny_root)]
    assert locate(arguments(*root, "--model:max_position_embeddings@", "128")).claimed_length == 128


def test_a_class_of_another_type_is_refused(minilm: Path) -> None:
    with pytest.raises(UsageError, match="--model_class RobertaModel: .* is of type bert; its class is BertModel"):
        locate(arguments(model_class="RobertaModel", model_name=str(minilm)))
    with pytest.raises(UsageError, match="its class is XLMRobertaModel"):
        locate(arguments("--weights", "random", model_name="intfloat/multilingual-e5-large"))


@pytest.mark.parametrize("name", ["BertModel", "AutoModel", "BertForMaskedLM", "BertPreTrainedModel"])
def test_classes_that_suit(name: str, tiny_root: Path) -> None:
    assert locate(arguments("--weights", "random", "--model_root", str(tiny_root), model_class=name)).kind == "folder"


@pytest.mark.parametrize("entry", catalogue().values(), ids=lambda entry: entry.name)
def test_the_catalogues_classes_suit(entry: Entry) -> None:
    found = locate(arguments("--weights", "random", model_class=entry.model_class, model_name=entry.name))
    assert found.config["model_type"] == entry.config["model_type"]
