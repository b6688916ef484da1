"""Retrieval by a late-interaction model from the command line."""

import json

import numpy as np
import pytest

from fmbench.encoder import EncoderPlan
from fmbench.encoder.late import LateEncoder
from tests.late_models import save_colbert, save_pylate
from tests.run_files import read_run

from ...encoder.conftest import text_arguments


@pytest.fixture(scope="module")
def colbert(tmp_path_factory):
    return save_colbert(tmp_path_factory.mktemp("late") / "colbert")


def test_evaluate_says_speed_and_quality_and_ranks_by_maxsim(retrieve, colbert, collection, tmp_path):
    ran = retrieve("evaluate", "--model_name", colbert, "--output_dir", tmp_path / "out", "--ir_metrics_k_values", "10")
    passages, queries = (ran.data("ENC", role=role) for role in ("passage", "query"))
    assert (passages["texts"], passages["dimensions"], queries["latency_ms"]["n"]) == (30, 16, 6)
    assert passages["texts_per_second"] > 0 and queries["tokens"] == 6 * 12
    search = ran.data("SEARCH")
    assert (search["similarity"], search["engine"], search["latency_ms"]) == ("maxsim", "torch", None)
    environment = ran.data("ENV", similarity="maxsim")
    assert environment["late_interaction"]["markers"] == {"query": "[unused0]", "passage": "[unused1]"}
    assert environment["recipe"]["pooling"] == []
    run = read_run(tmp_path / "out" / "wings" / "run.trec")
    encoder = LateEncoder(EncoderPlan.of(text_arguments(colbert), late=True))
    texts = [json.loads(row)["text"] for row in (collection / "corpus.jsonl").read_text().splitlines()]
    asked = [json.loads(row)["text"] for row in (collection / "queries.jsonl").read_text().splitlines()]
    found, wanted = encoder.encode(texts), encoder.encode(asked, "query")
    for place, ranking in enumerate(run.values()):
        scores = [(wanted.of(place) @ found.of(text).T).max(axis=1).sum() for text in range(len(texts))]
        assert list(ranking) == [f"d{text}" for text in np.argsort(scores)[::-1][:10]]
        assert list(ranking.values()) == pytest.approx(sorted(scores, reverse=True)[:10], abs=1e-4)
    assert ran.data("IRM")["queries"] == 6


def test_a_folder_of_pylate_gives_the_same_rankings(retrieve, colbert, tmp_path):
    save_pylate(tmp_path / "pylate", colbert)
    ran = [retrieve("evaluate", "--model_name", folder) for folder in (colbert, tmp_path / "pylate")]
    assert ran[0].data("IRM") == ran[1].data("IRM")


@pytest.mark.parametrize(
    ("task", "words", "message"),
    [
        ("evaluate", ["--encoding_cache_dir", "cache"], "--encoding_cache_dir: "),
        ("evaluate", ["--precompute_corpus_embs"], "--precompute_corpus_embs: "),
        ("search", ["--similarity", "dot", "--output_dir", "out"], "--similarity dot: "),
        ("evaluate", ["--normalize", "yes"], "--normalize: "),
        ("mine", ["--output_dir", "out"], "`retrieve mine` does not"),
        ("encode", ["--encoding_cache_dir", "cache"], "`retrieve encode` does not"),
    ],
)
def test_what_needs_one_vector_a_text_is_refused_in_one_line(task, words, message, retrieve, colbert):
    ran = retrieve(task, "--model_name", colbert, *words, code=2)
    assert message in ran.notes and "late-interaction model" in ran.notes and ran.notes.count("\n") == 1


def test_lengths_of_the_command_line_go_before_the_checkpoints(retrieve, colbert):
    ran = retrieve("evaluate", "--model_name", colbert, "--query_max_len", "20", "--passage_max_len", "10")
    assert ran.data("ENC", role="query")["tokens"] == 6 * 20
    assert ran.data("ENC", role="passage")["tokens"] <= 30 * 10
