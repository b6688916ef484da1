import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from fmbench.backends.cpu import CpuBackend
from fmbench.encoder import CHUNK, BadVectorError, Encoder, EncoderPlan, Recipe, add_encoder_arguments, take_recipe
from fmbench.encoder.batches import Batch
from fmbench.encoder.compute import collate
from fmbench.encoder.encoder import AHEAD
from fmbench.encoder.pooling import pool
from fmbench.encoder.tokens import Tokens
from fmbench.errors import UsageError
from fmbench.options import add_model_arguments, read
from fmbench.parsing import Parser
from tests.text_models import DIMENSION, save_bert, save_family, write_json

from .conftest import Load, text_arguments

TEXTS = ["one", "", "a longer text of some words", " \n", "two 2", "日本", "z" * 500, "é"]


@pytest.fixture
def tiny(load: Load, tiny_text_model: Path) -> Encoder:
    return load(tiny_text_model)


def tokenising_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("tokenise")]


@pytest.mark.slow
def test_the_vectors_of_sentence_transformers(load: Load, minilm: Path) -> None:
    """docs/benchmarks.md has the same for every text of SciFact."""
    library = pytest.importorskip("sentence_transformers")
    texts = [*TEXTS, "What is a vitamin?", "word " * 3000, "Zero-dimensional biomaterials lack inductive properties."]
    ours = load(minilm).encode(texts)
    theirs = library.SentenceTransformer(str(minilm), device="cpu").encode(texts)
    assert ours.dtype == np.float32 and ours.shape == (len(texts), 384)
    assert (ours.astype(np.float64) * theirs).sum(axis=1).min() > 0.999999
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)


def test_a_chunks_vectors_do_not_depend_on_its_neighbours(tiny: Encoder) -> None:
    chunks = [TEXTS, ["other", "texts"], TEXTS[:3]]
    together = list(tiny.encode_chunks(chunks, "passage"))
    for chunk, vectors in zip(chunks, together, strict=True):
        (alone,) = tiny.encode_chunks([chunk], "passage")
        assert np.array_equal(vectors, alone)


def test_the_order_is_that_of_the_texts_over_many_chunks(load: Load, tiny_text_model: Path) -> None:
    texts = [f"{'x' * (index % 7)} {index}" for index in range(CHUNK + 50)]
    ours = load(tiny_text_model, recipe=Recipe(tokens_per_batch=4096)).encode(texts)
    few = [0, 1, 17, CHUNK - 1, CHUNK, CHUNK + 49]
    expected = load(tiny_text_model, recipe=Recipe(tokens_per_batch=1)).encode([texts[index] for index in few])
    np.testing.assert_allclose(ours[few], expected, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last", "max"])
def test_one_text_takes_no_thread_and_gives_the_vector_of_the_long_way(
    load: Load, tiny_text_model: Path, monkeypatch: pytest.MonkeyPatch, pooling: str
) -> None:
    encoder = load(tiny_text_model, recipe=Recipe(pooling=(pooling,), normalise=True))
    texts = [text for text in TEXTS if text.strip()]
    masks = []
    monkeypatch.setattr("fmbench.encoder.compute.pool", lambda hidden, mask, *more: masks.append(mask is not None)
                        or pool(hidden, torch.ones(hidden.shape[:2], dtype=torch.int64), *more))  # fmt: skip
    expected = [next(encoder.encode_chunks([[text]], "query")) for text in texts]
    assert not any(masks)  # no padding, so none was needed
    monkeypatch.undo()
    monkeypatch.setattr("fmbench.encoder.encoder.ahead", None)
    for text, vector in zip(texts, expected, strict=True):
        assert np.array_equal(encoder.encode([text], "query"), vector)


def test_nothing_to_encode(tiny: Encoder) -> None:
    assert tiny.encode([]).shape == (0, DIMENSION)
    assert next(tiny.encode_chunks([[]], "query")).shape == (0, DIMENSION)


def test_what_is_counted(tiny: Encoder) -> None:
    tiny.encode(TEXTS)
    found = tiny.timings
    assert (found.texts, found.empty_texts) == (8, 2)
    # [CLS] and [SEP]; 500 times z is one unknown word of WordPiece
    assert found.tokens == sum([3, 0, 22, 0, 4, 2, 1, 1]) + 2 * 8
    assert found.padded_tokens >= found.tokens and found.batches == 1
    assert set(found.seconds) == {"tokenise", "collate", "forward", "pool"}
    assert all(seconds > 0 for seconds in found.seconds.values())
    assert set(found.phases) == {"warm_up", "look_again"} and found.one_off > 0


def test_gradients_are_off_without_being_asked(tiny: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    forward = tiny._compute._forward

    def spy(batch):
        seen.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled()))
        return forward(batch)

    monkeypatch.setattr(tiny._compute, "_forward", spy)
    with torch.enable_grad():
        one = tiny.encode(["a"])
        monkeypatch.setattr(CpuBackend, "inference_mode", False)
        other = tiny.encode(["a"])
        assert torch.is_grad_enabled()
    assert seen == [(False, True), (False, True), (False, False)]  # the first one is the warm-up
    assert np.array_equal(one, other)


