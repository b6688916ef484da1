"""Judgements are recognised by their content, and every gain is kept as it is."""

import gzip
import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fmbench.collection import Qrels
from fmbench.collection.qrels import write_qrels
from fmbench.errors import FmbenchError, UsageError

GAINS = {"q1": {"d1": 1.0, "d2": 0.0}, "q2": {"d1": 3.0, "d3": -1.0, "d4": 0.5}}
PAIRS = [(query, document, gain) for query, found in GAINS.items() for document, gain in found.items()]
GROUPED = (
    '{"qid": "q1", "docid": ["d1", "d2"], "score": [1, 0]}\n'
    '{"qid": "q2", "docid": ["d1", "d3", "d4"], "score": [3, -1.0, 5e-1]}\n'
)


def columns(separator: str, *, middle: str = "", header: str = "") -> str:
    rows = [separator.join([query, *([middle] if middle else []), doc, f"{gain:g}"]) for query, doc, gain in PAIRS]
    return "\n".join([header, *rows] if header else rows) + "\n"


@pytest.fixture
def file(tmp_path):
    def write(content: str | bytes, name: str = "qrels"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


FORMATS = {
    "BEIR": columns("\t", header="query-id\tcorpus-id\tscore"),
    "TSV": columns("\t"),
    "CSV": columns(","),
    "CSV with header": columns(",", header="qid,docid,score"),
    "blanks": columns(" "),
    "TREC": columns(" ", middle="0"),
    "TREC, tabs": columns("\t", middle="Q0"),
    "TREC, aligned": columns("   ", middle="0"),
    "TREC, mixed": columns(" ", middle="0").replace(" 0 ", "\t0 "),
    "TREC with header": columns("\t", middle="0", header="query_id\titeration\tdocid\trelevance"),
    "header names the order": "\n".join(
        ["Score,Corpus-ID,Query-ID", *(f"{gain:g},{doc},{query}" for query, doc, gain in PAIRS)]
    ),
    "index column": "\n".join([",qid,docid,score", *(f"{n},{q},{d},{g}" for n, (q, d, g) in enumerate(PAIRS))]),
    "grouped": GROUPED,
    "JSON lines": "".join(
        json.dumps({"query-id": query, "corpus-id": document, "score": gain}) + "\n" for query, document, gain in PAIRS
    ),
    "TSV in quotes": "\n".join(
        ['"query-id"\t"corpus-id"\t"score"', *(f'"{query}"\t"{doc}"\t{gain:g}' for query, doc, gain in PAIRS)]
    ),
    "header with other columns": "\n".join(
        ["url\tquery-id\tcorpus-id\tscore", *(f"u\t{query}\t{doc}\t{gain:g}" for query, doc, gain in PAIRS)]
    ),
    "CRLF and BOM": "\ufeff" + columns("\t", header="query-id\tcorpus-id\tscore").replace("\n", "\r\n"),
}


@pytest.mark.parametrize("content", FORMATS.values(), ids=FORMATS)
def test_every_format_says_the_same(file, content):
    found = Qrels.load([file(content)])
    assert found == Qrels(GAINS)
    assert found.judgements == 5
    assert Qrels.load([file(gzip.compress(content.encode()))]) == found


def test_ids_keep_their_blanks_and_commas(file):
    assert Qrels.load([file("q 1\td,1\t1\nq 2\td 2 x\t2\n")]).gains == {"q 1": {"d,1": 1.0}, "q 2": {"d 2 x": 2.0}}
    assert Qrels.load([file('q 1,"d,1",1\nq 2,d 2,2\n')]).gains == {"q 1": {"d,1": 1.0}, "q 2": {"d 2": 2.0}}
    assert Qrels.load([file("q,1 0 d,1 1\nq,2 0 d 2\n")]).gains == {"q,1": {"d,1": 1.0}, "q,2": {"d": 2.0}}


def test_numbers_are_ids_in_grouped_lines(file):
    assert Qrels.load([file('{"query_id": 1, "corpus-id": [7], "score": [1]}')]).gains == {"1": {"7": 1.0}}


def test_one_bad_line_among_the_first_is_named_and_does_not_change_the_separator(file):
    with pytest.raises(UsageError, match="qrels, line 2: has 2 columns where the first line has 3"):
        Qrels.load([file("1\ta\t1\n2\tb\n3\tc\t1\n")])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("1\ta\t1\n2\tb\tx\n", "line 2: the gain 'x' is no number"),
        ("1\ta\t1\n2\tb\tnan\n", "line 2: the gain nan is not finite"),
        ("1\ta\t1\n2\tb\t-inf\n", "line 2: the gain -inf is not finite"),
        ("1\ta\t1\n2\tb\t1_0\n", "line 2: the gain '1_0' is no number"),
        ("q\td\tscores\n1\ta\t1\n", "line 1: the gain 'scores' is no number"),
        ("1\ta\t1\n\tb\t1\n", "line 2: an id is empty"),
        ("1 Q0 a 1 0.5 run\n", "line 1: is no judgement: .* is it a run?"),
        ("1 a\n", "line 1: is no judgement: query, document and gain, separated by tab, comma or blanks"),
        ("1\ta\t1\n1\ta\t2\n", "line 2: query '1' and document 'a' have gain 2 here and 1 before"),
        ('{"qid": "1", "docid": ["a"], "score": [1, 2]}\n', "line 1: docid and score must be two lists of one length"),
        ('{"qid": "1", "docid": ["a"], "score": 1}\n', "two lists of one length, or an id and a number"),
        ('{"qid": "1", "docid": "a", "score": "1"}\n', "the gain '1' is no number"),
        ('[{"qid": "1", "docid": "a", "score": 1}]\n', "line 1: is a JSON array; write one object a line"),
        ("q1\t7\t1\t0.9\nq1\t8\t2\t0.8\n", "line 2: has '8' in the second of four columns .* is it a run"),
        ("0,q1,d1,1\n1,q1,d2,1\n", "line 1: is no judgement"),
        ("query-id\tdoc\tscore\nq\td\t1\n", r"is a header of query-id, doc, score; it must have one of each: qid\|"),
        ('{"qid": "1", "docid": ["a"], "score": ["1"]}\n', "the gain '1' is no number"),
        ('{"qid": "1", "docid": ["a"], "score": [NaN]}\n', "the gain nan is not finite"),
        ('{"qid": "1", "docid": ["a"]}\n', "line 1: has none of gain, label, rel, relevance, score; it must have one"),
        ('{"qid": "1", "docid": ["a"], "score": [1]}\n{"qid"\n', "line 2: is no JSON"),
    ],
)
def test_a_bad_line_is_named(file, content, words):
    with pytest.raises(UsageError, match=words):
        Qrels.load([file(content)])


