"""Texts are read as they are, from every format, streamed; what is no text is named with file and line."""

import bz2
import csv
import gzip
import io
import json
import lzma
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fmbench.collection import Document, Texts
from fmbench.collection.rows import quoted_fields
from fmbench.errors import UsageError

zstandard = pytest.importorskip("zstandard", reason="pip install 'fmbench[retrieval]'")

ROWS = [
    {"_id": "d 1", "title": "Title", "text": "one\ttwo"},
    {"_id": "d2", "text": "", "title": ""},
    {"_id": "ü3", "text": "über\u2028x"},
]
DOCUMENTS = [Document("d 1", "one\ttwo", "Title"), Document("d2", ""), Document("ü3", "über\u2028x")]
ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
texts = st.text(st.characters(exclude_categories=["Cs"]))


def lines(rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture
def file(tmp_path):
    """Write bytes, or text, to a new file."""

    def write(content: bytes | str, name: str = "texts") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def read(*paths: Path, **options) -> list[Document]:
    return list(Texts(paths, **options))


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as refused:
        read(path)
    assert "\n" not in str(refused.value)
    return str(refused.value).replace(str(path), "FILE")


# -- what is read


def test_a_passage_is_title_one_space_text():
    assert Document("1", " text ", "Title").passage == "Title  text"
    assert Document("1", "text").passage == "text"
    assert Document("1", "", "Title").passage == "Title"
    assert Document("1", "").passage == ""


@pytest.mark.parametrize(
    "packed",
    [
        bytes,
        gzip.compress,
        lambda data: gzip.compress(data[:20]) + gzip.compress(data[20:]),
        bz2.compress,
        lzma.compress,
        zstandard.compress,
        lambda data: zstandard.compress(data[:20]) + zstandard.compress(data[20:]),
        lambda data: b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip" + zstandard.compress(data),
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: b"\n \n" + data.replace(b"\n", b"\n\n").rstrip(),
    ],
    ids=[
        "plain",
        "gzip",
        "gzip members",
        "bzip2",
        "xz",
        "zstd",
        "zstd frames",
        "zstd skippable",
        "BOM",
        "CRLF",
        "blank lines",
    ],
)
def test_json_lines_are_read_however_they_are_packed(file, packed):
    assert read(file(packed(lines(ROWS)))) == DOCUMENTS


@pytest.mark.parametrize(
    "name", ["_id", "qid", "query_id", "query-id", "docid", "passage_id", "passage-id", "corpus-id"]
)
def test_every_name_of_an_id(file, name):
    assert read(file(lines([{name: "7", "text": "x"}]))) == [Document("7", "x")]


def test_a_whole_number_is_an_id_and_null_an_empty_text(file):
    rows = [{"_id": 7, "text": None, "title": None}, {"_id": 10**20, "text": "x"}]
    assert read(file(lines(rows))) == [Document("7", ""), Document(str(10**20), "x")]


def test_an_escaped_nul_and_escaped_pairs_are_characters(file):
    assert read(file(lines([{"_id": "1", "text": "a\0b 😀"}]))) == [Document("1", "a\0b 😀")]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('1\tone "two" three\n2\t\n', [Document("1", 'one "two" three'), Document("2", "")]),
        ("1\ttext\n", [Document("1", "text")]),
        ('1\t"Aaron ""x"""\n2\t"Aaron" was\n', [Document("1", '"Aaron ""x"""'), Document("2", '"Aaron" was')]),
        ('id\ttext\ttitle\n1\t"Aaron ""x"""\tAaron\n', [Document("1", 'Aaron "x"', "Aaron")]),
        ('"id"\t"text"\n"1"\t"a\tb"\n2\ta "b"\n', [Document("1", "a\tb"), Document("2", 'a "b"')]),
        ("\ufeffID\tTEXT\tUrl\n1\tbody\thttp\n", [Document("1", "body")]),
        ("docid\ttext\tscore\n1\tbody\t3\n", [Document("1", "body")]),
        ("id\ttext\ttitle\n1\tbody\tTitle\n", [Document("1", "body", "Title")]),
        ("text\tquery-id\nbody\t 1 \n", [Document(" 1 ", "body")]),
        ("id\ttext\n", []),
        ("", []),
    ],
    ids=[
        "two columns",
        "a text that names a column",
        "quotes without a header",
        "quotes under a header",
        "everything quoted",
        "unknown column, other case, BOM",
        "another unknown column",
        "header",
        "header in another order",
        "header only",
        "empty",
    ],
)
def test_tsv(file, content, expected):
    assert read(file(content)) == expected


def test_many_files_and_a_subset_keep_their_order(file):
    first, second = file(lines(ROWS), "a"), file("9\tnine\n8\teight\n", "b")
    assert read(second, first) == [Document("9", "nine"), Document("8", "eight"), *DOCUMENTS]
    assert read(second, first, ids={"d2", "8", "unknown"}) == [Document("8", "eight"), Document("d2", "")]
    assert read(first, ids=set()) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.builds(Document, ids, texts, texts)), st.booleans())
