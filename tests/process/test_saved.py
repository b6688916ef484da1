"""Results in JSON are read again: however the list is laid out, one by one where that can be, and of every version."""

import json

import pytest

from fmbench.errors import UsageError
from fmbench.process.reading.saved import read_saved

ONE, TWO = '{"status": "OK", "itl": 1.0}', '{"status": "OK", "itl": 2.0, "opts": ["},", "]"]}'


def read(text):
    return list(read_saved(text.encode().splitlines(keepends=True), "x.json", pytest.fail))


@pytest.mark.parametrize("text", [
    f"[\n{ONE},\n{TWO}\n]\n", f"[\n{ONE},\n{TWO}]", f"[{ONE},\n{TWO}\n]", f"[\n  {ONE},\n\n  {TWO}\n]",
    f"[\n{ONE},{TWO}\n]", json.dumps([json.loads(ONE), json.loads(TWO)], indent=2), f"[\n{ONE}\n,{TWO}]",
    f"[\n{ONE},\n{TWO[:-1]}, \"pair\":\n{{\"b\": \"x\"\n}}}}]",
    f"[\n{TWO[:-1]}, \"error\": {{\"a\": [{{}},\n{{}},\n1]}}}}]",
    "[]", "[\n]\n",
], ids=range(11))  # fmt: skip
def test_a_list_is_read_however_it_is_laid_out(text):
    assert [row["itl"] for row in read(text)] == [found["itl"] for found in json.loads(text)]


@pytest.mark.parametrize("text", [
    f"[\n{ONE},\n]", f"[\n{ONE},\n{TWO}\n", f"[\n{ONE}\n{TWO}\n]", f"[\n{ONE},\n{TWO},\n", f"[\n{ONE},\n{TWO}\n]]",
    "[\n",
    f"[\n{ONE},\n{TWO[:-3]},\n{ONE}]",
], ids=range(7))  # fmt: skip
def test_a_list_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="no JSON"):
        read(text)


def test_the_objects_of_a_list_are_read_one_by_one():
    seen = []

    def lines():
        for text in ("[\n", ONE + ",\n", TWO + ",\n", ONE + "\n", "]\n"):
            seen.append(text)
            yield text.encode()

    read_so_far = [len(seen) for _ in read_saved(lines(), "x.json", pytest.fail)]
    assert read_so_far == [2, 3, 5]


# -- versions


@pytest.mark.parametrize(("version", "message"), [
    (9, "result 1: has schema 9, and this fmbench reads 1; upgrade it"), (0, "schema is no version"),
    (True, "schema is no version"), ("1", "schema is no version"),
])  # fmt: skip
def test_a_version_that_is_none_is_refused(version, message):
    with pytest.raises(UsageError, match=message):
        read(json.dumps([{"status": "OK", "schema": version}]))


# -- workloads


@pytest.mark.parametrize("folder", ["golden", "golden-retrieval", "golden-distill", "golden-fidelity"])
def test_rows_of_before_say_what_they_are_of(process, tmp_path, folder, golden):
    rows = process("--path", golden.parent / folder / "format-1.log").rows
    old = [{key: value for key, value in row.items() if key != "workload"} for row in rows]
    (tmp_path / "old.json").write_text(json.dumps(old))
    found = process("--path", tmp_path / "old.json").rows
    assert found == rows
    assert [list(row) for row in found] == [list(row) for row in rows]


def test_rows_of_a_workload_that_is_not_installed_pass_through_with_one_warning():
    row = '{"status": "OK", "workload": "odd", "odd": {"a": 1}}'
    told = []
    found = list(read_saved(f"[{row},\n{row}]".encode().splitlines(keepends=True), "x.json", told.append))
    assert [(one["workload"], one["odd"]) for one in found] == [("odd", {"a": 1})] * 2
    assert told == ["x.json: no workload 'odd' is installed; its results are passed on as they are"]
