"""Where an entry lies says nothing: its log says which machine it is of, and one log counts once."""

import gzip
import json
import shutil
from pathlib import Path

import pytest

from fmbench.process.cli import main as process_main
from fmbench.process.comparing.compare import main as compare
from fmbench.process.writing.show import main as show

ELSEWHERE = "nvidia-h100-aaaaaaaa"


@pytest.fixture
def kept(results, log):
    """The names of two entries of a machine, in the store `results`."""
    return [results("add", log(start=1_700_000_000 + 100 * place, latency=2.0 + place)).out[0] for place in (0, 1)]


def rows_of(results, table="results"):
    return json.loads("\n".join(results("query", f"from {table}", "--format", "json").out))


def machines_exported(results):
    return {path.split("/")[1] for path in results("export", "--out", "lake").out}


@pytest.mark.parametrize("moved", [False, True])
def test_an_entry_in_the_folder_of_another_machine_is_of_its_own(results, kept, moved):
    machine, _, run = kept[0].partition("/")
    Path("results", ELSEWHERE).mkdir()
    (shutil.move if moved else shutil.copytree)(f"results/{kept[0]}", f"results/{ELSEWHERE}/{run}")
    said = "is not where it belongs; its log is " if moved else f"is a copy of {kept[0]}, and does not count"
    listed = results("list", "--format", "json")
    assert [entry["machine"] for entry in json.loads("\n".join(listed.out))] == [machine, machine]
    assert f"{ELSEWHERE}/{run}: {said}" in listed.line
    assert [row["machine"] for row in rows_of(results)] == [machine, machine]
    assert sorted(row["run"] for row in rows_of(results, "runs")) == sorted(name.partition("/")[2] for name in kept)
    assert machines_exported(results) == {f"machine={machine}"}
    assert len(results("query", "select * from results", "--format", "csv").out) == 3
    assert "problems: 1" in results("check", code=1).err[-1]


def test_a_copy_beside_its_own_folder_counts_once(results, kept):
    shutil.copytree(f"results/{kept[0]}", f"results/{kept[0]}-copy")
    assert len(rows_of(results)) == len(rows_of(results, "runs")) == 2


def test_an_entry_without_its_description_is_of_the_machine_of_its_log(results, kept):
    machine, _, run = kept[0].partition("/")
    Path("results", ELSEWHERE).mkdir()
    shutil.move(f"results/{kept[0]}", f"results/{ELSEWHERE}/{run}")
    Path("results", ELSEWHERE, run, "environment.json").write_text("{}")
    assert {row["machine"] for row in rows_of(results)} == {machine}
    assert machines_exported(results) == {f"machine={machine}"}


def printed_rows(capsys, *paths):
    assert process_main([word for path in paths for word in ("--path", path)]) == 0
    printed = capsys.readouterr()
    return json.loads(printed.out), printed.err


def test_a_store_in_a_store_is_no_part_of_it(results, kept, log, capsys):
    results("add", log(start=1_800_000_000, latency=9.0), "--store", "other")
    shutil.copytree("other", "results/other")
    said = "is a store of its own"
    assert len(rows_of(results)) == 2
    assert said in results("list").line
    checked = results("check", code=1)
    assert said in checked.out[0] and "problems: 1" in checked.err[-1]
    rows, err = printed_rows(capsys, "results")
    assert len(rows) == 2 and err.count(said) == 1
    assert len(printed_rows(capsys, "results", "results/other")[0]) == 3
    compare(["results", "other"])
    assert capsys.readouterr().err.count(said) == 1


def test_copies_of_logs_count_once(results, kept, capsys):
    shutil.copytree("results", "copy")
    rows, err = printed_rows(capsys, "results", "copy")
    assert len(rows) == 2 and "copies of logs are counted once: copy/" in err
    assert show(["results", "copy", "--by", "model"]) == 0
    assert show(["copy"]) == 0
    assert capsys.readouterr().err.count("counted once") == 1


@pytest.mark.parametrize(
    ("described", "changed", "said"),
    [
        (True, False, "is the run {}, whose folder was renamed"),
        (True, True, "was changed since it was kept"),
        (False, False, "is not the log that its folder is named after"),
    ],
)
def test_a_run_in_a_renamed_folder_is_what_its_description_says(results, kept, capsys, described, changed, said):
    machine, _, run = kept[0].partition("/")
    renamed = Path("results", machine, "quick one")
    Path("results", kept[0]).rename(renamed)
    if changed:
        text = gzip.decompress((renamed / "driver.log.gz").read_bytes())
        (renamed / "driver.log.gz").write_bytes(gzip.compress(text.replace(b" 2.000 ", b" 1.000 ")))
    if not described:
        (renamed / "environment.json").write_text("{}")
    assert show([str(renamed)]) == 0
    (warning,) = [line for line in capsys.readouterr().err.splitlines() if "quick one" in line and "warning" in line]
    assert f"{renamed}/driver.log.gz: {said.format(run)}" in warning
    assert show([f"results/{kept[1]}"]) == 0 and "renamed" not in capsys.readouterr().err