def test_whatever_json_can_say_comes_back(tmp_path, documents, escaped):
    path = tmp_path / "texts"
    rows = [{"_id": found.id, "text": found.text, "title": found.title} for found in documents]
    path.write_text("".join(json.dumps(row, ensure_ascii=escaped) + "\n" for row in rows), "utf-8", newline="")
    assert read(path) == documents


# -- what is refused


BAD = [
    (b'{"_id": "1", "text": "x"}\n{"_id": "2", "text"\n', "FILE, line 2: is no JSON"),
    (b'[{"_id": "1", "text": "x"}]', "FILE, line 1: is a JSON array; write one object a line"),
    (b'{"_id": "1", "text": "x"}\n"two"\n', "FILE, line 2: is no JSON object"),
    (b'{"id": "1", "text": "x"}\n', "FILE, line 1: has no id; it must have exactly one of _id, "),
    (b'{"_id": "1", "docid": "1", "text": "x"}\n', "FILE, line 1: has _id and docid; it must have exactly one"),
    (b'{"_id": "", "text": "x"}\n', "FILE, line 1: an id is empty"),
    (b'{"_id": 7.0, "text": "x"}\n', "an id is 7.0; it must be a string or a whole number"),
    (b'{"_id": true, "text": "x"}\n', "an id is true; it must be"),
    (b'{"_id": "1", "contents": "x"}\n', "FILE, line 1: has no text, only _id, contents"),
    (b'{"_id": "1", "text": 5}\n', "FILE, line 1: text is 5; it must be a string"),
    (b'{"_id": "1", "text": "x", "title": ["a"]}\n', 'title is ["a"]; it must be a string'),
    (b'{"_id": "1", "text": "\\ud800"}\n', "FILE, line 1: holds half of a surrogate pair"),
    (b'{"_id": "1", "text": ' + b"[" * 100_000 + b"\n", "FILE, line 1: is no JSON"),
    (b'{"_id": ' + b"9" * 5000 + b"}\n", "FILE, line 1: is no JSON"),
    (b'{"_id": "1", "text": "x", "Title": "y"}\n', "FILE, line 1: has 'Title', which is spelled title"),
    (b'{"_id": "1", "text": {"body": "x"}}\n', 'text is {"body": "x"}; it must be a string'),
    (b"qid\tquery\n1\tx\n", "FILE, line 1: is a header of qid, query; it must have text, one of _id, "),
    (b"docid\tcontents\n1\tx\n", "FILE, line 1: is a header of docid, contents; it must have text"),
    (b"docno\tdocument\n1\tx\n", "FILE, line 1: is a header of docno, document; it must have text"),
    (b"topic_id\tquery\n1\tx\n", "FILE, line 1: is a header of topic_id, query; it must have text"),
    (b"identifier\tdescription\n1\tx\n", "FILE, line 1: is a header of identifier, description; it must have text"),
    (b"# made by a script\tv1\n1\tx\n", "FILE, line 1: begins with #, as comments and headers do"),
    (b"title\ttext\nA\tx\n", "FILE, line 1: is a header of title, text; it must have text, one of _id"),
    (b"id\tpid\ttext\n1\t2\tx\n", "FILE, line 1: is a header of id, pid, text; it must have"),
    (b"id,text,title\n1,x,y\n", "FILE, line 1: is no JSON object and has 1 column; a TSV"),
    (b"1\tTitle\ttext\n", "FILE, line 1: is no JSON object and has 3 columns; a TSV without a header has two"),
    (b'id\ttext\n1\t"Hello" he said\n', "FILE, line 2: has a field that begins with a double quote and does not"),
    (b'id\ttext\n1\t"first\nsecond"\n', "FILE, line 2: has a field that begins with a double quote and does not"),
    (b'"1"\t"x"\n', "FILE, line 1: has an id in quotes, which only a TSV with a header has"),
    (b"PK\x03\x04...", "FILE: is a zip archive; unpack it"),
    (b"PAR1...", "FILE: is Parquet; write its rows as JSON lines"),
    (bz2.compress(lines(ROWS))[:-5], "FILE: the bzip2 data end too early; the file was cut off"),
    (bz2.compress(lines(ROWS))[:-8] + bytes(8), "FILE: damaged bzip2 data"),
    (lzma.compress(lines(ROWS))[:-5], "FILE: the xz data end too early; the file was cut off"),
    (lzma.compress(lines(ROWS))[:30] + b"rubbish" * 20, "FILE: damaged xz data"),
    (b"1\tone\n2\ttwo\tthree\n", "FILE, line 2: has 3 columns where the first line has 2"),
    (b"1\tone\n\ttwo\n", "FILE, line 2: an id is empty"),
    (b"one\n", "FILE, line 1: is no JSON object and has 1 column; a TSV without a header has two, id and text"),
    (b"1\t2\t3\t4\n", "FILE, line 1: is no JSON object and has 4 columns"),
    (b"1\tone\n2\tt\0wo\n", "FILE, line 2: holds a NUL byte"),
    ("1\tone\n".encode("utf-16"), "FILE, line 1: holds a NUL byte; is the file UTF-16"),
    (b"1\tone\n2\tt\xffo\n", "FILE, line 2: is no UTF-8 (invalid start byte at byte 4)"),
    (gzip.compress(lines(ROWS))[:-12], "FILE: the gzip data end too early"),
    (gzip.compress(lines(ROWS))[:-8] + bytes(8), "FILE: damaged gzip data (CRC check failed"),
    (zstandard.compress(lines(ROWS))[:-1], "FILE: the Zstandard data end too early; the file was cut off"),
    (zstandard.compress(lines(ROWS)) + b"rubbish", "FILE: damaged Zstandard data"),
]