def test_several_files_make_one_and_repetitions_are_counted(file):
    first, second = file("1\ta\t1\n1\ta\t1.0\n", "first"), file("1 0 a 1\n1 0 b 2\n2 0 a 0\n", "second")
    found = Qrels.load([first, second])
    assert found == Qrels({"1": {"a": 1.0, "b": 2.0}, "2": {"a": 0.0}}, repeated=2)
    with pytest.raises(UsageError, match="third, line 1: .* have gain 3 here and 2 before"):
        Qrels.load([first, second, file("1\tb\t3\n", "third")])


def test_of_stacked_files_the_last_one_counts_and_one_file_still_may_not_contradict_itself(file):
    first, second = file("1\ta\t1\n1\tb\t2\n", "first"), file("1\ta\t0\n2\ta\t1\n", "second")
    assert Qrels.load([first, second], stacked=True).gains == {"1": {"a": 0.0, "b": 2.0}, "2": {"a": 1.0}}
    assert Qrels.load([second, first], stacked=True).gains == {"1": {"a": 1.0, "b": 2.0}, "2": {"a": 1.0}}
    with pytest.raises(UsageError, match="third, line 2: .* have gain 3 here and 2 before"):
        Qrels.load([first, file("1\tb\t2\n1\tb\t3\n", "third")], stacked=True)


