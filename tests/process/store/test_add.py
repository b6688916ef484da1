"""What `fmbench results add` keeps, under which name, and what it refuses."""

import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys

import pytest

from fmbench import lines
from fmbench.process.cli import main as process_main
from fmbench.process.writing.show import main as show_main

from ...conftest import SCRIPTS
from ..log_lines import LOG, case, rep
from .conftest import files


def test_an_entry_has_the_log_its_results_and_its_facts(results, golden_log, tmp_path, capsys):
    (name,) = results("add", golden_log).out
    assert files("results") == sorted([
        "store.json", *(f"{name}/{file}" for file in ("driver.log.gz", "results.json", "environment.json")),
    ])  # fmt: skip
    entry = tmp_path / "results" / name
    assert gzip.decompress((entry / "driver.log.gz").read_bytes()) == golden_log.read_bytes()
    assert process_main(["--path", str(golden_log)]) == 0
    assert (entry / "results.json").read_text() == capsys.readouterr().out
    facts = json.loads((entry / "environment.json").read_text())
    assert facts["store"] == 1
    assert facts["log"]["sha256"] == hashlib.sha256(golden_log.read_bytes()).hexdigest()
    for file, said in facts["files"].items():
        content = (entry / file).read_bytes()
        assert said == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    assert facts["results"]["statuses"] == {"ERR": 2, "OK": 4, "PARTIAL": 1}
    rows = json.loads((entry / "results.json").read_text())
    found = [row["environment"] for row in rows if row["environment"] is not None]
    assert facts["environments"] == [each for place, each in enumerate(found) if each not in found[:place]]


def test_the_name_says_machine_time_driver_and_content(results, log):
    path = log()
    (name,) = results("add", path).out
    machine, _, run = name.partition("/")
    assert re.fullmatch(r"amd-epyc-2-cores-[0-9a-f]{8}", machine)
    assert run == f"20231114T221320Z-embed-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"


def test_the_same_log_makes_the_same_bytes(results, log, tmp_path):
    path = log()
    for store in ("one", "two"):
        results("add", path, "--store", store)
    assert files("one") == files("two")
    assert all(
        (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files("one")
    )


@pytest.mark.parametrize("again", ["x.log", "y.log", "x.log.gz"])
def test_adding_a_log_again_changes_nothing_and_says_so(again, results, log, tmp_path):
    first = results("add", log())
    assert first.err == ["note: results: is a store from now on"]
    content = log().read_bytes()
    (tmp_path / again).write_bytes(gzip.compress(content, 1) if again.endswith("gz") else content)
    before = {file: (tmp_path / "results" / file).stat().st_mtime_ns for file in files("results")}
    second = results("add", again)
    assert (second.out, second.err) == (first.out, [f"note: {again}: is in results already"])
    assert {file: (tmp_path / "results" / file).stat().st_mtime_ns for file in files("results")} == before


def test_a_log_is_known_by_its_content_whatever_its_entry_is_called(results, log, tmp_path):
    (name,) = results("add", log()).out
    (tmp_path / "results" / name).parent.rename(tmp_path / "results" / "renamed")
    (again,) = results("add", log()).out
    assert again == f"renamed/{name.partition('/')[2]}"


def test_a_folder_and_standard_input(results, log, tmp_path, monkeypatch):
    log("a.log")
    (tmp_path / "sub").mkdir()
    log("sub/b.log", latency=3.0)
    assert len(results("add", ".").out) == 2
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(log("c.log", latency=4.0).open("rb")))
    (name,) = results("add", "-").out
    assert f"results/{name}/driver.log.gz" in files(".")
    # The store is below the folder: what is in it is there already.
    assert len([line for line in results("add", ".").err if line.endswith("is in results already")]) == 6


def test_several_runs_in_a_log_are_one_entry(results, log, tmp_path):
    first, second = log("a.log").read_text(), log("b.log", latency=3.0, start=1_800_000_000, threads=1).read_text()
    (tmp_path / "c.log").write_text(first + second)
    (name,) = results("add", "c.log").out
    assert "20231114T221320Z-embed-" in name
    facts = json.loads((tmp_path / "results" / name / "environment.json").read_text())
    assert [each["threads"] for each in facts["environments"]] == [2, 1]
    assert facts["results"]["count"] == 2


