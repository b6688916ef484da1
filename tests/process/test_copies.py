"""One run counts once, however often its log is given: packed, copied, or before it had grown."""

import gzip

import pytest

from fmbench.process.comparing.compare import main as compare_main
from fmbench.process.reading.copies import divided
from fmbench.process.reading.sources import find_sources

from .test_compare import log_text, noisy, told

WHOLE = log_text({8: noisy(seed=1, count=200), 16: noisy(seed=2, count=200)}).encode()
GROWING = WHOLE[: WHOLE.rindex(b"FMWORK CASE") + 20]
OTHER = log_text({8: noisy(seed=3), 16: noisy(seed=4)}).encode()
ASKED = WHOLE[: WHOLE.index(b"FMWORK ENV")]  # of a run that was killed as it began
UTF16 = WHOLE.decode().encode("utf-16")


@pytest.fixture
def said(tmp_path):
    """Put logs into files, and return what is said of their copies."""

    def of(*contents):
        for place, content in enumerate(contents):
            (tmp_path / str(place)).write_bytes(content)
        kept, copies = divided(find_sources(str(tmp_path / str(place)) for place in range(len(contents))))
        assert len(kept) + len(copies) == len(contents)
        return [str(copy).replace(f"{tmp_path}/", "") for copy in copies]

    return of


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ([WHOLE, WHOLE], ["1 is 0"]),
        ([WHOLE, gzip.compress(WHOLE)], ["1 is 0"]),
        ([gzip.compress(WHOLE, 1), WHOLE, gzip.compress(WHOLE, 9)], ["1 is 0", "2 is 0"]),
        ([UTF16, WHOLE], ["1 is 0"]),
        ([GROWING, WHOLE], ["0 is the beginning of 1"]),
        ([WHOLE, gzip.compress(GROWING)], ["1 is the beginning of 0"]),
        ([GROWING, OTHER, GROWING, WHOLE], ["0 is the beginning of 3", "2 is the beginning of 3"]),
        ([gzip.compress(WHOLE)[:-20], WHOLE], ["0 is the beginning of 1"]),
        ([WHOLE, OTHER], []),
        ([ASKED, WHOLE, OTHER], []),
        ([b"", WHOLE, b""], []),
        ([GROWING + b"x", WHOLE], []),
    ],
)
def test_what_is_a_copy(said, contents, expected):
    assert len(ASKED) < len(GROWING) < len(WHOLE)
    assert said(*contents) == expected


def test_logs_that_differ_only_far_behind_their_heads(said):
    long = WHOLE + b"# nothing\n" * 5000
    assert said(long + b"a\n", gzip.compress(long + b"b\n"), long) == ["2 is the beginning of 0"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a log, its packed copy, and one from when it grew."""
    monkeypatch.chdir(tmp_path)
    for name, content in (("x.log", WHOLE), ("x.log.gz", gzip.compress(WHOLE)), ("older.log", GROWING)):
        (tmp_path / name).write_bytes(content)


def test_a_run_is_one_row_a_shape(folder, process):
    printed = process("--path", ".")
    assert [row["input"] for row in printed.rows] == [8, 16]
    (warning,) = printed.warnings
    assert "counted once: older.log is the beginning of x.log; x.log.gz is x.log" in warning


def test_copies_are_no_processes(folder, tmp_path, capsys):
    (tmp_path / "other").write_bytes(OTHER)  # which is none of the folder's logs
    shapes = []
    for path in (".", "x.log"):
        assert compare_main(["other", path, "--format", "json"]) == 0
        shapes.append(told(capsys.readouterr().out)["shapes"])
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("new", ["x.log", "x.log.gz"])
def test_a_run_that_is_compared_with_itself_says_so(folder, capsys, new):
    assert compare_main(["x.log", new]) == 0
    out, err = capsys.readouterr()
    same = f"all 2 results of {new} are in x.log"
    assert f"hold the same runs; what nothing else measured is compared with itself: {same}" in err
    assert f"On both sides, and where nothing else measured it compared with itself: {same}." in out
