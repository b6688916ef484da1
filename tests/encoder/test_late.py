import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fmbench.drivers.fidelity.late_interaction import seeded_head
from fmbench.encoder import EncoderPlan, Recipe, late_folder
from fmbench.encoder.batches import Batch
from fmbench.encoder.late import LateEncoder
from fmbench.errors import UsageError
from fmbench.search.maxsim import MaxSimSearcher

from ..late_models import METADATA, save_colbert, save_dense, save_pylate
from ..text_models import write_json
from .conftest import text_arguments

PASSAGES = ["wing, flow!", "the shock wave stands before the wing: it does", "", "drag"]
QUERIES = ["wing", "what is a shock wave, and where does it stand", ""]


@pytest.fixture
def load(restore_torch):
    def run(folder, recipe=None, late=None, **fixed):
        return LateEncoder(EncoderPlan.of(text_arguments(folder, **fixed), recipe, late=True), late)

    return run


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_colbert(tmp_path_factory.mktemp("late") / "colbert")


def words(encoder, ids):
    return encoder.tokenizer.convert_ids_to_tokens(list(ids))


def test_queries_are_marked_filled_up_and_cut_and_passages_marked_and_skipped(checkpoint, load):
    encoder = load(checkpoint)
    queries = encoder.late_tokens(encoder.tokenise(QUERIES, "query"), "query")
    first, second, third = queries.ids.reshape(3, METADATA["query_maxlen"])
    assert words(encoder, first) == ["[CLS]", "[unused0]", "w", "##i", "##n", "##g", "[SEP]", *["[MASK]"] * 5]
    assert words(encoder, second)[:3] == ["[CLS]", "[unused0]", "w"] and words(encoder, second)[-1] == "[SEP]"
    assert words(encoder, third)[:4] == ["[CLS]", "[unused0]", "[SEP]", "[MASK]"]
    assert queries.attended.reshape(3, -1).sum(axis=1).tolist() == [7, 12, 3] and queries.kept.all()
    inputs = encoder.inputs(queries, Batch(np.array([2, 0]), 12, 2))
    assert inputs["attention_mask"].sum(dim=1).tolist() == [3, 7]
    passages = encoder.late_tokens(encoder.tokenise(PASSAGES), "passage")
    assert words(encoder, passages.ids[:4]) == ["[CLS]", "[unused1]", "w", "##i"] and passages.attended.all()
    kept = words(encoder, passages.ids[passages.kept])
    assert not {",", "!", ":"} & set(kept) and kept.count("[unused1]") == len(PASSAGES)
    assert passages.lengths.max() == METADATA["doc_maxlen"]


def test_a_texts_vectors_do_not_depend_on_the_texts_beside_it_or_on_the_budget(checkpoint, load):
    encoder = load(checkpoint)
    for texts, role in ((PASSAGES, "passage"), (QUERIES, "query")):
        found = encoder.encode(texts, role)
        assert found.vectors.shape[1] == METADATA["dim"] and np.allclose(np.linalg.norm(found.vectors, axis=1), 1)
        for place, text in enumerate(texts):
            assert np.allclose(found.of(place), encoder.encode([text], role).vectors, atol=1e-6)
    small = load(checkpoint, Recipe(tokens_per_batch=20)).encode(PASSAGES)
    assert np.allclose(small.vectors, encoder.encode(PASSAGES).vectors, atol=1e-6)
    assert encoder.encode(PASSAGES * 300).starts[-1] == 300 * encoder.encode(PASSAGES).starts[-1]  # several chunks