def test_gains_are_rounded_or_made_one(file):
    found = Qrels.load([file("1\ta\t0.5\n1\tb\t-1.5\n2\ta\t2\n")])
    assert found.transformed("floor").gains == {"1": {"a": 0.0, "b": -2.0}, "2": {"a": 2.0}}
    assert found.transformed("ceil").gains == {"1": {"a": 1.0, "b": -1.0}, "2": {"a": 2.0}}
    assert found.transformed(3.0).gains == {"1": {"a": 3.0, "b": 3.0}, "2": {"a": 3.0}}
    assert found.transformed(None) is found


def test_the_least_gain_is_kept_and_the_most_is_not():
    found = Qrels({"1": {"a": 0.5, "b": 1.0, "c": 2.0}, "2": {"a": 0.4}})
    assert found.between(0.5, 2.0).gains == {"1": {"a": 0.5, "b": 1.0}}
    assert found.between(least=1.0).gains == {"1": {"b": 1.0, "c": 2.0}}
    assert found.between(below=0.5).gains == {"2": {"a": 0.4}}
    assert found.between().gains == found.gains
    assert found.only({"2", "x"}).gains == {"2": {"a": 0.4}}
    assert found.relevant() == {"1": {"b", "c"}, "2": set()}
    assert found.relevant(0.4) == {"1": {"a", "b", "c"}, "2": {"a"}}


identifiers = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
gains = st.dictionaries(
    identifiers,
    st.dictionaries(identifiers, st.floats(allow_nan=False, allow_infinity=False), min_size=1),
    min_size=1,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(gains, st.sampled_from(["tsv", "grouped"]))
def test_what_is_written_is_read_back(tmp_path, content, form):
    path = tmp_path / "written"
    path.unlink(missing_ok=True)
    breaks = any(set("\t\n\r\0") & set(name) for query, found in content.items() for name in (query, *found))
    if form == "tsv" and breaks:
        with pytest.raises(
            UsageError, match="holds a tab, a line break or a NUL, which a TSV cannot hold: choose grouped"
        ):
            write_qrels(content, path, form)
        assert list(tmp_path.iterdir()) == []
        return
    write_qrels(content, path, form)
    found = Qrels.load([path])
    assert found.gains == content
    assert all(
        math.copysign(1, g) == math.copysign(1, found.gains[q][d]) for q in content for d, g in content[q].items()
    )


def test_a_file_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(FmbenchError, match="cannot be written"):
        write_qrels(GAINS, tmp_path / "no" / "file")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("1 a 0.932\n1 b 0.871\n2 a 0.544\n", "scores with many digits"),
        ('{"qid": "1", "docid": ["a", "b", "c"], "score": [0.932, 0.871, 0.544]}\n', "scores with many digits"),
        ("1\ta\t1\n1\tb\t2\n1\tc\t3\n2\td\t1\n", "the ranks 1, 2, 3, ... of every query"),
        ("1\ta\t1\n1\tb\t1\n1\tc\t2\n", None),
        ("1\ta\t0.5\n1\tb\t0.25\n1\tc\t1\n", None),
        ("1\ta\t1\n2\tb\t1\n3\tc\t1\n", None),
        ("1\ta\t1\n1\tb\t2\n", None),
    ],
)
def test_a_run_does_not_pass_for_judgements(file, content, words):
    assert Qrels.load([file(content)]).run_in_disguise() == words


@pytest.mark.parametrize(
    "content", ["qid\tpid\trank\tscore\n1\ta\t1\t3\n", '{"qid": "1", "docid": "a", "rank": 1, "score": 2}\n']
)
def test_a_rank_is_of_a_run(file, content):
    with pytest.raises(UsageError, match="line 1: .*rank: is it a run"):
        Qrels.load([file(content)])
