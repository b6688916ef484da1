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
