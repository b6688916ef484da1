"""Every family of text models: the right part is built, a text's vector is its own, and its limit is the real one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from fmbench import model, positions, source
from fmbench.encoder.batches import Batch
from fmbench.encoder.compute import collate
from fmbench.encoder.loading import check_padding
from fmbench.encoder.pooling import pool
from fmbench.encoder.tokens import Tokens
from fmbench.errors import UsageError
from fmbench.options import Arguments
from fmbench.source import Source

from .families import (
    ENCODER_DECODERS,
    FAMILIES,
    LEAKING,
    NOT_TEXT,
    PADDING,
    POSITIONS,
    SIZES,
    arguments_of,
    source_of,
    tiny_config,
)  # fmt: skip

pytestmark = pytest.mark.slow

POOLINGS = ("cls", "mean", "last", "max")
LENIENT = {"m2m_100", "prophetnet", "xglm"}  # make up further positions, or give the last one to all that follow
CLAIMING = {"codegen", "ctrl", "gptj", "mpt"}  # look positions up in other ways, as many as they claim


def load(config: dict[str, Any], model_class: str = "AutoModel", **options: Any) -> Any:
    if config["model_type"] not in transformers.CONFIG_MAPPING:
        pytest.skip(f"transformers {transformers.__version__} has no {config['model_type']}")
    return model.load(source_of(config), arguments_of(model_class, **options))


def family(model_type: str, **changes: Any) -> Any:
    if model_type not in transformers.CONFIG_MAPPING:
        pytest.skip(f"transformers {transformers.__version__} has no {model_type}")
    return load(tiny_config(model_type, **changes))


def run(built: Any, length: int) -> torch.Tensor:
    ids = torch.arange(length)[None] % 100 + 5
    with torch.no_grad():
        return built(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state


def vectors(built: Any, texts: list[np.ndarray], rows: list[int], prompt_length: int) -> torch.Tensor:
    starts = np.cumsum([0, *map(len, texts)])
    inputs = collate(
        Tokens(np.concatenate(texts), None, starts),
        Batch(np.array(rows), max(len(texts[row]) for row in rows), len(rows)), PADDING,
    )  # fmt: skip
    with torch.no_grad():
        hidden = built(**inputs).last_hidden_state
    return torch.stack([pool(hidden, inputs["attention_mask"], (mode,), prompt_length) for mode in POOLINGS], dim=1)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_texts_vector_does_not_depend_on_the_texts_beside_it(model_type: str) -> None:
    built = family(model_type)
    check_padding(built, PADDING)
    draw = np.random.default_rng(0)
    texts = [draw.integers(5, 120, size=length) for length in (9, 3, 30, 17, 9)]
    for prompt_length in (0, 2):
        together = vectors(built, texts, [2, 3, 0, 4, 1], prompt_length)
        for place, row in enumerate((2, 3, 0, 4, 1)):
            alone = vectors(built, texts, [row], prompt_length)[0]
            assert torch.cosine_similarity(alone, together[place], dim=-1).min() >= 0.99999, (row, prompt_length)


@pytest.mark.parametrize("model_type", LEAKING)
def test_a_model_that_takes_padding_for_tokens_is_refused(model_type: str) -> None:
    built = family(model_type)
    with pytest.raises(UsageError, match="would depend on the texts beside it"):
        check_padding(built, PADDING)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_the_limit_is_the_models_own(model_type: str) -> None:
    built = family(model_type)
    limit = positions.maximum_length(built)
    assert run(built, limit or 3 * POSITIONS).shape[1] == (limit or 3 * POSITIONS)
    absolute = bool(positions.looked_up(built)) or model_type in CLAIMING
    if limit is not None and absolute and model_type not in LENIENT:
        with pytest.raises((IndexError, RuntimeError, ValueError)):
            run(built, limit + 1)


@pytest.mark.parametrize(
    ("model_type", "limit"),
    [
        ("bert", 40), ("roberta", 38), ("esm", 38), ("mpnet", 38), ("longformer", 38), ("luke", 38), ("opt", 40),
        ("gpt2", 40), ("bart", 40), ("led", 1024),
        ("pegasus_x", 40), ("qwen3", 40), ("mpt", 40), ("t5", None), ("xlnet", None), ("bloom", None),
    ],
)  # fmt: skip
def test_limits_by_hand(model_type: str, limit: int | None) -> None:
    assert positions.maximum_length(family(model_type)) == limit


def test_what_t5_was_trained_with_is_no_limit() -> None:
    assert positions.maximum_length(family("t5", n_positions=32)) is None


@pytest.mark.parametrize("entry", source.catalogue().values(), ids=lambda entry: entry.name)
def test_the_catalogue_in_small(entry: source.Entry) -> None:
    kept = {"max_position_embeddings", "pad_token_id", "sliding_window", "vocab_size"}
    small = {key: value for key, value in SIZES.items() if key in entry.config and key not in kept}
    layers = {"layer_types": None} if "layer_types" in entry.config else {}
    built = load({**entry.config, **small, **layers, "dtype": "float32"}, entry.model_class)
    assert positions.maximum_length(built) == entry.max_length
    check_padding(built, int(entry.config.get("pad_token_id") or 0))


@pytest.mark.parametrize(("model_type", "name"), ENCODER_DECODERS.items())
def test_of_an_encoder_decoder_the_encoder(model_type: str, name: str, capsys: pytest.CaptureFixture) -> None:
    built = family(model_type)
    assert type(built).__name__ == name
    assert f"note: --model_class AutoModel: {name}, the encoder alone" in capsys.readouterr().err
    source = source_of(tiny_config(model_type))
    assert model.facts(built, source, arguments_of(), None)["model_class"] == name
    held = sum(parameter.numel() * parameter.element_size() for parameter in built.parameters())
    assert model.weight_bytes(source, arguments_of()) == held


@pytest.mark.parametrize("saved", ["T5Model", "T5EncoderModel", "T5ForConditionalGeneration", "BartModel"])
def test_the_encoders_weights_are_those_of_the_checkpoint(saved: str, tmp_path: Path, capsys) -> None:
    kind = getattr(transformers, saved)
    config = transformers.AutoConfig.for_model(**tiny_config("bart" if saved == "BartModel" else "t5"))
    torch.manual_seed(1)
    whole = kind(config).eval()
    whole.save_pretrained(tmp_path)
    source = Source("folder", str(tmp_path), json.loads((tmp_path / "config.json").read_text()))
    given = arguments_of()
    built = model.load(
        source, Arguments(platform="cpu", model_class="AutoModel", model_name="x", options=given.options)
    )
    assert built.fmbench_missing_weights == 0
    assert "warning" not in capsys.readouterr().err
    ids = torch.arange(5, 12)[None]
    with torch.no_grad():
        expected = whole.get_encoder()(input_ids=ids).last_hidden_state
        assert torch.equal(built(input_ids=ids).last_hidden_state, expected)


@pytest.mark.parametrize("model_type", ["qwen3", "gpt2", "bert", "falcon", "xlnet"])
def test_nothing_is_kept_for_generation_unless_it_is_asked_for(model_type: str) -> None:
    config = tiny_config(model_type, output_hidden_states=True, use_cache=True)
    output = load(config)(input_ids=torch.arange(5, 12)[None])
    assert list(output.keys()) in (["last_hidden_state"], ["last_hidden_state", "pooler_output"])
    asked = load(config, output_hidden_states=True)
    assert "hidden_states" in asked(input_ids=torch.arange(5, 12)[None])


def test_the_cache_stands_in_the_record() -> None:
    config = tiny_config("qwen3")
    for options, expected in (({}, False), ({"use_cache": True}, True)):
        given = arguments_of(**options)
        built = model.load(source_of(config), given)
        assert model.facts(built, source_of(config), given, None)["use_cache"] is expected
        assert ("past_key_values" in built(input_ids=torch.arange(5, 12)[None])) is expected
    bert = tiny_config("distilbert")
    assert model.facts(load(bert), source_of(bert), arguments_of(), None)["use_cache"] is None


def test_a_language_models_head_is_said(capsys: pytest.CaptureFixture) -> None:
    load(tiny_config("qwen3"), "AutoModelForCausalLM")
    assert "Qwen3ForCausalLM also computes a logit for every word" in capsys.readouterr().err
    load(tiny_config("qwen3"))
    assert capsys.readouterr().err == ""


def test_a_model_that_changes_with_what_it_reads_is_refused() -> None:
    with pytest.raises(UsageError, match="replaces its BigBirdBlockSparseAttention .*original_full"):
        positions.maximum_length(family("big_bird"))
    assert positions.maximum_length(family("big_bird", attention_type="original_full")) == POSITIONS


@pytest.mark.parametrize("model_type", NOT_TEXT)
def test_a_model_that_reads_no_texts_is_refused(model_type: str) -> None:
    with pytest.raises(UsageError, match="not the token ids of texts"):
        positions.maximum_length(family(model_type))


def test_a_model_that_wants_more_than_a_text_is_refused() -> None:
    with pytest.raises(UsageError, match="XmodModel reads no plain texts"):
        check_padding(family("xmod"), PADDING)


def test_the_probe_leaves_the_model_as_it_was() -> None:
    built = family("roberta")
    before = run(built, 9)
    positions.maximum_length(built)
    assert torch.equal(run(built, 9), before)
