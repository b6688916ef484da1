"""Reciprocal rank fusion, and the runs that it reads."""

import pytest

from fmbench.errors import UsageError
from fmbench.ranking.fusion import fuse
from fmbench.search import TopK, write_run
from fmbench.search.runs import read_run

ONE = {"q": ["a", "b", "c"], "r": ["x"]}
OTHER = {"q": ["c", "a", "d"]}


def test_sums_of_reciprocal_ranks():
    found = fuse([ONE, OTHER], depth=3, k=60)
    assert found.query_ids == ("q", "r") and found.ids == [["a", "c", "b"], ["x"]]
    a, c, b = found.scores[0].tolist()
    assert a == pytest.approx(1 / 61 + 1 / 62) and c == pytest.approx(1 / 63 + 1 / 61) and b == pytest.approx(1 / 62)


def test_equal_sums_are_in_the_total_order():
    assert fuse([{"q": ["a", "b"]}, {"q": ["b", "a"]}], depth=2).ids == [["b", "a"]]


@pytest.mark.parametrize("kind", ["trec", "tsv", "jsonl"])
def test_a_run_that_was_written_reads_back(tmp_path, kind):
    found = TopK.of(["q 1" if kind != "trec" else "q1", "2"], [[(0.5, "b", 4), (0.1, "a\u3000x", 0)], [(1.0, "a", 0)]])
    write_run(tmp_path / f"run.{kind}", found, kind)
    assert read_run(tmp_path / f"run.{kind}") == dict(zip(found.query_ids, found.ids, strict=True))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("run.txt", "", "a run ends in .trec"),
        ("run.trec", "", "holds no ranking"),
        ("run.trec", "q Q0 a 1 0.5\n", "line 1: is no line of a trec run"),
        ("run.trec", "q Q0 a 1 0.5 t\nq Q0 b 3 0.4 t\n", "line 2: query q: rank 3 where 2 is next"),
        ("run.trec", "q Q0 a 0 0.5 t\nq Q0 b 2 0.4 t\n", "line 2: query q: rank 2 where 1 is next"),
        ("run.trec", "q Q0 a 1 0.5 t\nq Q0 b 1 0.4 t\n", "line 2: query q: rank 1 where 2 is next"),
        ("run.trec", "q Q0 a 2 0.5 t\n", "line 1: query q: rank 2 where 0 or 1 is next"),
        ("run.trec", "q Q0 a 1 0.4 t\nq Q0 b 2 0.5 t\n", "line 2: query q: rank 2 has score 0.5, above 0.4"),
        ("run.trec", "q Q0 a 1 nan t\n", "line 1: query q: score nan of document a is not a finite number"),
        ("run.trec", "q Q0 a 1 1e999 t\n", "score inf of document a is not a finite number"),
        ("run.trec", "q Q0 a 1 high t\n", "line 1: is no line of a trec run"),
        ("run.tsv", "q\ta\t1\t0.5\nq\ta\t2\t0.4\n", "line 2: query q: document a comes twice"),
        ("run.tsv", "q\ta\t1\t0.5\nr\ta\t1\t0.5\nq\tb\t1\t0.5\n", "line 3: query q: rank 1 where 2 is next"),
        ("run.jsonl", '{"qid": "q"}\n', 'is no line of a jsonl run, which is {"qid"'),
        ("run.jsonl", '{"qid": "q", "docid": ["a"], "score": []}', "with two lists of one length"),
        ("run.jsonl", '{"qid": "q", "docid": "ab", "score": "21"}', "with two lists of one length"),
        ("run.jsonl", '{"qid": "q", "docid": ["a", "b"], "score": [1, 2]}', "rank 2 has score 2, above 1"),
        ("run.jsonl", '{"qid": "q", "docid": [], "score": []}\n' * 2, "line 2: query q comes twice"),
        ("gone.trec", None, "No such file"),
    ],
)
def test_what_is_no_run(tmp_path, name, text, said):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=said):
        read_run(tmp_path / name)


def test_ranks_may_count_from_0_and_equal_scores_are_in_the_order_of_ranks(tmp_path):
    (tmp_path / "run.trec").write_text("q Q0 b 0 0.5 t\nr Q0 x 1 2 t\nq Q0 a 1 0.5 t\n")
    assert read_run(tmp_path / "run.trec") == {"q": ["b", "a"], "r": ["x"]}
