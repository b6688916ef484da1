"""A test collection: its layouts, what is chosen of it, and what is odd about it."""

import gzip
import shutil
from pathlib import Path

import pytest

from fmbench.collection import Dataset
from fmbench.collection.arguments import named_datasets
from fmbench.collection.subset import drawn, read_ids
from fmbench.drivers.retrieve.arguments import parse_arguments
from fmbench.errors import UsageError

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
CORPUS = '{"_id": "a", "title": "A", "text": "x"}\n{"_id": "b", "title": "", "text": ""}\n'
QUERIES = '{"_id": "1", "text": "one"}\n{"_id": "2", "text": ""}\n{"_id": "3", "text": "three"}\n'


@pytest.fixture
def folder(tmp_path) -> Path:
    """A small data set in BEIR's layout with two splits."""
    (tmp_path / "set" / "qrels").mkdir(parents=True)
    (tmp_path / "set" / "corpus.jsonl").write_text(CORPUS)
    (tmp_path / "set" / "queries.jsonl").write_text(QUERIES)
    (tmp_path / "set" / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\ta\t1\n2\tb\t2\n")
    (tmp_path / "set" / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\n3\ta\t1\n")
    return tmp_path / "set"


def ids(texts) -> list[str]:
    return [document.id for document in texts]


def test_the_queries_are_those_of_the_split(folder):
    test, dev = Dataset.from_folder(folder), Dataset.from_folder(folder, "dev")
    assert (test.name, ids(test.corpus), ids(test.queries)) == ("set", ["a", "b"], ["1", "2"])
    assert ids(dev.queries) == ["3"]
    assert dev.qrels.gains == {"3": {"a": 1.0}}
    assert test.queries.digest() != dev.queries.digest()


def test_without_a_split_all_queries_are_asked(folder):
    found = Dataset.from_folder(folder, None)
    assert (found.qrels, ids(found.queries)) == (None, ["1", "2", "3"])
    for path in (folder / "qrels").iterdir():
        path.unlink()
    (folder / "qrels").rmdir()
    assert Dataset.from_folder(folder).qrels is None


def test_files_may_be_packed_and_of_another_form(folder):
    (folder / "corpus.jsonl").unlink()
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress(CORPUS.encode()))
    (folder / "qrels" / "new.trec").write_text("1 0 a 1\n")
    found = Dataset.from_folder(folder, "new")
    assert (ids(found.corpus), ids(found.queries)) == (["a", "b"], ["1"])


def test_a_missing_or_doubtful_file_is_refused(folder):
    with pytest.raises(UsageError, match=r"qrels: has no train.tsv, only dev.tsv, test.tsv"):
        Dataset.from_folder(folder, "train")
    (folder / "corpus.tsv").write_text("a\tx\n")
    with pytest.raises(UsageError, match=r"set: has corpus.jsonl and corpus.tsv; name the files one by one"):
        Dataset.from_folder(folder)
    with pytest.raises(UsageError, match="no such folder"):
        Dataset.from_folder(folder / "none")


def test_several_corpora_and_query_sets_at_once(folder, tmp_path):
    (tmp_path / "more.tsv").write_text("c\tmore\n")
    (tmp_path / "queries.tsv").write_text("4\tfour\n")
    (tmp_path / "more.qrels").write_text("4 0 c 1\n4 0 a 2\n")
    found = Dataset.from_files(
        [folder / "corpus.jsonl", tmp_path / "more.tsv"],
        [folder / "queries.jsonl", tmp_path / "queries.tsv"],
        [folder / "qrels" / "test.tsv", tmp_path / "more.qrels"],
    )
    assert found.name == "set"
    assert (ids(found.corpus), ids(found.queries)) == (["a", "b", "c"], ["1", "2", "4"])
    assert found.check().judgements == 4
    assert Dataset.from_files([folder / "corpus.jsonl"], [folder / "queries.jsonl"], name="mine").name == "mine"


def test_gains_and_queries_are_chosen(folder, tmp_path):
    assert ids(Dataset.from_folder(folder, min_score=2).queries) == ["2"]
    assert ids(Dataset.from_folder(folder, max_score=2).queries) == ["1"]
    with pytest.raises(UsageError, match=r"test.tsv: no judgement is left of 2; look at min_score$"):
        Dataset.from_folder(folder, min_score=3)
    with pytest.raises(UsageError, match=r"look at max_score, the query subset$"):
        Dataset.from_folder(folder, max_score=2, subset=[other_ids(tmp_path)])
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n")
    with pytest.raises(UsageError, match=r"test.tsv: holds no judgement$"):
        Dataset.from_folder(folder, min_score=3)


def other_ids(folder):
    (folder / "other").write_text("2\n")
    return folder / "other"


def test_a_subset_chooses_queries(folder, tmp_path):
    (tmp_path / "ids").write_text("2\n\n3\n")
    assert ids(Dataset.from_folder(folder, subset=[tmp_path / "ids"]).queries) == ["2"]
    assert ids(Dataset.from_folder(folder, None, subset=[tmp_path / "ids"]).queries) == ["2", "3"]


def test_a_subset_is_ids_or_queries(tmp_path, folder):
    (tmp_path / "ids").write_text("q 1\r\nq2")
    assert read_ids([tmp_path / "ids", folder / "queries.jsonl"]) == {"q 1", "q2", "1", "2", "3"}
    (tmp_path / "none").write_text("\n")
    with pytest.raises(UsageError, match="none: names no query"):
        read_ids([tmp_path / "none"])
    (tmp_path / "tsv").write_text("q1\nq2\ttext\n")
    with pytest.raises(UsageError, match="tsv, line 2: has a tab; name one id a line"):
        read_ids([tmp_path / "tsv"])


def test_a_check_counts_what_is_odd(folder, tmp_path):
    (folder / "qrels" / "test.tsv").write_text("1\ta\t1\n1\ta\t1\n2\tx\t1\n2\ty\t1\n7\ta\t1\n8\tx\t1\n")
    (tmp_path / "ids").write_text("1\n2\n7\n3\n")
    found = Dataset.from_folder(folder, subset=[tmp_path / "ids"])
    check = found.check()
    assert (check.documents, check.queries, check.judgements) == (2, 2, 4)
    assert (check.empty_documents, check.empty_queries, check.repeated_judgements) == (1, 1, 1)
    assert check.unknown_documents == ("x", "y")
    assert check.queries_without_text == ("7",)
    assert check.unjudged_queries == ("3",)
    assert check.oddities() == [
        "documents of the qrels that are not in the corpus: 2 ('x', 'y')",
        "queries without text in the query files: 1 ('7')",
        "queries of the subset without a judgement: 1 ('3')",
        "empty documents, encoded and searched like others: 1",
        "empty queries, encoded and searched like others: 1",
        "judgements given twice with the same gain: 1",
    ]
    with pytest.raises(
        UsageError, match=r"not in the corpus: 2 \('x', 'y'\); queries without text in the query files: 1 "
    ):
        found.check(strict=True)


def test_a_sound_collection_passes_the_strict_check(folder):
    assert Dataset.from_folder(folder, "dev").check(strict=True).oddities() == [
        "empty documents, encoded and searched like others: 1"
    ]


def test_a_subset_without_judgements_may_name_unknown_queries(folder, tmp_path):
    (tmp_path / "ids").write_text("1\n9\n")
    found = Dataset.from_folder(folder, None, subset=[tmp_path / "ids"])
    assert found.check().queries_without_text == ("9",)
    with pytest.raises(UsageError, match=r"queries without text in the query files: 1 \('9'\)"):
        found.check(strict=True)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("corpus.jsonl", "", "corpus.jsonl: the corpus holds no document"),
        ("queries.jsonl", "", "queries.jsonl: the query files hold no query that is asked for"),
        ("queries.jsonl", '{"_id": "9", "text": "x"}', "hold no query that is asked for"),
        ("qrels/test.tsv", "1\tx\t1\n", "no document of the qrels is in the corpus; the first is 'x': two data sets?"),
        ("corpus.jsonl", CORPUS * 2, "corpus.jsonl, line 3: the id was there before; .*'a', 'b'"),
        ("queries.jsonl", QUERIES * 2, "queries.jsonl, line 4: the id was there before; .*: '1', '2'$"),
    ],
)
def test_what_makes_no_sense_is_refused(folder, file, content, words):
    (folder / file).write_text(content)
    with pytest.raises(UsageError, match=words):
        Dataset.from_folder(folder).check()


