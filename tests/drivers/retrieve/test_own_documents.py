"""Queries that are documents of the collection, as in ArguAna."""

import json

import pytest

from fmbench.collection import Qrels
from tests.run_files import read_run
from tests.tiny_model import write_collection


@pytest.fixture
def counterarguments(tmp_path):
    """A collection whose queries are documents of it, as in ArguAna: each one's own document ranks first."""
    folder = write_collection(tmp_path / "argu")
    texts = [json.loads(line) for line in (folder / "corpus.jsonl").read_text().splitlines()]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts[:6]))
    judged = "".join(f"d{place}\td{place + 6}\t1\n" for place in range(6))
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")
    return folder


def test_a_query_that_is_a_document_does_not_find_itself(retrieve, counterarguments, tmp_path):
    words = ("--dataset", counterarguments, "--ir_metrics_k_values", "5", "--run_format", "jsonl", "--k", "1,5")
    runs = {}
    for choice in ("yes", "no"):
        ran = retrieve("evaluate", *words, "--ignore_identical_ids", choice, "--output_dir", tmp_path / choice)
        assert ran.data("IRM")["ignore_identical_ids"] is ran.data("SEARCH")["ignore_identical_ids"]
        assert ran.data("IRM")["ignore_identical_ids"] is (choice == "yes")
        assert "warning: argu: queries with the id of a document: 6 ('d0', " in ran.notes
        runs[choice] = read_run(tmp_path / choice / "argu" / "run.jsonl")
    for query in runs["no"]:
        with_own, others = list(runs["no"][query]), list(runs["yes"][query])
        assert with_own[0] == query and others[:4] == with_own[1:] and len(others) == 5
    default = retrieve("evaluate", *words)
    assert default.data("IRM")["ignore_identical_ids"] is True


@pytest.mark.parametrize(
    ("text", "judged", "words", "message"),
    [
        (None, "d1", (), "6 of them with its text; they do not find it (--ignore_identical_ids yes, as in BEIR)\n"),
        (None, "d0", (), "as in BEIR); judgements of a query's own id, which count as not found: 1\n"),
        ("other", "d1", (), "0 of them with its text; they do not find it (--ignore_identical_ids yes, as in BEIR); "
         "two unrelated series of ids? then --ignore_identical_ids no\n"),
        (None, "d1", ("--ignore_identical_ids", "no"), "they may find it (--ignore_identical_ids no, unlike BEIR)\n"),
    ],
)  # fmt: skip
def test_what_is_said_of_queries_that_are_documents(retrieve, counterarguments, text, judged, words, message):
    if text is not None:
        rows = "".join(json.dumps({"_id": f"d{place}", "text": text}) + "\n" for place in range(6))
        (counterarguments / "queries.jsonl").write_text(rows)
    with (counterarguments / "qrels" / "test.tsv").open("a") as qrels:
        qrels.write(f"d0\t{judged}\t1\n")
    ran = retrieve("evaluate", "--dataset", counterarguments, "--latency_queries", "0", *words)
    assert message in ran.notes


def test_a_query_is_not_mined_for_itself(retrieve, counterarguments, tmp_path):
    words = ("--search_topk", 4, "--merge_mined_qrels", "--output_dir", tmp_path / "out")
    ran = retrieve("mine", "--dataset", counterarguments, *words)
    mined = Qrels.load([tmp_path / "out" / "argu" / "mined_qrels.tsv"]).gains
    assert "; it is never a negative of theirs" in ran.notes
    assert len(mined) == 6 and all(query not in found and len(found) == 4 for query, found in mined.items())
