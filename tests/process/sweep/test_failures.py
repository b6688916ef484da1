"""What failed, was refused or was killed: it is counted, told, and repaired by a run that ends well."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from fmbench.errors import UsageError
from fmbench.process.store.cli import main as results
from fmbench.process.sweep import local, plan
from fmbench.process.sweep.cell import Cell
from fmbench.process.sweep.overview import time_left
from fmbench.process.sweep.plan import Task
from fmbench.process.writing.show import main as main_show

from .conftest import FAKE


def test_a_good_run_takes_the_place_of_an_earlier_failure_that_has_no_result(fake, sweep, monkeypatch):
    monkeypatch.setattr(local, "PROGRAM", (*FAKE[:-1], "-c", "import sys; sys.exit('driver: error: no such thing')"))
    sweep([1], code=1)
    (entry,) = Path("results").glob("*/*")
    assert re.match(r"\d{8}T\d{6}Z-", entry.name)  # known by when the cell started
    monkeypatch.setattr(local, "PROGRAM", FAKE)
    assert "1 cell: 1 failed" in sweep([1], "--dry-run")[0]
    _, err = sweep([1], "--redo", "failed")
    assert err.count("done in") == 1
    assert "1 cell: 1 done" in sweep([1], "--dry-run")[0]
    _, err = sweep([1], "--redo", "failed")
    assert "0 of 1 runs left" in err
    out, err = sweep([1], "--repeat", "2")  # the failure is none of the two
    assert err.count("done in") == 1 and "what failed" not in out
    assert "1 cell: 1 done" in sweep([1], "--repeat", "2", "--dry-run")[0]
    monkeypatch.setattr(local, "PROGRAM", (*FAKE[:-1], "-c", "import sys; sys.exit('driver: error: no such thing')"))
    sweep([1], "--redo", "all", code=1)
    assert "1 cell: 1 failed" in sweep([1], "--dry-run")[0]


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_cells_that_are_new_beside_those_that_failed_are_told(fake, sweep, words):
    sweep([1, 10], code=1)
    _, err = sweep([1, 10, 2, 3], "--redo", "failed", *words, code=0 if words else 1)
    assert "note: --redo failed: 2 cells of which results has no run: to run too (--set makes other cells)" in err
    _, err = sweep([1, 10], "--redo", "failed", *words, code=0 if words else 1)
    assert "to run too" not in err


def test_progress_tells_done_from_failed_and_counts_the_rest_of_what_runs(fake, sweep, monkeypatch):
    said = []
    monkeypatch.setattr("fmbench.console.Progress.is_due", True)
    monkeypatch.setattr("fmbench.console.Progress.show", lambda self, text: said.append(text))
    _, err = sweep([1, 10, 2, 3], code=1)
    ended = re.findall(r"(\w+) in [\d.]+ \w+: (\w+ \d+)(?:: told)? \((.*)\)", err)
    assert "batch_sizes 10: told (" in err
    assert ended == [("done", "batch_sizes 1", "1 done, 0 failed, 3 left"),
                     ("FAILED", "batch_sizes 10", "1 done, 1 failed, 2 left"),
                     ("done", "batch_sizes 2", "2 done, 1 failed, 1 left"),
                     ("done", "batch_sizes 3", "3 done, 1 failed, 0 left")]  # fmt: skip
    running = [text for text in said if text.endswith("running: batch_sizes 3")]
    assert len(running) > 1 and all(text.startswith("2 done, 1 failed, 1 left") for text in running)
    task = Task(Cell("driver", {}, {}, {}, 1), None, {}, ())
    kept = SimpleNamespace(seconds=lambda *_: 10.0)
    assert time_left([(task, 1, 4.0), (task, 1, 11.0), (task, 2, 0.0)], kept) == "about 26 s"


def test_what_was_refused_once_runs_when_it_may_and_is_no_failure_then(fake, sweep, monkeypatch, capsys):
    def refuse(run, words):
        if refused and "2" in words:
            raise UsageError("model: is not there")
        return own(run, words)

    own, refused = plan.check_command, [True]
    monkeypatch.setattr(plan, "check_command", refuse)
    out, _ = sweep([1, 2], code=1)
    assert re.search(r"\nwhat was refused:\nbatch_sizes 2: model: is not there \(cell \w{12}\)\n$", out)
    assert main_show(["results", "--detail"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "1 result failed, in 1 log (1 Refused)" in out and "model: is not there" in out
    assert re.search(r"^\S+ +\S+ +\S+ +\d+ +2 .*Refused: model: is not there", out, re.MULTILINE), out
    refused.clear()
    _, err = sweep([1, 2])
    assert "1 in results already; 1 of 2 runs left" in err
    assert main_show(["results"]) == results(["list"]) == main_show(["results", "--by", "batch"]) == 0
    text, _, tables = capsys.readouterr().out.partition("\nmachine ")
    assert "1 result failed, and a newer run of the same cell stands for that" in text
    listed, grouped = (part.splitlines() for part in tables.split("batch ", 1))
    assert listed[0].split()[-2:] == ["failed", "repaired"]
    assert sorted(row.split()[-2:] for row in listed[1:]) == [["0", "0"], ["0", "0"], ["0", "1"]]
    assert len(grouped) == 3 and all(row.split()[-1] == "0" for row in grouped[1:])


@pytest.mark.parametrize("known", [False, True])
def test_a_cell_that_is_killed_before_its_model_is_set_up_has_a_configuration(sweep, monkeypatch, known):
    said = ['FMWORK LOG {"format": 1}', *(['FMWORK ENV {"cpu": "X", "cpu_cores": 2}'] if known else [])]
    code = f"import os; print({chr(10).join(said)!r}, flush=True); os.kill(os.getpid(), 9)"
    monkeypatch.setattr(local, "PROGRAM", (*FAKE[:-1], "-c", code))
    sweep([1, 2], code=1)
    rows = [json.loads(path.read_text())[0] for path in Path("results").glob("*/*/results.json")]
    assert {row["environment"]["platform"] for row in rows} == {"null"} and all(row["configuration"] for row in rows)
    assert {(row["cell"]["sweep"], row["cell"]["exit_code"]) for row in rows} == {("grid", -9)}
    assert all(row["error"]["message"].startswith("the process was killed by signal 9 (SIGKILL)") for row in rows)