def test_a_cell_without_results_is_of_the_machine_that_ran_it(results, log, tmp_path):
    """`distill align` trains, and has no row."""
    path = log(driver="distill")
    said = [line for line in path.read_text().splitlines() if not line.startswith("FMWORK RE")]
    cell = {"sweep": "s", "id": "c", "run": "distill align", "exit_code": 0, "seconds": 1.0, "start": "1700000000.0"}
    path.write_text("\n".join([*said, f"FMWORK CELL {json.dumps(cell)}", ""]))
    (name,) = results("add", path).out
    assert name.split("/")[0] == results("add", log("other.log")).out[0].split("/")[0]
    assert json.loads((tmp_path / "results" / name / "environment.json").read_text())["environments"] == [
        {"platform": "cpu", "cpu": "AMD EPYC", "cpu_cores": 2, "threads": 2}
    ]


def test_a_log_of_two_machines_is_refused(results, log, tmp_path):
    (tmp_path / "c.log").write_text(log("a.log").read_text() + log("b.log", cpu="Xeon").read_text())
    assert results("add", "c.log", code=2).line == (
        "fmbench results add: error: c.log: holds runs of different machines (cpu: AMD EPYC and Xeon); give each a log "
        "of its own"
    )
    assert not (tmp_path / "results").exists()


def test_secrets_stay_as_masked_as_the_log_has_them(results, log, tmp_path):
    path = log()
    path.write_text(path.read_text().replace("FMWORK RES", "FMWORK ARG --model:token ***\nFMWORK RES"))
    (name,) = results("add", path).out
    said = (tmp_path / "results" / name / "environment.json").read_text()
    assert str(tmp_path) not in said and "x.log" not in said  # where the log was is nobody's business


def test_a_packed_log_that_was_cut_off_is_kept_as_far_as_it_goes(results, log, tmp_path):
    content = log().read_bytes() + b"".join(f"{rep(index, 3 + index % 7)}\n".encode() for index in range(1, 9000))
    packed = gzip.compress(content)
    (tmp_path / "cut.log.gz").write_bytes(packed[: len(packed) // 2])
    said = results("add", "cut.log.gz")
    assert said.err[0] == "warning: cut.log.gz: the gzip file is cut off; what comes before the cut is used"
    kept = gzip.decompress((tmp_path / "results" / said.out[0] / "driver.log.gz").read_bytes())
    assert content.startswith(kept) and kept
    assert results("check").code == 0


# -- what is no log


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.log", b"", "x.log: holds no results; a driver's log has FMWORK RES lines"),
        ("x.log", b"\n".join([LOG.encode(), b'FMWORK ENV {"platform": "cpu"}']), "x.log: holds no results; "),
        ("x.log", bytes(range(256)) * 300, "x.log: holds no results; "),
        (
            "x.log",
            LOG.replace(": 1,", ": 9,").encode() + b"\n",
            "x.log:1: the log has format 9, and this fmbench reads",
        ),
        ("x.log.gz", b"no gzip", "x.log.gz: cannot be read (Not a gzipped file"),
        ("x.json", b"[]", "x.json: holds results and is no log; add the log that they are from"),
        ("x", b'[\n{"timestamp": null}\n]', "x: holds results and is no log; "),
    ],
)
def test_what_is_no_log_with_results_is_refused_in_one_line(name, content, message, results, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert results("add", name, code=2).line.startswith(f"fmbench results add: error: {message}")
    assert files(".") == [name] and not (tmp_path / "results").exists()


def test_a_bad_log_among_good_ones_does_not_stop_them(results, log, tmp_path):
    (tmp_path / "a.log").write_text("nothing\n")
    said = results("add", "a.log", log("b.log"), code=2)
    assert len(said.out) == 1
    assert said.err[0].startswith("warning: a.log: holds no results")
    assert said.err[-1] == "fmbench results add: error: 1 of the logs were not kept, as said above; the others were"


def test_a_log_that_is_not_there(results):
    assert results("add", "no.log", code=2).line == "fmbench results add: error: no.log: no such file or folder"


# -- what is no store


def test_a_folder_of_something_else_is_refused(results, log, tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "letter.txt").write_text("dear")
    for words in (["add", log()], ["list"], ["show"], ["check"], ["remove", "x"], ["query", "from runs"]):
        said = results(*words, code=2)
        assert said.line.endswith("results: is no store of results, it has no store.json; name another store")
    assert files("results") == ["letter.txt"]


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: hidden(path)])
def test_an_empty_or_missing_folder_becomes_a_store(make, results, log, tmp_path):
    make(tmp_path / "results")
    for words in (["list"], ["show"], ["check"], ["query", "from runs"]):
        assert "results: no store is there; `fmbench results add LOG` makes one" in results(*words, code=2).line
    results("add", log())
    assert len(results("list").out) == 2


def hidden(path):
    path.mkdir()
    (path / ".gitkeep").write_text("")


def test_a_store_may_hold_other_files_beside(results, log, tmp_path):
    results("add", log())
    for file in ("README.md", "plots/latency.png", "amd/notes.txt", "a/b/c/d.txt"):
        (tmp_path / "results" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "results" / file).write_text("x")
    results("add", log(latency=3.0))
    assert len(results("list").out) == 3
    assert results("check").code == 0