@pytest.mark.parametrize(("content", "words"), BAD, ids=[words for _, words in BAD])
def test_a_bad_line_is_named(file, content, words):
    assert words in refusal(file(content))


def test_a_missing_package_is_one_line(file, monkeypatch):
    path = file(zstandard.compress(lines(ROWS)))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    assert refusal(path) == "FILE: reading Zstandard needs zstandard: pip install 'fmbench[retrieval]'"


def test_what_is_no_file_is_refused_at_once(tmp_path):
    for path, words in [(tmp_path, "is a folder"), (tmp_path / "x", "no such file"), (Path("/dev/null"), "no regular")]:
        with pytest.raises(UsageError, match=words):
            Texts([path])


def test_ids_that_occur_twice_are_named_with_the_first_place(file):
    first, second = file("1\ta\n2\tb\n3\tc\n", "first"), file("4\td\n3\te\n1\tf\n", "second")
    with pytest.raises(UsageError, match=r"second, line 2: the id was there before; ids that occur twice: '3', '1'$"):
        Texts([first, second]).survey()
    with pytest.raises(UsageError, match="'3', '1'"):
        Texts([first, second]).count()
    assert Texts([first, second], ids={"2", "4"}).count() == 2
    many = file("".join(f"{number}\tx\n" for number in range(9)) * 2, "many")
    with pytest.raises(UsageError, match="line 10: .*: '0', '1', '2', '3', '4' and 4 more$"):
        Texts([many]).count()


# -- survey, count, digest


def test_a_survey_counts_empty_texts(file):
    texts = Texts(
        [file(lines([*ROWS, {"_id": "4", "text": " \n", "title": " "}, {"_id": "5", "text": "", "title": "t"}]))]
    )
    survey = texts.survey()
    assert survey.ids == {"d 1", "d2", "ü3", "4", "5"}
    assert (survey.empty, survey.quoted) == (2, 0)
    assert texts.count() == 5


def test_a_digest_knows_content_order_and_subset_but_no_name(file):
    a, b, c = file("1\tone\n", "a"), file("2\ttwo\n", "b"), file("1\tone\n", "c")
    digest = Texts([a, b]).digest()
    assert len(digest) == 64
    assert Texts([c, b]).digest() == digest
    others = [Texts([b, a]), Texts([a]), Texts([a, b], ids={"1"}), Texts([a, b], ids={"1", "2"}), Texts([])]
    assert len({digest, *(other.digest() for other in others)}) == 6
    assert Texts([a, b], ids=["2", "1"]).digest() == Texts([a, b], ids=["1", "2"]).digest()


BOUNDED = """
import resource, sys
from pathlib import Path
from fmbench.collection import Texts

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

before = peak()
texts = Texts([Path(sys.argv[1])])
length = sum(len(document.passage) for document in texts)
assert texts.count() == int(sys.argv[2])
texts.digest()
print(length, peak() - before)
"""


@pytest.mark.parametrize("pack", ["plain", "gzip", "zstd"])
def test_a_corpus_of_50_megabytes_takes_little_memory(tmp_path, pack):
    count, text = 2500, "abcdefghij" * 2000
    path = tmp_path / "corpus"
    opening = {"plain": Path.open, "gzip": gzip.open, "zstd": zstandard.open}[pack]
    with opening(path, "wb") as stream:
        for number in range(count):
            stream.write(f'{{"_id": "{number}", "title": "", "text": "{text}"}}\n'.encode())
    arguments = [sys.executable, "-c", BOUNDED, str(path), str(count)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=300)
    length, grown = done.stdout.split()
    assert int(length) == count * len(text)
    assert float(grown) < 25  # MiB; the file has 48


def test_texts_that_stayed_in_csvs_quotes_are_counted(file):
    content = '1\t"Aaron ""x"""\n2\t"Aaron" was "x"\n3\t"plain"\n4\t""\n'
    assert Texts([file(content)]).survey().quoted == 1


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0")), min_size=2,
                         max_size=2), max_size=5))  # fmt: skip
def test_what_pythons_csv_writes_is_read_back(rows):
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
    writer.writerows(rows)
    assert [quoted_fields(line) for line in stream.getvalue().split("\n")[:-1]] == rows
