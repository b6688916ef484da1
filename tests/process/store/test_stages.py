"""One log is one entry, though it had not grown yet when it was first added."""

import json
import shutil
from pathlib import Path

import pytest

from fmbench.process.store.entry import FILES
from fmbench.process.writing.show import main as show

from ..log_lines import GOLDEN
from .conftest import files

WHOLE = GOLDEN.read_bytes()
GROWING = WHOLE[: WHOLE.rindex(b"FMWORK RES")]


def add(results, content, *words, **expected):
    Path("x.log").write_bytes(content)
    return results("add", "x.log", *words, **expected)


def rows_of(results):
    return json.loads("\n".join(results("query", "from results", "--format", "json").out))


@pytest.fixture
def both(results):
    """A store that an earlier version made, with an entry of a log and one of its beginning."""
    names = [add(results, content, "--store", store).out[0]
             for content, store in ((GROWING, "results"), (WHOLE, "later"))]  # fmt: skip
    shutil.copytree(f"later/{names[1]}", f"results/{names[1]}")
    return names


def test_a_log_that_has_grown_takes_the_place_of_its_beginning(results):
    (earlier,) = add(results, GROWING).out
    said = add(results, WHOLE)
    assert said.out != [earlier]
    assert said.line == f"note: x.log: has grown since it was kept as {earlier}, and takes that place"
    assert files("results") == sorted(["store.json", *(f"{said.out[0]}/{file}" for file in FILES)])
    assert results("check").err[-1] == "note: results: entries: 1, problems: 0"


@pytest.mark.parametrize("content", [GROWING, WHOLE.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + WHOLE])
def test_a_beginning_and_other_line_ends_add_nothing(results, content):
    (whole,) = add(results, WHOLE).out
    before = files("results")
    said = add(results, content)
    assert (said.out, said.line) == ([whole], "note: x.log: is in results already")
    assert files("results") == before


def test_other_files_in_the_folder_of_a_beginning_are_not_lost(results):
    (earlier,) = add(results, GROWING).out
    Path("results", earlier, "notes.txt").write_text("mine")
    before = files("results")
    said = add(results, WHOLE, code=2)
    assert f"has grown since it was kept as {earlier}, whose folder holds {earlier}/notes.txt too" in said.line
    assert files("results") == before


def test_a_store_that_has_both_counts_one(results, both, capsys):
    earlier, whole = both
    said = f"results/{earlier}: is the beginning of {whole}, and does not count"
    assert {row["run"] for row in rows_of(results)} == {whole.partition("/")[2]}
    listed = results("list", "--format", "json")
    assert len(json.loads("\n".join(listed.out))) == 1 and said in listed.line
    assert show(["results"]) == 0 and "counted once" in capsys.readouterr().err


def test_other_logs_of_the_same_second_stay(results, log):
    names = [results("add", log(latency=latency)).out[0] for latency in (2.0, 3.0)]
    assert len({*names}) == len(rows_of(results)) == 2
