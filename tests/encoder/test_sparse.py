"""Sparse models: vectors as sentence-transformers makes them, an exact search by scipy, and what is refused."""

import json

import numpy as np
import pytest

from fmbench import lines
from fmbench.drivers.retrieve.cli import main
from fmbench.encoder import Encoder, EncoderPlan
from fmbench.errors import UsageError
from fmbench.options import Arguments
from fmbench.search.sparse import SparseSearcher
from tests.text_models import LETTERS, SPECIAL, write_json
from tests.tiny_model import write_collection

library = pytest.importorskip("sentence_transformers", reason="pip install 'sentence-transformers>=5'")
pytest.importorskip("scipy", reason="pip install 'fmbench[retrieval]'")
TEXTS = ["wing flow", "the heat of a jet, 3 times", "a", "b b b: lift and drag over the wing?"]
LIBRARY = "sentence_transformers"
KINDS = ("SEARCH", "IRM")


def save_splade(folder, old: bool = False, strategy: str = "max", activation: str = "relu"):
    """Save a tiny masked language model with SpladePooling, as this version or an earlier one writes it."""
    import torch
    import transformers

    words = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64, initializer_range=0.5,
    )  # fmt: skip
    torch.manual_seed(3)
    transformers.BertForMaskedLM(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "model_max_length": 64})
    kinds = (f"{LIBRARY}.sparse_encoder.models.MLMTransformer", f"{LIBRARY}.sparse_encoder.models.SpladePooling")
    if not old:
        kinds = (f"{LIBRARY}.base.modules.transformer.Transformer",
                 f"{LIBRARY}.sparse_encoder.modules.splade_pooling.SpladePooling")  # fmt: skip
    write_json(folder / "modules.json", [
        {"idx": place, "name": str(place), "path": path, "type": kind}
        for place, (path, kind) in enumerate(zip(("", "1_SpladePooling"), kinds, strict=True))
    ])  # fmt: skip
    outputs = {"text": {"method": "forward", "method_output_name": "logits"}}
    task = {} if old else {"transformer_task": "fill-mask", "modality_config": outputs,
                           "module_output_name": "token_embeddings"}  # fmt: skip
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 40, "do_lower_case": False, **task})
    write_json(folder / "1_SpladePooling" / "config.json", {
        "pooling_strategy": strategy, "activation_function": activation, "word_embedding_dimension": len(words),
    })  # fmt: skip
    write_json(
        folder / "config_sentence_transformers.json", {"model_type": "SparseEncoder", "similarity_fn_name": "dot"}
    )
    return folder


def encoder(folder, platform: str = "cpu") -> Encoder:
    arguments = Arguments(platform=platform, model_name=str(folder), threads=1)
    return Encoder(EncoderPlan.of(arguments, sparse=True))


@pytest.mark.parametrize(
    ("old", "strategy", "activation"),
    [(False, "max", "relu"), (True, "max", "relu"), (False, "sum", "relu"), (False, "max", "log1p_relu")],
)
def test_vectors_are_those_of_sentence_transformers(tmp_path, old, strategy, activation):
    folder = save_splade(tmp_path / "splade", old, strategy, activation)
    theirs = library.SparseEncoder(str(folder), device="cpu").encode(TEXTS, convert_to_sparse_tensor=False)
    ours = encoder(folder).encode(TEXTS)
    assert ours.shape == theirs.shape and 0 < (ours > 0).mean() < 1
    assert np.abs(ours - theirs.numpy()).max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["onnxruntime", "openvino"])
def test_converted_models_give_logits_too(tmp_path, platform):
    folder = save_splade(tmp_path / "splade")
    ours, theirs = encoder(folder, platform).encode(TEXTS), encoder(folder).encode(TEXTS)
    cosines = (ours * theirs).sum(axis=1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    assert cosines.min() > (1 - 1e-6 if platform == "onnxruntime" else 0.99)  # which computes in bfloat16 where it can


def test_the_search_is_exact_whatever_the_blocks():
    generator = np.random.default_rng(0)
    dense = generator.random((200, 50), dtype=np.float32) * (generator.random((200, 50)) < 0.1)
    dense[7] = dense[3]  # a tie
    queries, names = dense[:9], [f"q{number}" for number in range(9)]
    ids = [f"{number:03}" for number in range(200)]
    found = []
    for size in (200, 64, 1):
        searcher = SparseSearcher(queries, names, 10, ignore_identical_ids=False)
        for start in range(0, 200, size):
            searcher.add(ids[start : start + size], dense[start : start + size])
        found.append(searcher.finish())
    assert found[0].ids == found[1].ids == found[2].ids
    scores = (queries.astype(np.float64) @ dense.T.astype(np.float64)).astype(np.float32)
    wanted = [sorted(((row[place], ids[place]) for place in range(200)), reverse=True)[:10] for row in scores]
    assert found[0].ids == [[name for _, name in row] for row in wanted]
    assert found[0].ids[3][:2] == ["007", "003"]  # of equal scores the greater id is first


def run(capfd, *words: object) -> tuple[int, str, str]:
    code = main([*map(str, words)])
    return code, *capfd.readouterr()


def test_evaluate(tmp_path, capfd):
    folder, data = save_splade(tmp_path / "splade"), write_collection(tmp_path / "wings")
    common = ("--platform", "cpu", "--threads", "1", "--model_name", folder, "--dataset", data)
    code, out, err = run(capfd, "evaluate", *common)
    assert code == 0 and "logit" not in err, err  # they are no waste here
    found = {line.kind: line.data for line in map(lines.parse_line, out.splitlines()) if lines.is_json(line, *KINDS)}
    assert found["SEARCH"]["engine"] == "scipy" and found["SEARCH"]["nonzeros_per_document"] > 1
    assert 0 <= found["IRM"]["metrics"]["ndcg_cut_10"] <= 1
    for words, said in (
        (("mine", *common, "--output_dir", tmp_path / "x"), "`retrieve mine` does not"),
        (("evaluate", *common, "--encoding_cache_dir", tmp_path / "x"), "no cache keeps them"),
        (("evaluate", *common, "--similarity", "cosine"), "inner products alone"),
        (("evaluate", *common, "--pooling", "mean"), "says itself how vectors are made"),
    ):
        code, _, err = run(capfd, *words)
        assert code == 2 and said in err, err


def test_what_does_not_belong_together(tmp_path):
    folder = save_splade(tmp_path / "splade")
    with pytest.raises(UsageError, match="is a sparse model"):
        EncoderPlan.of(Arguments(platform="cpu", model_name=str(folder)))
    said = json.loads((folder / "1_SpladePooling" / "config.json").read_text())
    write_json(folder / "1_SpladePooling" / "config.json", {**said, "pooling_strategy": "mean"})
    with pytest.raises(UsageError, match="pooling_strategy mean"):
        EncoderPlan.of(Arguments(platform="cpu", model_name=str(folder)), sparse=True)
    settings = json.loads((folder / "sentence_bert_config.json").read_text())
    write_json(folder / "1_SpladePooling" / "config.json", said)
    write_json(folder / "sentence_bert_config.json", {**settings, "transformer_task": "feature-extraction",
                                                      "modality_config": {}})  # fmt: skip
    with pytest.raises(UsageError, match="belong together"):
        EncoderPlan.of(Arguments(platform="cpu", model_name=str(folder)), sparse=True)