def test_mask_tokens_are_seen_by_others_only_where_the_checkpoint_says_so(checkpoint, load, tmp_path):
    hidden = load(checkpoint).encode(["wing"], "query").vectors
    seen = load(save_colbert(tmp_path / "seen", attend_to_mask_tokens=True)).encode(["wing"], "query").vectors
    assert not np.allclose(hidden[:7], seen[:7], atol=1e-3)
    with_punctuation = load(save_colbert(tmp_path / "all", mask_punctuation=False)).encode(PASSAGES)
    assert len(with_punctuation.vectors) == len(load(checkpoint).encode(PASSAGES).vectors) + 2  # a colon is cut


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({key: None}, f"artifact.metadata: does not say {key}, which decides every score")
        for key in ("query_token_id", "doc_token_id", "attend_to_mask_tokens", "mask_punctuation", "similarity")
    ]
    + [
        ({"query_maxlen": None}, "artifact.metadata: has no query_maxlen"),
        ({"similarity": "l2"}, "artifact.metadata: similarity is l2; only cosine is supported"),
        ({"interaction": "flipr"}, "interaction is flipr; only colbert is supported"),
    ],
)
def test_what_a_checkpoint_does_not_say_is_refused(changes, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        late_folder.read(save_colbert(tmp_path, **changes))


def test_a_checkpoint_without_metadata_or_of_another_size_is_refused(tmp_path, load):
    folder = save_colbert(tmp_path / "bare")
    (folder / "artifact.metadata").unlink()
    with pytest.raises(UsageError, match="artifact.metadata is missing"):
        late_folder.read(folder)
    folder = save_colbert(tmp_path / "other")
    write_json(folder / "artifact.metadata", {**METADATA, "dim": 8})
    with pytest.raises(UsageError, match="dim is 8; linear.weight has 16"):
        load(folder)
    write_json(folder / "artifact.metadata", {**METADATA, "query_token_id": "[nowhere]"})
    with pytest.raises(UsageError, match=r"no token '\[nowhere\]', the marker"):
        load(folder)


def test_one_vector_a_text_is_not_made_of_a_late_interaction_model(checkpoint):
    with pytest.raises(UsageError, match="late-interaction model.*retrieve evaluate"):
        EncoderPlan.of(text_arguments(checkpoint))
    with pytest.raises(UsageError, match="--pooling: .*late-interaction model"):
        EncoderPlan.of(text_arguments(checkpoint), Recipe(pooling=("cls",)), late=True)


def test_pylates_folder_gives_what_its_checkpoint_gives(checkpoint, load, tmp_path):
    folder = save_pylate(tmp_path / "pylate", checkpoint)
    one, other = load(checkpoint), load(folder)
    assert (other.late.origin, other.similarity) == ("PyLate", "maxsim")
    for texts, role in ((PASSAGES, "passage"), (QUERIES, "query")):
        assert np.array_equal(one.encode(texts, role).vectors, other.encode(texts, role).vectors)
    plain = load(save_pylate(tmp_path / "plain", checkpoint, do_query_expansion=False))
    assert plain.encode(["wing"], "query").lengths.tolist() == [7]
    save_pylate(tmp_path / "silent", checkpoint, skiplist_words=None)
    with pytest.raises(UsageError, match="does not say skiplist_words"):
        late_folder.read(tmp_path / "silent")


def multi_vector(folder, checkpoint, **expansion):
    """Make a MultiVectorEncoder's folder out of a checkpoint: prompts instead of markers."""
    from safetensors.torch import load_file

    save_pylate(folder, checkpoint)
    kinds = {
        "": "base.modules.transformer.Transformer", "1_Dense": "base.modules.dense.Dense",
        "2_Mask": "multi_vector_encoder.modules.multi_vector_mask.MultiVectorMask",
        "3_Normalize": "base.modules.normalize.Normalize",
    }  # fmt: skip
    write_json(folder / "modules.json", [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.{kind}"}
        for place, (path, kind) in enumerate(kinds.items())
    ])  # fmt: skip
    level = {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}
    save_dense(folder / "1_Dense", load_file(checkpoint / "model.safetensors")["linear.weight"], **level)
    write_json(folder / "3_Normalize" / "config.json", level)
    write_json(folder / "2_Mask" / "config.json", {"skiplist_words": [",", "!", "€"], "skiplist_tasks": ["document"],
                                                   "keep_only_token_ids": None})  # fmt: skip
    write_json(folder / "sentence_bert_config.json", {
        "document_length": 24, "query_expansion": {"strategy": "fixed", "attend": False, "token": None, "length": 12,
                                                   **expansion}})  # fmt: skip
    write_json(folder / "config_sentence_transformers.json", {
        "model_type": "MultiVectorEncoder", "prompts": {"query": "q ", "document": "d "}, "similarity_fn_name": None,
        "default_prompt_name": None})  # fmt: skip
    return folder


def test_a_multi_vector_encoders_vectors_are_those_of_sentence_transformers(checkpoint, load, tmp_path):
    pytest.importorskip("sentence_transformers.multi_vector_encoder", reason="sentence-transformers 6 is not installed")
    from sentence_transformers import MultiVectorEncoder

    for name, attend in (("hidden", False), ("seen", True)):
        folder = multi_vector(tmp_path / name, checkpoint, attend=attend)
        theirs, ours = MultiVectorEncoder(str(folder), device="cpu"), load(folder)
        for found, mine in (
            (theirs.encode_query(QUERIES, convert_to_numpy=True), ours.encode(QUERIES, "query")),
            (theirs.encode_document(PASSAGES, convert_to_numpy=True), ours.encode(PASSAGES)),
        ):
            assert [len(part) for part in found] == mine.lengths.tolist()
            assert np.allclose(np.concatenate(found), mine.vectors, atol=1e-5)


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("sentence_bert_config.json", {"query_expansion": {"strategy": "min", "length": 12}}, "strategy must be fixed"),
        ("2_Mask/config.json", {"skiplist_tasks": ["query", "document"]}, "only a skiplist of documents"),
        ("config_sentence_transformers.json", {"similarity_fn_name": "meanmaxsim"}, "only maxsim is supported"),
        ("1_Dense/config.json", {"module_input_name": "sentence_embedding"}, "only one on token_embeddings"),
    ],
)
def test_what_a_multi_vector_encoder_asks_for_and_is_not_there_is_refused(file, changes, message, checkpoint, tmp_path):
    folder = multi_vector(tmp_path / "mve", checkpoint)
    write_json(folder / file, {**json.loads((folder / file).read_text()), **changes})
    with pytest.raises(UsageError, match=message):
        late_folder.read(folder)


