"""What cells wrote, and what stands there now: a sweep replaces its own, and nothing else. The commands are fake."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fmbench.checks import check_command
from fmbench.errors import UsageError
from fmbench.process.store.entry import encode
from fmbench.process.sweep import local
from fmbench.process.sweep.cli import main
from fmbench.process.sweep.keeper import Keeper

from ...tiny_model import write_collection, write_model
from .conftest import FAKE, WITH

pytestmark = pytest.mark.slow

# Writes a/made, unless something is there that no word says may be replaced; KILL ends the sweep before it has the log.
WRITER = """\
import os, pathlib, sys, time
made = pathlib.Path("a/made")
if "compare" not in sys.argv:
    if made.parent.exists() and not {"--replace", "--overwrite_output_dir"} & {*sys.argv}:
        sys.exit("fidelity: error: a: is not empty")
    made.parent.mkdir(exist_ok=True)
    made.write_text(str(time.time_ns()))
    if os.environ.get("KILL"):
        os.kill(os.getppid(), 9)
        time.sleep(600)
print('FMWORK LOG {"format": 1, "program": "fake", "driver": "embed"}')
print('FMWORK ENV {"platform": "null"}')
print(f"FMWORK RES {time.time():.9f} {time.time():.9f} none none 8 1 1.000 1000.0")
"""
PROGRAM = (*FAKE[:-1], "-c", WRITER)
KILLED = f"""\
import sys
from fmbench.process.sweep import cli, local
local.PROGRAM = {PROGRAM!r}
sys.exit(cli.main(sys.argv[1:]))
"""
CAPTURE = "{run: fidelity capture, with: {platform: cpu, model_name: model, texts: t, out: a}}"
MINE = "{run: retrieve mine, with: {platform: cpu, model_name: model, dataset: d, output_dir: a}}"
COMPARE = "{run: fidelity compare t a}"
OTHER = "a: holds something else than the cell of line 3 wrote there; move it away, or name another"


@pytest.fixture
def sweep(tmp_path, monkeypatch, capsys):
    """Run a file of these cells in tmp_path, which has a model, texts and a data set; return (stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local, "PROGRAM", PROGRAM)
    write_model(tmp_path / "model")
    write_collection(tmp_path / "d")
    Path("t").write_text("one\ntwo\n")

    def run(cells, *words, code=0):
        text = "".join(f"- {cell}\n" for cell in cells)
        Path("grid.yaml").write_text(f"sweep: s\nruns:\n{text}")
        found, printed = main(["grid.yaml", *words]), capsys.readouterr()
        assert found == code, printed
        return printed.out, printed.err

    return run


def put(text="by hand"):
    """Put something else where the cell wrote."""
    shutil.rmtree("a")
    Path("a").mkdir()
    Path("a", "made").write_text(text)


def change(outputs=None, **facts):
    """Change what the store says of the run that wrote."""
    for path in Path("results").glob("*/*/environment.json"):
        known = json.loads(path.read_text())
        if "outputs" in known["run"]["cell"]:
            known["run"]["cell"]["outputs"] = known["run"]["cell"]["outputs"] if outputs is None else outputs
            path.write_bytes(encode({**known, **facts}))


@pytest.mark.parametrize("cell", [CAPTURE, MINE])
@pytest.mark.parametrize("words", [["--redo", "all"], ["--repeat", "2"], []])
def test_what_a_hand_put_there_is_never_replaced(sweep, cell, words):
    sweep([cell])
    put()
    if not words:
        change(environments=[{"packages": {"torch": "1.0"}}])
    out, err = sweep([cell], *words, "--dry-run", code=1)
    assert "1 cell: 1 refused" in out and f"refused: {OTHER}\n" in err
    assert f"refused: {OTHER}\n" in sweep([cell], *words, code=2)[1]
    assert Path("a", "made").read_text() == "by hand"
    shutil.move("a", "away")
    assert sweep([cell], *words)[1].count("done in") == 1


def test_what_a_hand_puts_there_while_the_sweep_runs_is_not_replaced_either(sweep, monkeypatch):
    sweep([CAPTURE])
    begin = Keeper.begin
    monkeypatch.setattr(Keeper, "begin", lambda self, tasks: (begin(self, tasks), put()))
    out, _ = sweep([CAPTURE], "--redo", "all", code=1)
    assert "Failed: a: is not empty" in out and Path("a", "made").read_text() == "by hand"


def test_a_copy_of_what_it_wrote_is_its_own(sweep):
    sweep([CAPTURE])
    first = Path("a", "made").read_text()
    shutil.copytree("a", "b")
    put("")
    shutil.rmtree("a")
    shutil.move("b", "a")
    sweep([CAPTURE], "--redo", "all")
    assert Path("a", "made").read_text() != first


def test_what_an_earlier_fmbench_wrote_is_not_known(sweep):
    sweep([CAPTURE])
    change(outputs={})
    assert "1 cell: 1 done" in sweep([CAPTURE], "--dry-run")[0]
    out, err = sweep([CAPTURE], "--dry-run", "--redo", "all", code=1)
    assert (
        "1 refused" in out and "a: may be somebody else's: an earlier fmbench ran it, and kept nothing of what" in err
    )