def test_a_platform_that_runs_no_torch_pools_on_the_host(tiny: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = tiny.encode(TEXTS)
    monkeypatch.setattr(CpuBackend, "runs_torch", False)
    assert np.array_equal(tiny.encode(TEXTS), expected)


def test_several_threads_at_once(tiny: Encoder) -> None:
    texts = [[f"{letter} {index}" for index in range(40)] for letter in "abcdef"]
    expected = [tiny.encode(each) for each in texts]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(tiny.encode, texts * 3))
    assert all(np.array_equal(one, other) for one, other in zip(found, expected * 3, strict=True))
    assert tiny.timings.texts == 4 * 6 * 40


def test_the_tokeniser_is_only_a_little_ahead_and_ends_with_its_reader(tiny: Encoder) -> None:
    read_so_far = []

    def chunks():
        for index in range(100):
            read_so_far.append(index)
            yield [str(index)]

    vectors = tiny.encode_chunks(chunks(), "query")
    for count in (1, 2, 3):
        next(vectors)
        assert len(read_so_far) <= count + AHEAD
    vectors.close()
    assert not tokenising_threads()


def test_ctrl_c_ends_the_thread(tiny: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(batch):
        raise KeyboardInterrupt

    monkeypatch.setattr(tiny._compute, "_forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tiny.encode(["a"] * 3 * CHUNK)
    assert not tokenising_threads()


def test_what_goes_wrong_in_the_thread_is_raised_here(tiny: Encoder) -> None:
    def chunks():
        yield ["fine"]
        raise UsageError("line 7 is no JSON")

    vectors = tiny.encode_chunks(chunks(), "passage")
    next(vectors)
    with pytest.raises(UsageError, match="line 7 is no JSON"):
        next(vectors)
    assert not tokenising_threads()


def test_a_vector_without_numbers_is_refused_and_its_text_named(load: Load, tmp_path: Path) -> None:
    folder = save_bert(tmp_path / "nan")
    encoder = load(folder)
    tokenizer_row = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n").index("q")
    with torch.no_grad():
        encoder._compute._platform.model.embeddings.word_embeddings.weight[tokenizer_row] = float("nan")
    encoder.encode(["fine", "also fine"])
    with pytest.raises(
        BadVectorError,
        match="'q is the bad letter': its vector holds NaN or infinity, as --platform cpu computed it; check",
    ) as caught:
        encoder.encode(["fine", "q is the bad letter", "fine"])
    assert caught.value.position == 1 and caught.value.exit_code == 3


def test_half_precision_gives_float32_vectors(load: Load, tiny_text_model: Path) -> None:
    half = load(tiny_text_model, "--model:dtype=bfloat16")
    vectors = half.encode(TEXTS)
    assert vectors.dtype == np.float32 and half.key("query")["dtype"] == "bfloat16"
    full = load(tiny_text_model).encode(TEXTS)
    cosine = (vectors * full).sum(1) / np.linalg.norm(vectors, axis=1) / np.linalg.norm(full, axis=1)
    assert 0.99 < cosine.min() < 0.999999


MKLDNN = "--torch.set:backends.mkldnn.enabled@=True"
CHANGES = [
    Recipe(pooling=("cls",)), Recipe(normalise=True), Recipe(truncate_dim=4), Recipe(query_prompt="q: "),
    Recipe(query_max_length=7), Recipe(include_prompt=False),
]  # fmt: skip


def test_the_key_holds_whatever_changes_a_vector(load: Load, tiny_text_model: Path, tmp_path: Path) -> None:
    same = load(tiny_text_model).key("query")
    assert same == load(tiny_text_model, recipe=Recipe(passage_prompt="p: ", tokens_per_batch=64)).key("query")
    moved = save_bert(tmp_path / "moved")
    assert load(moved).key("query") == same
    others = [load(tiny_text_model, recipe=recipe).key("query") for recipe in CHANGES]
    others += [
        load(tiny_text_model, option).key("query")
        for option in ("--model:dtype=bfloat16", "--model:attn_implementation=eager", MKLDNN)
    ]
    others.append(load(save_bert(tmp_path / "other", seed=1)).key("query"))
    tokenizer = save_bert(tmp_path / "tokenizer")
    config = json.loads((tokenizer / "tokenizer_config.json").read_text())
    (tokenizer / "tokenizer_config.json").write_text(json.dumps({**config, "do_lower_case": True}))
    others.append(load(tokenizer).key("query"))
    written = [json.dumps(key, sort_keys=True) for key in (same, *others)]
    assert len(set(written)) == len(written)
    assert {"weights", "tokenizer", "backend", "precision", "libraries", "modules"} <= same.keys()


def test_no_secret_and_nothing_without_effect_is_in_the_key(load: Load, tiny_text_model: Path) -> None:
    plain = load(tiny_text_model).key("passage")
    said = load(tiny_text_model, "--model:token=hf_secret", "--model:local_files_only@=True",
                "--torch.call:set_grad_enabled@=False").key("passage")  # fmt: skip
    assert said == plain


@pytest.mark.parametrize(
    ("fixed", "recipe", "said"),
    [
        ({"platform": "null"}, Recipe(), "--platform null: no model runs there"),
        ({}, Recipe(query_max_length=65), r"--query_max_len 65: .* has 64 positions"),
        ({}, Recipe(pooling=("sum",)), "--pooling sum: write cls, mean, last, max"),
        ({}, Recipe(truncate_dim=33), "--truncate_dim 33: the vectors have 32 numbers"),
        ({"model_class": "BertForMaskedLM"}, Recipe(), "no last_hidden_state; take the base class"),
    ],
)
def test_what_cannot_be(load: Load, tiny_text_model: Path, fixed: dict, recipe: Recipe, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load(tiny_text_model, recipe=recipe, **fixed).encode(["a"])


def test_texts_need_a_tokenizer(load: Load, tiny_root: Path) -> None:
    with pytest.raises(UsageError, match="the catalogue has no tokenizer"):
        load(Path("sentence-transformers/all-MiniLM-L6-v2"), weights="random", model_class="BertModel")
    with pytest.raises(UsageError, match="tokenizer"):
        load(tiny_root / "tiny", weights="random")


def test_random_weights_beside_a_real_tokenizer(load: Load, tiny_text_model: Path) -> None:
    one, same = (load(tiny_text_model, weights="random", seed=3) for _ in range(2))
    assert np.array_equal(one.encode(TEXTS), same.encode(TEXTS)) and one.key("query") == same.key("query")
    assert load(tiny_text_model, weights="random", seed=4).key("query") != one.key("query")


def test_a_hub_model_is_read_from_the_hubs_cache(tiny_text_model: Path, tmp_path: Path, monkeypatch) -> None:
    """The layout of the cache is the hub library's own; nothing is asked of any network."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    snapshot = tmp_path / "models--org--tiny" / "snapshots" / ("0" * 40)
    shutil.copytree(tiny_text_model, snapshot)
    write_json(snapshot / "modules.json", [
        {"path": "", "type": "sentence_transformers.models.Transformer"},
        {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ])  # fmt: skip
    write_json(snapshot / "1_Pooling" / "config.json", {"embedding_dimension": 32, "pooling_mode": "max"})
    (tmp_path / "models--org--tiny" / "refs").mkdir()
    (tmp_path / "models--org--tiny" / "refs" / "main").write_text("0" * 40)
    plan = EncoderPlan.of(text_arguments(Path("org/tiny"), f"--model:cache_dir={tmp_path}"))
    assert (plan.source.kind, plan.folder.path, plan.folder.recipe.pooling) == ("hub", snapshot, ("max",))


def test_weights_that_a_checkpoint_lacks_count_by_their_seed(load: Load, tiny_text_model: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "lacking"
    shutil.copytree(tiny_text_model, folder)
    weights = load_file(folder / "model.safetensors")
    save_file({name: value for name, value in weights.items() if "pooler" not in name}, folder / "model.safetensors")
    assert load(folder, seed=1).key("query") != load(folder, seed=2).key("query")
    assert load(tiny_text_model, seed=1).key("query") == load(tiny_text_model, seed=2).key("query")


def test_the_plan_needs_no_torch(tiny_text_model: Path) -> None:
    plan = EncoderPlan.of(text_arguments(tiny_text_model), Recipe())
    assert plan.source.kind == "folder" and plan.folder.path == tiny_text_model


def test_rows_beyond_the_texts_hold_one_token_that_counts() -> None:
    tokens = Tokens(np.array([7, 8, 9]), np.array([0, 1, 0]), np.array([0, 2, 3]))
    batch = Batch(np.array([1, 0]), length=3, rows=3)
    found = collate(tokens, batch, padding_id=5)
    assert found["input_ids"].tolist() == [[9, 5, 5], [7, 8, 5], [5, 5, 5]]
    assert found["attention_mask"].tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 0]]
    assert found["token_type_ids"].tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]


def parser() -> Parser:
    made = Parser(prog="test", allow_abbrev=False)
    add_model_arguments(made)
    add_encoder_arguments(made)
    return made


MODEL = ["--platform", "cpu", "--model_class", "BertModel", "--model_name", "m"]


def test_the_arguments_amount_to_a_recipe() -> None:
    typed = ["--pooling", "cls,mean", "--normalize", "yes", "--truncate_dim", "64", "--query_prompt", "query: "]
    typed += ["--passage_prompt", "", "--query_max_len", "32", "--passage_max_len", "128", "--include_prompt", "no"]
    values = read(parser(), [*MODEL, *typed, "--tokens_per_batch", "auto", "--lengths", "64,128"])
    assert take_recipe(values) == Recipe(
        pooling=("cls", "mean"), normalise=True, truncate_dim=64, query_prompt="query: ", passage_prompt="",
        query_max_length=32, passage_max_length=128, include_prompt=False, tokens_per_batch="auto", lengths=(64, 128),
    )  # fmt: skip
    assert "pooling" not in values and values["model_name"] == "m"
    assert take_recipe(read(parser(), MODEL)) == Recipe()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--pooling", "avg"], "'avg' is no pooling; write cls, mean, last, max"),
        (["--normalize", "true"], "'true' is neither yes nor no"),
        (["--truncate_dim", "0"], "too small"),
        (["--tokens_per_batch", "autoo"], "'autoo' is not a whole number; or write auto"),
    ],
)
def test_bad_arguments(typed: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read(parser(), [*MODEL, *typed])


@pytest.mark.parametrize("model_type", ["bert", "roberta", "gpt2", "opt", "qwen3", "xglm", "xlnet", "t5", "bart"])
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_vectors_are_a_texts_own_whatever_side_the_tokenizer_pads(
    load: Load, tmp_path: Path, model_type: str, pooling: str
) -> None:
    recipe = Recipe(pooling=(pooling,), passage_prompt="abc: ", include_prompt=False)
    encoder = load(save_family(tmp_path / "left", model_type, padding_side="left"), recipe=recipe)
    texts = ["a", "a text that is rather long", "bb", "a longer text"]
    together = encoder.encode(texts)
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    norms = np.linalg.norm(together, axis=1) * np.linalg.norm(alone, axis=1)
    assert ((together * alone).sum(axis=1) / norms).min() >= 0.99999


@pytest.mark.parametrize(("model_type", "said"), [("fnet", "beside it"), ("big_bird", "original_full")])
def test_models_whose_vectors_depend_on_other_texts_are_refused(
    load: Load, tmp_path: Path, model_type: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        load(save_family(tmp_path / "model", model_type))


def test_a_folder_that_wants_more_tokens_than_the_model_takes(load: Load, tmp_path: Path, capsys) -> None:
    folder = save_family(tmp_path / "roberta", "roberta")
    write_json(folder / "modules.json", [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ])  # fmt: skip
    write_json(folder / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True, "word_embedding_dimension": 32})
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 40, "query_length": 39, "document_length": 9})
    encoder = load(folder)
    assert (encoder.recipe.query_max_length, encoder.recipe.passage_max_length) == (38, 9)
    assert (
        "its maximum length of 39 tokens is beyond the model's 38 positions; texts are cut at 38"
        in capsys.readouterr().err
    )
    assert np.isfinite(encoder.encode(["z" * 99], "query")).all()
    with pytest.raises(UsageError, match="--query_max_len 39: .* has 38 positions"):
        load(folder, recipe=Recipe(query_max_length=39))


@pytest.mark.parametrize(("family", "given"), [("gpt2", True), ("bert", False)])
def test_token_types_that_a_model_reads_are_given_where_all_are_zero(
    load: Load, tmp_path: Path, family: str, given: bool
) -> None:
    """GPT-2 adds the word embedding of token 0 for them; BERT takes none for zeros."""
    folder = save_family(tmp_path / family, family)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    write_json(folder / "tokenizer_config.json", {
        **config, "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
    })  # fmt: skip
    encoder = load(folder, recipe=Recipe(pooling=("mean",)))
    assert encoder._compute.types is given
    ids = torch.tensor([encoder.tokenise(["abc"]).ids])
    with torch.no_grad():
        kinds = {"token_type_ids": torch.zeros_like(ids)}
        expected = encoder.module(ids, attention_mask=torch.ones_like(ids), **kinds).last_hidden_state.mean(1)
    np.testing.assert_allclose(encoder.encode(["abc"]), expected.numpy(), atol=1e-6)