def test_queries_that_are_documents_are_counted(folder):
    assert Dataset.from_folder(folder).check().identical_ids == ()
    (folder / "queries.jsonl").write_text('{"_id": "a", "text": "x"}\n{"_id": "b", "text": "other"}\n')
    (folder / "qrels" / "test.tsv").write_text("a\tb\t1\nb\tb\t1\n")
    check = Dataset.from_folder(folder).check()
    assert (check.identical_ids, check.identical_texts, check.own_judgements) == (("a", "b"), 1, 1)


def test_a_corpus_is_cut_down_to_what_is_judged_and_others(folder):
    more = "".join(f'{{"_id": "o{number}", "text": "x"}}\n' for number in range(20))
    (folder / "corpus.jsonl").write_text(CORPUS + more)
    whole = Dataset.from_folder(folder)
    assert whole.cut(None, 0) is whole
    part, larger, other = whole.cut(3, 0), whole.cut(5, 0), whole.cut(3, 1)
    assert (part.name, part.other_documents, part.check(strict=True).documents) == ("set+3", 3, 5)
    assert {"a", "b"} < set(ids(part.corpus)) < set(ids(larger.corpus))
    assert set(ids(part.corpus)) != set(ids(other.corpus))
    assert part.corpus.digest() == whole.cut(3, 0).corpus.digest() != other.corpus.digest()
    assert ids(whole.cut(0, 0).corpus) == ["a", "b"]
    assert whole.cut(99, 0).check().documents == 22
    with pytest.raises(UsageError, match="set: has no judgements, so nothing says which documents"):
        Dataset.from_folder(folder, None).cut(3, 0)