def test_a_done_cell_whose_folder_holds_something_else_is_told(sweep, monkeypatch):
    sweep([CAPTURE])
    with monkeypatch.context() as unread:  # a plain sweep reads no capture
        unread.setattr("fmbench.process.sweep.outputs.digest_of_input", None)
        assert "note" not in sweep([CAPTURE], "--dry-run")[1]
    put()
    said = "note: 1 cell: its folder holds something else than this sweep wrote: a\n"
    out, err = sweep([CAPTURE], "--dry-run")
    assert "1 cell: 1 done" in out and said in err
    assert said in sweep([CAPTURE])[1]
    for words, code in (["--dry-run"], 1), ([], 2):  # what compares would read it
        _, err = sweep([CAPTURE, COMPARE], *words, code=code)
        assert f"and 1 more: refused: {OTHER}\n" in err
    assert Path("a", "made").read_text() == "by hand"


def test_what_reads_a_folder_that_is_to_be_written_anew_is_to_run(sweep):
    sweep([CAPTURE, COMPARE])
    assert "2 cells: 2 done" in sweep([CAPTURE, COMPARE], "--dry-run")[0]
    change(environments=[{"packages": {"torch": "1.0"}}])
    out, _ = sweep([CAPTURE, COMPARE], "--dry-run")
    assert "to run again: what it reads is written anew\n" in out and "2 cells: 2 left" in out
    _, err = sweep([CAPTURE, COMPARE])
    assert err.count("done in") == 2 and "1 cell to run again: what it reads is to be written anew\n" in err
    assert "(2 done, 0 failed, 0 left)" in err
    assert "2 cells: 2 done" in sweep([CAPTURE, COMPARE], "--dry-run")[0]


def test_a_cell_that_is_refused_is_not_run_when_others_have_ended(sweep):
    cells = [CAPTURE, COMPARE, f"{{run: driver, with: {{{WITH}, batch_sizes: 1}}}}"]
    sweep(cells[:2])
    Path("a", "mine").touch()
    Path("t").write_text("another\n")
    assert "3 cells: 1 left, 2 refused" in sweep(cells, "--dry-run", code=1)[0]
    _, err = sweep(cells, code=1)
    assert err.count("FAILED in") + err.count("done in") == 1 and "(0 done, 1 failed, 0 left)" in err


def test_one_folder_is_one_cells(sweep):
    cells = [CAPTURE, CAPTURE.replace("texts: t", "texts: grid.yaml")]
    out, err = sweep(cells, "--dry-run", code=1)
    assert "2 cells: 1 left, 1 refused" in out and "refused: a: the cell of line 3 writes there; name another" in err
    sweep([cell.replace("out: a", "out: a, replace: true") for cell in cells])


def kill(*words):
    """Run a sweep that is killed when its command has written, and has no log yet."""
    found = subprocess.run(
        [sys.executable, "-c", KILLED, "grid.yaml", *words], env={**os.environ, "KILL": "1"}, capture_output=True
    )
    assert found.returncode == -signal.SIGKILL, found.stderr


@pytest.mark.slow
@pytest.mark.parametrize("cell", [CAPTURE, MINE])
def test_the_same_command_goes_on_where_a_kill_left_what_it_wrote(sweep, cell):
    sweep([cell], "--dry-run")
    kill()
    assert "1 cell: 1 left" in sweep([cell], "--dry-run")[0]
    half = Path("a", "made").read_text()
    sweep([cell])
    assert Path("a", "made").read_text() != half and not Path("grid.yaml.running").exists()
    kill("--redo", "all")  # in the middle of a replacement
    assert "1 cell: 1 left" in sweep([cell], "--dry-run", "--redo", "all")[0]
    (mark,) = Path("grid.yaml.running").glob("*/*.writing")
    os.utime(mark, (0, 0))  # what stands there has changed since
    _, err = sweep([cell], "--dry-run", "--redo", "all", code=1)
    assert f"refused: {OTHER}\n" in err
    kept = Path("a", "made").read_text()
    assert f"refused: {OTHER}\n" in sweep([cell], "--redo", "all", code=2)[1]
    assert Path("a", "made").read_text() == kept


@pytest.mark.parametrize(
    ("run", "words", "there", "said"),
    [
        ("fidelity capture", "--texts t --out o --replace", "notes", "o: holds notes, which is no part of a capture"),
        ("quality", "--tasks SciFact --out_mteb o", "A/SciFact.json", "--out_mteb o: holds A/SciFact.json already"),
        (
            "distill align",
            "--teacher_dir w --student lookup --output_dir o",
            "checkpoint.safetensors",
            "o: holds a training run",
        ),
    ],
)
def test_a_check_refuses_what_its_command_would(sweep, run, words, there, said):
    checked = check_command(run, ["--platform=cpu", "--model_name=model", *words.split()])
    checked.check_free()
    Path("o", there).parent.mkdir(parents=True)
    Path("o", there).touch()
    with pytest.raises(UsageError, match=said):
        checked.check_free()
