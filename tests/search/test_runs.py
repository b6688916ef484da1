import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmbench.errors import UsageError
from fmbench.search import TopK, write_run
from tests.run_files import read_run

FOUND = TopK.of(["q1", "2"], [[(0.1, "b", 4), (0.1, "a", 0), (-3.5, "c", 1)], [(1e-7, "a", 0)]])


def test_the_text_of_each_format(tmp_path):
    write_run(tmp_path / "run", FOUND, "trec")
    assert (tmp_path / "run").read_text() == (
        "q1 Q0 b 1 0.1 fmbench\nq1 Q0 a 2 0.1 fmbench\nq1 Q0 c 3 -3.5 fmbench\n2 Q0 a 1 1e-07 fmbench\n"
    )
    write_run(tmp_path / "run", FOUND, "tsv")
    assert (tmp_path / "run").read_text() == "q1\tb\t1\t0.1\nq1\ta\t2\t0.1\nq1\tc\t3\t-3.5\n2\ta\t1\t1e-07\n"
    write_run(tmp_path / "run", FOUND, "jsonl")
    assert [json.loads(line) for line in (tmp_path / "run").read_text().splitlines()] == [
        {"qid": "q1", "docid": ["b", "a", "c"], "score": [0.1, 0.1, -3.5]},
        {"qid": "2", "docid": ["a"], "score": [1e-07]},
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


IDS = st.text(st.characters(codec="utf-8", exclude_characters=" \t\n\v\f\r\0"), min_size=1, max_size=8)


@given(
    st.dictionaries(
        IDS,
        st.dictionaries(IDS, st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=5),
        max_size=4,
    ),
    st.sampled_from(["trec", "tsv", "jsonl"]),
)
@settings(max_examples=40)
def test_what_is_written_is_read_back_bit_for_bit(tmp_path_factory, run, kind):
    path = tmp_path_factory.mktemp("runs") / "run"
    hits = [sorted(((score + 0.0, name, -1) for name, score in mine.items()), reverse=True) for mine in run.values()]
    write_run(path, TopK.of(run, hits), kind)
    wanted = {query: {name: score for score, name, _ in found} for query, found in zip(run, hits, strict=True)}
    read = read_run(path)
    assert read == wanted and [list(read[query]) for query in read] == [list(wanted[query]) for query in read]


def test_json_lines_hold_every_id_and_queries_without_results(tmp_path):
    found = TopK.of(["a query", "\ud800\n"], [[], [(1.0, "tab\tand\x85space", -1), (1.0, "", -1)]])
    write_run(tmp_path / "run", found, "jsonl")
    assert read_run(tmp_path / "run") == {"a query": {}, "\ud800\n": {"tab\tand\x85space": 1.0, "": 1.0}}


@pytest.mark.parametrize(
    ("kind", "name", "others"),
    [
        ("trec", "two words", "tsv or jsonl"),
        ("trec", "", "tsv or jsonl"),
        ("tsv", "a\tb", "jsonl"),
        ("tsv", "a\nb", "jsonl"),
        ("tsv", "\udc80", "jsonl"),
        ("trec", "a\0b", "tsv or jsonl"),
        ("tsv", "a\0b", "jsonl"),
    ],
)
@pytest.mark.parametrize("what", ["query", "document"])
def test_an_id_that_does_not_fit_is_named_and_nothing_written(tmp_path, kind, name, others, what):
    path = tmp_path / "run"
    path.write_text("old")
    query, document = (name, "d") if what == "query" else ("q", name)
    with pytest.raises(UsageError) as raised:
        write_run(path, TopK.of([query], [[(1.0, document, 0)]]), kind)
    assert str(raised.value) == f"{path}: {what} id {name!r} does not fit in a {kind} run; write {others}"
    assert path.read_text() == "old"
