"""`fmbench results check` finds what is not as it was written."""

import gzip
import json
from pathlib import Path

import pytest

from fmbench.process.store.entry import encode
from fmbench.process.writing.show import main as show

# -- sound or not


@pytest.fixture
def store(results, golden_log):
    """A store with one entry, whose name this is."""
    (name,) = results("add", golden_log).out
    return name


def edit(path, before, after):
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def rewrite(path, **changes):
    """Change an environment.json as somebody does who knows of its digest."""
    facts = json.loads(path.read_text())
    del facts["digest"]
    path.write_bytes(encode({**facts, **changes}))


def repack(path, before, after):
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(before, after), mtime=0))


CHANGED = "was changed since it was written"
DAMAGE = {
    "a result": (
        lambda e: edit(e / "results.json", "20.075", "10.075"),
        [f"results.json: {CHANGED}"],
    ),
    "results that are none": (
        lambda e: (e / "results.json").write_text("[{"),
        [f"results.json: {CHANGED}", "results.json: no JSON (Expecting property name"],
    ),
    "no results": (
        lambda e: (e / "results.json").write_text("[]"),
        [f"results.json: {CHANGED}", "results.json: holds 0 results, and 7 were written"],
    ),
    "a fact": (
        lambda e: edit(e / "environment.json", "Example CPU 9000", "Example CPU 9999"),
        [f"environment.json: {CHANGED}"],
    ),
    "a repetition": (
        lambda e: repack(e / "driver.log.gz", b"0.757057369", b"0.757057368"),
        [f"driver.log.gz: {CHANGED}", "driver.log.gz: is not the log that was added"],
    ),
    "a byte of the packed log": (
        lambda e: (e / "driver.log.gz").write_bytes((e / "driver.log.gz").read_bytes()[:-8] + b"12345678"),
        [f"driver.log.gz: {CHANGED}", "driver.log.gz: cannot be read ("],
    ),
    "a log that is cut off": (
        lambda e: (e / "driver.log.gz").write_bytes((e / "driver.log.gz").read_bytes()[:-20]),
        [f"driver.log.gz: {CHANGED}", "driver.log.gz: the gzip file is cut off", "driver.log.gz: is not the log that"],
    ),
    "a log of a newer format": (
        lambda e: repack(e / "driver.log.gz", b'LOG {"format": 1', b'LOG {"format": 7'),
        [f"driver.log.gz: {CHANGED}", "driver.log.gz:1: the log has format 7"],
    ),
    "no log": (lambda e: (e / "driver.log.gz").unlink(), ["driver.log.gz: is missing"]),
    "no results.json": (lambda e: (e / "results.json").unlink(), ["results.json: is missing"]),
    "facts that are none": (
        lambda e: (e / "environment.json").write_text("no"),
        ["environment.json: no JSON (Expecting value"],
    ),
    "facts that are a list": (
        lambda e: (e / "environment.json").write_text("[]"),
        ["environment.json: no environment.json of a store"],
    ),
    "facts of a newer fmbench": (
        lambda e: rewrite(e / "environment.json", store=9),
        ["environment.json: has store 9, and this fmbench reads 1; upgrade it"],
    ),
    "facts without a log": (
        lambda e: rewrite(e / "environment.json", log=None),
        ["environment.json: log is missing or not what it should be"],
    ),
    "another log's facts": (
        lambda e: rewrite(e / "environment.json", log={"sha256": "0" * 64}),
        ["driver.log.gz: is not the log that was added"],
    ),
    "another entry's facts": (
        lambda e: rewrite(e / "environment.json", run={"name": "../../etc"}),
        ["environment.json: is that of example-9000-6c7fc00c/../../etc", "driver.log.gz: is not the log of this run"],
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_was_changed_is_found(damage, results, store):
    change, expected = DAMAGE[damage]
    change(Path("results", store))
    said = results("check", code=1)
    assert len(said.out) == len(expected), said.out
    for line, text in zip(said.out, expected, strict=True):
        assert line.startswith(f"{store}: {text}")
    assert said.err == [f"note: results: entries: 1, problems: {len(expected)}"]


def test_a_sound_store(results, store, log):
    results("add", log())
    said = results("check")
    assert (said.out, said.err) == ([], ["note: results: entries: 2, problems: 0"])


def test_files_that_belong_to_no_entry_are_named_and_are_no_problem(results, store):
    for path in ("README.md", "plots/speed.svg", f"{store}/driver.log.gz.old", "machine/run/notes.txt"):
        Path("results", path).parent.mkdir(parents=True, exist_ok=True)
        Path("results", path).touch()
    said, named = results("check"), f"({store}/driver.log.gz.old, README.md, machine/run/notes.txt, plots/speed.svg)"
    assert said.out == [] and said.err[-1] == "note: results: entries: 1, problems: 0"
    assert said.err[:-1] == [f"note: results: belong to no entry, and are not read: files: 4 {named}"]
    assert results("check", store).err == ["note: results: entries: 1, problems: 0"]


def test_an_entry_in_the_wrong_place(results, store):
    Path("results", store).parent.rename("results/elsewhere")
    (line,) = results("check", code=1).out
    assert line == f"elsewhere/{store.partition('/')[2]}: environment.json: is that of {store}"


def test_only_what_is_named_is_checked(results, store, log):
    (other,) = results("add", log()).out
    edit(Path("results", store, "results.json"), "20.075", "10.075")
    assert results("check", other).out == []
    assert len(results("check", store, code=1).out) == 1


def test_an_entry_that_cannot_be_read_does_not_hide_the_others(results, store, log):
    results("add", log())
    Path("results", store, "environment.json").write_text("no")
    said = results("list")
    assert len(said.out) == 2
    assert said.err[0].startswith(f"warning: {store}/environment.json: no JSON (")
    assert said.err[0].endswith("; `fmbench results check` says more")


@pytest.mark.parametrize("file", ["driver.log.gz", "results.json", "environment.json"])
def test_an_entry_that_lost_a_file_is_made_whole_by_its_log(file, results, store, golden_log):
    Path("results", store, file).unlink()
    (said,) = results("check", code=1).out
    assert file == "environment.json" or said == (
        f"{store}: {file}: is missing; add the log of this run again, or remove the entry"
    )
    assert results("add", golden_log).out == [store]
    assert results("check").out == []


LOG_INSTEAD = "so that its log is read instead; `fmbench results check` says more"


def test_results_that_were_changed_are_not_believed(results, store):
    sound = results("show")
    assert sound.err == [] and not any("91.2" in line for line in sound.out)
    edit(Path("results", store, "results.json"), "20.075", "91.234")
    said = results("show")
    assert said.err == [f"warning: results/{store}/results.json: {CHANGED}, {LOG_INSTEAD}"]
    assert said.out == sound.out


@pytest.mark.parametrize("command", [("show",), ("query", "select * from results"), ("export", "--out", "lake")])
def test_results_that_are_missing_are_those_of_the_log(command, results, store, log):
    results("add", log())
    sound = results(*command)
    Path("results", store, "results.json").unlink()
    said = results(*command)
    assert f"warning: results/{store}/results.json: is missing, {LOG_INSTEAD}" in said.err
    assert said.out == sound.out and (sound.out or list(Path("lake").rglob("*.parquet")))


def test_results_are_refused_where_the_log_was_changed_too(results, store):
    edit(Path("results", store, "results.json"), "20.075", "10.075")
    repack(Path("results", store, "driver.log.gz"), b"0.757057369", b"0.757057368")
    said = results("show", code=2)
    assert said.out == [] and said.err[-1] == (
        f"fmbench results show: error: results/{store}/driver.log.gz: is not the log of this run; add the right one "
        "again, or remove the entry"
    )


def test_facts_that_were_changed_are_not_believed(results, store):
    sound = results("show").out
    edit(Path("results", store, "environment.json"), '"count": 7', '"count": 8')
    said = f"warning: {store}/environment.json: {CHANGED}; `fmbench results check` says more"
    listed, shown = results("list"), results("show")
    assert (len(listed.out), listed.err, shown.out) == (1, [said], sound)
    unknown = f"warning: results/{store}/results.json: nothing says what was written, {LOG_INSTEAD}"
    assert shown.err == [said, unknown]


def test_an_entry_whose_log_is_gone_is_named_by_show(results, store, log, capsys):
    results("add", log())
    Path("results", store, "driver.log.gz").unlink()
    assert show(["results"]) == 0
    assert f"warning: results/{store}/driver.log.gz: is gone, and left out" in capsys.readouterr().err
