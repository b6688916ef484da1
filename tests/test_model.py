import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fmbench import model
from fmbench.errors import UsageError
from fmbench.options import Arguments, parse_arguments
from fmbench.source import Source, locate
from tests.text_models import save_bert


def arguments(root: Path, *more: str, model_class: str = "BertModel", name: str = "tiny") -> Arguments:
    shared = ["--platform", "cpu", "--input_sizes", "8", "--batch_sizes", "1", "--reps", "1"]
    shared += [] if "--weights" in more else ["--weights", "random"]
    return parse_arguments(
        [*shared, "--model_class", model_class, "--model_root", str(root), "--model_name", name, *more]
    ).evaluated()


def load(given: Arguments) -> torch.nn.Module:
    return model.load(locate(given), given)


def test_random_weights_are_seeded_and_in_evaluation_mode(tiny_root: Path) -> None:
    one, same, other = (load(arguments(tiny_root, "--seed", seed)).state_dict() for seed in ("1", "1", "2"))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one["embeddings.word_embeddings.weight"], other["embeddings.word_embeddings.weight"])
    assert load(arguments(tiny_root)).training is False


def test_random_weights_say_where_their_tokenizer_lies(tiny_root: Path) -> None:
    assert load(arguments(tiny_root)).name_or_path == str(tiny_root / "tiny")


def test_an_auto_class_builds_what_the_configuration_says(tiny_root: Path) -> None:
    built = load(arguments(tiny_root, "--model:dtype", "torch.bfloat16", model_class="AutoModel"))
    assert type(built).__name__ == "BertModel"
    assert built.dtype == torch.bfloat16


def test_the_published_dtype_is_the_default() -> None:
    given = replace(arguments(Path(), name="x"), options={"model": {}})
    granite = Source("catalogue", "x", {"dtype": "bfloat16"})
    assert model.take_dtype({}, granite) == torch.bfloat16
    assert model.take_dtype({}, Source("folder", "x", {"torch_dtype": "float16"})) == torch.float16
    assert model.take_dtype({}, Source("folder", "x", {})) is None  # the checkpoint decides
    assert model.take_dtype({"dtype": torch.float64}, granite) == torch.float64
    assert given.options == {"model": {}}


@pytest.mark.parametrize("said", [(), ("--model:dtype", "auto")])
def test_the_dtype_is_that_of_the_configuration_then_of_the_checkpoint(tmp_path: Path, said: tuple[str, ...]) -> None:
    folder = save_bert(tmp_path / "tiny")
    pretrained = ("--weights", "pretrained", *said)

    def dtype_of(weights: torch.dtype, published: str | None, *more: str) -> torch.dtype:
        import transformers

        transformers.BertModel.from_pretrained(folder, dtype=weights).save_pretrained(folder)
        config = json.loads((folder / "config.json").read_text())
        config.pop("dtype", None), config.pop("torch_dtype", None)
        (folder / "config.json").write_text(json.dumps({**config, **({"dtype": published} if published else {})}))
        ours = load(arguments(tmp_path, *more)).dtype
        if more == pretrained:  # the library itself, asked for nothing else
            assert ours == transformers.BertModel.from_pretrained(folder, dtype="auto").dtype
        return ours

    assert dtype_of(torch.bfloat16, None, *pretrained) == torch.bfloat16
    assert dtype_of(torch.float16, None, *pretrained) == torch.float16
    assert dtype_of(torch.bfloat16, "float32", *pretrained) == torch.float32
    assert dtype_of(torch.float32, "float16", *pretrained) == torch.float16
    assert dtype_of(torch.bfloat16, None, *said) == torch.float32  # random weights follow the configuration
    assert dtype_of(torch.float32, "bfloat16", *said) == torch.bfloat16


def test_the_bytes_of_a_checkpoint_that_says_its_dtype_alone(tmp_path: Path) -> None:
    folder = save_bert(tmp_path / "tiny")
    import transformers

    transformers.BertModel.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": None}))
    given = arguments(tmp_path, "--weights", "pretrained")
    loaded = load(given)
    needed = sum(parameter.numel() * parameter.element_size() for parameter in loaded.parameters())
    assert needed <= model.weight_bytes(locate(given), given) < 1.2 * needed


def test_no_dtype_in_the_configuration_is_named_as_its(tiny_root: Path) -> None:
    with pytest.raises(UsageError, match=r"x: config.json: dtype floot16: no dtype of torch; did you mean"):
        model.take_dtype({}, Source("folder", "x", {"dtype": "floot16"}))


@pytest.mark.parametrize(
    ("version", "key"), [("4.53.0", "torch_dtype"), ("4.55.4", "torch_dtype"), ("4.56.0", "dtype"), ("5.23.0", "dtype")]
)
def test_the_dtypes_name_by_version(version: str, key: str) -> None:
    assert model.dtype_key(version) == key


def test_special_ids_come_from_the_tokenizer_or_the_configuration(minilm: Path, tiny_root: Path) -> None:
    with_tokenizer = Source("folder", str(minilm), {"vocab_size": 30522})
    assert model.special_ids(with_tokenizer) == ({0, 100, 101, 102, 103}, 30522)
    given = arguments(tiny_root)
    assert model.special_ids(locate(given)) == ({0, 2}, 200)
    assert model.special_ids(
        Source("catalogue", "x", {"vocab_size": 9, "eos_token_id": [7, 8], "pad_token_id": None})
    ) == ({7, 8}, 9)


def test_a_configuration_that_names_no_vocabulary() -> None:
    with pytest.raises(UsageError, match="neither a tokenizer nor a vocab_size"):
        model.special_ids(Source("catalogue", "x", {}))


def test_an_unknown_model_type_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.json").write_text('{"model_type": "no_such_type"}')
    with pytest.raises(UsageError, match="no_such_type"):
        load(arguments(tmp_path))


def test_what_torchao_rounds_is_computed_in_what_it_rounds_inputs_to() -> None:
    quantization = pytest.importorskip("torchao.quantization", reason="pip install 'fmbench[int8]'")
    both, weights = quantization.Int8DynamicActivationInt8WeightConfig(), quantization.Int8WeightOnlyConfig()
    for config, precision in ((both, "int8"), (weights, None), (None, None)):
        module = torch.nn.Sequential(torch.nn.Embedding(999, 64), torch.nn.Linear(64, 64), torch.nn.Linear(64, 2))
        if config is not None:
            quantization.quantize_(module, config, lambda part, name: name == "1")  # the head stays as it is
        assert model.rounded_to(module) == precision
    assert model.rounded_to(torch.nn.Embedding(9, 9)) is None