@pytest.mark.parametrize(("text", "message"), [
    ('{"store": 99}', "results: is a store of format 99, and this fmbench reads 1; upgrade it"),
    ("[]", "results/store.json: is damaged; it should be {"), ("{", "is damaged"), ('{"store": true}', "is damaged"),
])  # fmt: skip
def test_a_marker_that_is_newer_or_damaged(text, message, results, log, tmp_path):
    results("add", log())
    (tmp_path / "results" / "store.json").write_text(text)
    assert message in results("list", code=2).line


def test_a_file_is_no_store(results, log):
    assert results("add", log(), "--store", log("y"), code=2).line.endswith("y: is no folder; name another store")
    assert "Not a directory" in results("add", log(), "--store", log("y") / "below", code=1).line


@pytest.mark.skipif(sys.platform != "linux", reason="/proc, where nobody makes a folder, is Linux's")
def test_a_place_where_no_folder_can_be_made_is_said_as_it_is(results, log):
    assert results("add", log(), "--store", "/proc/none", code=1).line.endswith("/proc/none: No such file or directory")


# -- the store is read by the other commands


def test_a_store_gives_every_result_once(results, log, tmp_path, capsys):
    results("add", log(), log("y.log", latency=3.0, start=1_800_000_000))
    (tmp_path / "results" / ".unfinished-x").mkdir()
    (tmp_path / "results" / ".unfinished-x" / "driver.log.gz").write_bytes(b"half")
    capsys.readouterr()
    assert process_main(["--path", "results"]) == 0
    printed = capsys.readouterr()
    assert sorted(row["itl"] for row in json.loads(printed.out)) == [2.0, 3.0]
    assert printed.err == ""


def test_an_entry_is_a_log_for_the_other_commands(results, golden_log, tmp_path, capsys):
    (name,) = results("add", golden_log).out
    assert process_main(["--path", str(golden_log)]) == 0
    expected = json.loads(capsys.readouterr().out)
    for path in (f"results/{name}", f"results/{name}/driver.log.gz", f"results/{name}/results.json"):
        assert process_main(["--path", path]) == 0
        assert json.loads(capsys.readouterr().out) == expected
    assert show_main([f"results/{name}"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 11  # with the sentences on the fastest, and on what failed


def test_entries_are_compared(tmp_path, results, log):
    from fmbench.process.comparing.compare import main as compare_main

    for name, milliseconds in (("a.log", 3), ("b.log", 4)):
        repetitions = [rep(index, milliseconds, 29) for index in range(1, 30)]
        end = 29 * 10**9 + milliseconds * 10**6
        result = lines.Res(10**9, end, "m", "C", 8, 4, milliseconds, 4e3 / milliseconds).format()
        (tmp_path / name).write_text("\n".join([LOG, case(reps=29), *repetitions, result, ""]))
    one, two = results("add", "a.log", "b.log").out
    assert compare_main([f"results/{one}", f"results/{two}", "--fail-on", "regression", "--out", "said"]) == 1
    assert "1 regression" in (tmp_path / "said").read_text()


def test_the_files_of_a_store_hold_no_results(results, log, tmp_path, capsys):
    (name,) = results("add", log()).out
    (tmp_path / "results" / name / "driver.log.gz").unlink()
    assert process_main(["--path", "results"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


@pytest.mark.slow
def test_the_log_of_a_driver_is_added_as_it_comes(tmp_path):
    command = (
        "driver --platform null --model_class none --model_name none --input_sizes 8,16 --batch_sizes 1,2 --reps 5 "
        "| fmbench results add - && fmbench results list --format json && fmbench results check"
    )
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PATH": f"{SCRIPTS}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    name, *listed = done.stdout.splitlines()
    (entry,) = json.loads("\n".join(listed))
    assert (f"{entry['machine']}/{entry['run']}", entry["results"], entry["driver"]) == (name, 4, "embed")


def test_lines_that_do_not_parse_are_said_once(results, log, tmp_path):
    path = log()
    path.write_text(path.read_text() + "FMWORK RES 1 2 3\n")
    assert [line for line in results("add", path).err if "RES" in line] == [
        f"warning: {path}:4: FMWORK RES: 3 fields where 8 belong"
    ]


def test_a_time_that_no_calendar_has(results, tmp_path):
    (tmp_path / "x.log").write_text(lines.Res(10**30, 10**30, "m", "C", 8, 4, 2.0, 2000.0).format() + "\n")
    (name,) = results("add", "x.log").out
    assert name.startswith("unknown-44136fa3/undated-log-")