def test_other_folders_are_none_of_late_interaction(tiny_text_model):
    assert late_folder.read(tiny_text_model) is None


def test_a_seeded_head_is_its_seeds_and_cuts_queries_at_32_tokens(tiny_text_model, load):
    one, other, again = (seeded_head(seed).head(8).steps[0].linear.weight for seed in (1, 2, 1))
    assert torch.equal(one, again) and not torch.equal(one, other) and one.shape == (96, 8)
    encoder = load(tiny_text_model, late=seeded_head(1))
    tokens = encoder.late_tokens(encoder.tokenise(["a" * 40, "wing"], "query"), "query")
    long, short = tokens.ids.reshape(2, 32)
    assert words(encoder, long)[-2:] == ["##a", "[SEP]"] and words(encoder, short)[6:] == ["[MASK]"] * 26
    assert tokens.attended.all()


def test_facts_say_all_that_decides_a_vector(checkpoint, load, tmp_path):
    facts = load(checkpoint).recipe_facts()
    late = facts["late_interaction"]
    assert json.loads(json.dumps(facts)) == facts and facts["recipe"]["query_max_length"] == 12
    assert late["markers"] == {"query": "[unused0]", "passage": "[unused1]"} and late["attend"] is False
    other = load(save_colbert(tmp_path / "seen", attend_to_mask_tokens=True)).late.facts()
    assert {key for key in late if late[key] != other[key]} == {"attend"}


def test_vectors_and_scores_are_those_of_colbert_ai(checkpoint, load):
    known = json.loads((Path(__file__).parent / "colbert_ai.json").read_text(encoding="utf-8"))
    encoder = load(checkpoint)
    queries, passages = encoder.encode(known["queries"], "query"), encoder.encode(known["passages"])
    assert passages.lengths.tolist() == known["lengths"]
    assert np.allclose(queries.of(0), known["first_query"], atol=1e-5)
    assert np.allclose(passages.of(len(passages) - 1), known["last_passage"], atol=1e-5)
    searcher = MaxSimSearcher(queries, [str(place) for place in range(len(queries))], len(passages), "cpu", False)
    searcher.add([str(place) for place in range(len(passages))], passages)
    for ranking, scores in zip(searcher.finish().run().values(), known["scores"], strict=True):
        found = [ranking[str(place)] for place in range(len(passages))]
        assert found == pytest.approx(scores, abs=1e-4)
        assert list(map(int, ranking)) == sorted(range(len(scores)), key=lambda at: -scores[at])
