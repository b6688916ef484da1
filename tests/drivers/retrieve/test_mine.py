"""`fmbench retrieve mine`: which documents are negatives."""

import pytest

from fmbench.collection import Qrels
from tests.run_files import read_run


def test_mined_negatives_read_back_as_qrels_without_a_judged_document(retrieve, tmp_path):
    words = ("--search_topk", 4, "--merge_mined_qrels", "--output_dir", tmp_path / "out")
    ran = retrieve("mine", *words, "--relative_margin", "0.01")
    qrels = Qrels.load([tmp_path / "out" / "wings" / "mined_qrels.tsv"])
    assert set(qrels.gains) <= {f"q{place}" for place in range(6)}
    assert all(f"d{query[1:]}" not in found and len(found) <= 4 for query, found in qrels.gains.items())
    assert ran.data("IRM")["mined"]["queries"] == len(qrels.gains)


@pytest.mark.parametrize("words", [(), ("--no_annot_in_mined_hn",), ("--no_annot_in_mined_hn", "True")])
def test_judged_documents_are_no_negatives_unless_that_is_asked_for(retrieve, tmp_path, words):
    deep = ("--search_topk", 30, "--merge_mined_qrels", "--output_dir")
    assert "may be among the negatives" not in retrieve("mine", *deep, tmp_path / "out", *words).notes
    gains = Qrels.load([tmp_path / "out" / "wings" / "mined_qrels.tsv"]).gains
    assert all(f"d{query[1:]}" not in found for query, found in gains.items())
    said = retrieve("mine", *deep, tmp_path / "all", "--no_annot_in_mined_hn", "no").notes
    assert "judged documents, relevant ones too, may be among the negatives" in said
    every = Qrels.load([tmp_path / "all" / "wings" / "mined_qrels.tsv"]).gains
    assert all(f"d{query[1:]}" in found for query, found in every.items())


def test_no_negative_is_nearer_than_the_margin_to_a_positive(retrieve, tmp_path):
    def scores(words):
        retrieve("mine", "--search_topk", 25, "--merge_mined_qrels", "--output_dir", *words)
        return Qrels.load([words[0] / "wings" / "mined_qrels.tsv"]).gains

    every = scores((tmp_path / "all",))
    positive = retrieve("search", "--search_topk", 30, "--output_dir", tmp_path / "run")
    assert positive.code == 0
    known = read_run(tmp_path / "run" / "wings" / "run.trec")
    far = scores((tmp_path / "far", "--absolute_margin", "0.2"))
    assert sum(map(len, far.values())) < sum(map(len, every.values()))
    for query, found in far.items():
        assert max(found.values()) <= known[query][f"d{query[1:]}"] - 0.2 + 1e-6
