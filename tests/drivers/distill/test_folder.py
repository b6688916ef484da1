"""What is written loads in sentence-transformers, and gives our vectors."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fmbench.drivers.distill.arguments import DistillArguments
from fmbench.drivers.distill.query_encoder import batch_of, load
from fmbench.drivers.distill.steps import query_plan
from fmbench.drivers.distill.students import LookupStudent, keep_layers, random_bert
from fmbench.drivers.distill.write import save_pair, save_student
from fmbench.encoder import Recipe
from fmbench.encoder.folder import read
from fmbench.encoder.network import Head, Linear, Network, RecurrentNetwork, TransformerNetwork, projection
from fmbench.encoder.tokens import Tokenizer, load_tokenizer
from fmbench.errors import UsageError

sentence_transformers = pytest.importorskip("sentence_transformers")
LENGTH = 8  # shorter than the longest queries: both sides have to cut alike


def build(kind: str, teacher: Path) -> Network:
    import transformers

    torch.manual_seed(3)
    model = transformers.AutoModel.from_pretrained(str(teacher))
    table = model.get_input_embeddings().weight
    if kind == "lookup":
        student: Network = LookupStudent(table, 32, free=True)
        for parameter in student.parameters():
            torch.nn.init.normal_(parameter)
        return student
    if kind == "transformer":
        return TransformerNetwork(keep_layers(model, [1]))
    if kind == "projected":
        linear = torch.nn.init.normal_(projection(16, 32).weight)
        step = Linear(projection(16, 32))
        step.linear.weight.data = linear.data
        return TransformerNetwork(random_bert(1, 16, 2, len(table), LENGTH, seed=5), ("cls",), Head([step]))
    return RecurrentNetwork(kind, table, 32, free=False, layers=2, hidden_size=24, ff=2 if kind == "gru" else 0)


def load_folder(folder: Path) -> tuple[Network, Tokenizer]:
    arguments = DistillArguments(platform="cpu", model_name="teacher", task="evaluate", recipe=Recipe())
    return load(query_plan(folder, arguments))


def tokenizer_of(folder: Path, special_tokens: bool) -> Tokenizer:
    return Tokenizer(load_tokenizer(read(folder)), "", LENGTH, special_tokens)


def vectors(student: Network, tokenizer: Tokenizer, texts: list[str]) -> np.ndarray:
    with torch.inference_mode():
        return student.eval().vectors(**batch_of(tokenizer(texts), range(len(texts)), student.types)).numpy()


@pytest.mark.parametrize("kind", ["lookup", "transformer", "projected", "gru", "lstm"])
def test_a_pair_gives_the_same_vectors_everywhere(kind, teacher, texts, tmp_path):
    student = build(kind, teacher)
    tokenizer = tokenizer_of(teacher, student.special_tokens)
    save_student(tmp_path / "query", student, tokenizer, normalise=True)
    save_pair(tmp_path / "pair", tmp_path / "query", teacher, "", "cosine")
    ours = vectors(student, tokenizer, texts)
    trusted = {"trust_remote_code": True} if kind in ("gru", "lstm") else {}
    pair = sentence_transformers.SentenceTransformer(str(tmp_path / "pair"), device="cpu", **trusted)
    alone = sentence_transformers.SentenceTransformer(str(tmp_path / "query"), device="cpu", **trusted)
    assert (ours * pair.encode_query(texts)).sum(axis=1).min() > 0.99999
    assert (ours * alone.encode(texts)).sum(axis=1).min() > 0.99999
    for folder in ("query", "pair"):
        again = vectors(*load_folder(tmp_path / folder), texts)
        assert np.abs(again - ours).max() < 1e-6
    original = sentence_transformers.SentenceTransformer(str(teacher), device="cpu")
    passages = [" ".join(texts[:10]), *texts]  # the first is beyond the query's length
    assert np.abs(pair.encode_document(passages) - original.encode(passages)).max() < 1e-6


def test_a_recurrent_student_asks_for_trust(teacher, tmp_path):
    student = build("gru", teacher)
    save_student(tmp_path, student, tokenizer_of(teacher, False))
    with pytest.raises(ValueError, match="trust_remote_code"):
        sentence_transformers.SentenceTransformer(str(tmp_path), device="cpu")


def test_a_recurrent_folder_of_an_earlier_version_still_loads(teacher, texts, tmp_path):
    """Its modules.json names the module where it was then."""
    student, tokenizer = build("lstm", teacher), tokenizer_of(teacher, False)
    save_student(tmp_path, student, tokenizer, normalise=True)
    modules = json.loads((tmp_path / "modules.json").read_text())
    assert modules[0]["type"] == "fmbench.sentence_module.RecurrentModule"
    modules[0]["type"] = "fmbench.distill.sentence_module.RecurrentModule"
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    config = tmp_path / "0_Recurrent" / "config.json"
    settings = json.loads(config.read_text())
    assert settings.pop("ff") == 0  # which was not written then
    config.write_text(json.dumps(settings))
    theirs = sentence_transformers.SentenceTransformer(str(tmp_path), device="cpu", trust_remote_code=True)
    ours = vectors(*load_folder(tmp_path), texts)
    assert np.abs(ours - vectors(student, tokenizer, texts)).max() < 1e-6
    assert np.abs(ours - theirs.encode(texts)).max() < 1e-5


def test_a_folder_without_modules_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"holds no config\.json"):
        load_folder(tmp_path)


def test_a_module_that_is_not_known_is_named(teacher, tmp_path):
    (tmp_path / "modules.json").write_text('[{"idx": 0, "path": "", "type": "sentence_transformers.models.CNN"}]')
    with pytest.raises(UsageError, match="CNN"):
        load_folder(tmp_path)


def test_a_query_encoders_own_prompt_and_lower_case_count(teacher, texts, tmp_path):
    shutil.copytree(teacher, tmp_path / "asked")
    config = {"prompts": {"query": "wing flow "}}
    (tmp_path / "asked" / "config_sentence_transformers.json").write_text(json.dumps(config))
    cased = {"max_seq_length": LENGTH, "do_lower_case": True}
    (tmp_path / "asked" / "sentence_bert_config.json").write_text(json.dumps(cased))
    texts = [text.upper() for text in texts]
    theirs = sentence_transformers.SentenceTransformer(str(tmp_path / "asked"), device="cpu").encode_query(texts)
    student, tokenizer = load_folder(tmp_path / "asked")
    assert np.abs(vectors(student, tokenizer, texts) - theirs).max() < 1e-5
    save_student(tmp_path / "again", student, tokenizer, True, {"query": tokenizer.prompt})
    save_pair(tmp_path / "pair", tmp_path / "again", teacher, "heat ", "dot")
    pair = sentence_transformers.SentenceTransformer(str(tmp_path / "pair"), device="cpu")
    assert (pair.prompts, pair.similarity_fn_name) == ({"query": "wing flow ", "document": "heat "}, "dot")
    assert np.abs(pair.encode_query(texts) - theirs).max() < 1e-5


def test_a_table_with_a_mapping_and_weights_of_its_tokens(teacher, texts, tmp_path):
    """As model2vec writes it."""
    student = build("lookup", teacher)
    tokenizer = tokenizer_of(teacher, student.special_tokens)
    save_student(tmp_path, student, tokenizer)
    count = len(tokenizer.origin)
    torch.manual_seed(2)
    tensors = {
        "embeddings": torch.randn(5, 32), "mapping": torch.arange(count) % 5, "weights": torch.rand(count) + 0.5,
    }  # fmt: skip
    save_file(tensors, tmp_path / "0_StaticEmbedding" / "model.safetensors")
    theirs = sentence_transformers.SentenceTransformer(str(tmp_path), device="cpu").encode(texts)
    ours = vectors(*load_folder(tmp_path), texts)
    assert np.abs(ours - theirs / np.linalg.norm(theirs, axis=1, keepdims=True)).max() < 1e-5


def test_incomplete_students_are_one_line(teacher, tmp_path):
    with pytest.raises(UsageError, match="nowhere: no such folder"):
        load_folder(tmp_path / "nowhere")
    for kind in ("gru", "lookup"):
        student = build(kind, teacher)
        save_student(tmp_path / kind, student, tokenizer_of(teacher, False))
    (tmp_path / "lookup" / "0_StaticEmbedding" / "tokenizer.json").unlink()
    with pytest.raises(UsageError, match=r"tokenizer.json is missing; the folder is not complete"):
        load_folder(tmp_path / "lookup")
    config = tmp_path / "gru" / "0_Recurrent" / "config.json"
    settings = json.loads(config.read_text())
    for change, said in (
        ({"layers": "2"}, 'layers is "2"; expected a whole number'),
        ({"cell": "rnn"}, 'cell is "rnn"; expected gru or lstm'),
        ({"hidden_size": 7}, "the weights are not those of its config.json"),
    ):
        config.write_text(json.dumps({**settings, **change}))
        with pytest.raises(UsageError, match=said):
            load_folder(tmp_path / "gru")