def test_a_draw_depends_on_the_seed_and_the_ids_alone():
    assert drawn("abcdefgh", 3, 0) == drawn("hgfedcba", 3, 0) == {"c", "d", "f"}


@pytest.mark.skipif(not DATA.is_dir(), reason="the real test collections are not here")
def test_the_real_collections():
    scifact = Dataset.from_folder(DATA / "scifact").check(strict=True)
    assert (scifact.documents, scifact.queries, scifact.judgements) == (5183, 300, 339)
    assert (scifact.empty_documents, scifact.empty_queries, scifact.repeated_judgements) == (0, 0, 0)
    assert Dataset.from_folder(DATA / "scifact", "train").check().judgements == 919
    cranfield = Dataset.from_folder(DATA / "cranfield", "test_graded")
    check = cranfield.check()
    assert (check.documents, check.queries, check.judgements, check.empty_documents) == (1400, 225, 1837, 2)
    assert set(cranfield.qrels.gains["1"].values()) == {1.0, 2.0, 3.0, 4.0}


@pytest.mark.parametrize(
    ("offline", "why"), [(True, "HF_HUB_OFFLINE forbids"), (False, "http://127.0.0.1:9 does not answer")]
)
def test_files_of_the_hub_are_taken_from_its_cache(folder, tmp_path, monkeypatch, offline, why):
    """The real client, which finds what it would have fetched."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # the discard port: refused at once
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    kept = tmp_path / "hub" / "datasets--org--set" / "snapshots" / ("a" * 40)
    shutil.copytree(folder, kept)
    (kept.parents[1] / "refs").mkdir()
    for name in ("main", "v1"):
        (kept.parents[1] / "refs" / name).write_text("a" * 40)
    address = "hf://datasets/org/set"
    words = ["--corpus", f"{address}/corpus.jsonl", "--queries", f"{address}@v1/queries.jsonl"]

    def opened(*more):
        arguments = ["--platform", "cpu", "--model_name", "m", *words, *more]
        return named_datasets(parse_arguments("evaluate", arguments, "x"), judged=True)

    (found,) = opened("--qrels", f"{address}/qrels/test.tsv")
    assert (found.name, ids(found.queries)) == ("set", ["1", "2"])
    with pytest.raises(UsageError, match=rf"hf://datasets/org/set/none.tsv: not to be had from the hub \({why}"):
        opened("--qrels", f"{address}/none.tsv")
    with pytest.raises(UsageError, match="hf://datasets/org: names no file"):
        opened("--qrels", "hf://datasets/org")
