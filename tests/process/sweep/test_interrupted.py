"""Sweeps that are killed, or asked to end: what is kept, what is said, and where the same command goes on."""

import gzip
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fmbench.process.store.entry import Entry
from fmbench.process.sweep import local
from fmbench.process.sweep.cell import Cell
from fmbench.process.sweep.kept import Kept
from fmbench.process.sweep.workplace import Workplace
from tests.programs import until

from .conftest import FAKE, WITH, kept

pytestmark = pytest.mark.slow

# In a process of its own: where the disk is slow, what is asked to end is ended.
ASKED_TO_END = f"""
import signal, sys
from fmbench.process.sweep import cli, keeper, local
local.PROGRAM, real = {FAKE!r}, keeper.add
def add(*what):
    found = real(*what)
    signal.raise_signal(signal.SIGTERM)
    return found
keeper.add = add
sys.exit(cli.main(["grid.yaml"]))
"""


def test_what_a_killed_sweep_left_is_kept_where_it_is_whole(fake, sweep, tmp_path, monkeypatch):
    def die(self, log):
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr("fmbench.process.sweep.keeper.Keeper.keep", die)
        sweep([1], code=130)
    folder = Path("grid.yaml.running/1-of-1")
    assert len(list(folder.glob("*.log"))) == 1
    (folder / "0123456789ab-1.log").write_text('FMWORK LOG {"format": 1, "program": "x", "driver": "embed"}\n')
    _, err = sweep([1])
    assert "1 in results already; 0 of 1 runs left" in err
    assert kept() == {1: [(0, ["OK"])]} and not folder.parent.exists()


def test_the_whole_sweep_takes_what_killed_shares_left_and_leaves_alone_what_runs(fake, sweep, monkeypatch):
    def die(self, log):
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr("fmbench.process.sweep.keeper.Keeper.keep", die)
        for share in ("1/2", "2/2"):
            sweep([1, 2], "--shard", share, code=130)
    running = Path("grid.yaml.running")
    (cell,) = (path.stem.partition("-")[0] for path in (running / "2-of-2").glob("*.log"))
    part = running / "1-of-2" / f"{cell}.part"
    part.write_text("what was measured of it")
    with Workplace.held(Path("grid.yaml"), (2, 2)), Workplace.held(Path("grid.yaml"), (1, 1)) as whole:
        (left,) = whole.abandoned()
        assert left.folder.name == "1-of-2" and (whole.folder / part.name).is_file() and not part.exists()
    assert len(list((running / "2-of-2").glob("*.log"))) == 1
    (running / "1-of-2").mkdir(exist_ok=True)
    _, err = sweep([1, 2])
    assert "2 in results already; 0 of 2 runs left" in err
    assert kept() == {1: [(0, ["OK"])], 2: [(0, ["OK"])]} and not running.exists()


@pytest.mark.parametrize(("edit", "goes_on"), [(("", ""), True), (('"python": "', '"python": "2'), False)])
def test_a_killed_cell_goes_on_unless_its_fingerprint_changed(sweep, edit, goes_on, forks, monkeypatch):
    monkeypatch.setattr(local, "PROGRAM", (str(forks / "fmbench"),))
    sizes = [[1, 2]]
    sweep(sizes)
    (entry,) = Path("results").glob("*/*")
    whole = gzip.decompress((entry / "driver.log.gz").read_bytes()).decode()
    second = whole.index("\nFMWORK CASE ", whole.index("FMWORK RES "))
    first = whole[: whole.index("FMWORK REP 5 ", second)]  # in the middle of the second shape
    cell = json.loads((entry / "environment.json").read_text())["run"]["cell"]["id"]
    folder = Path("grid.yaml.running/1-of-1")
    folder.mkdir(parents=True)
    (folder / f"{cell}-1.log").write_text((first + "FMWORK REP 5 1").replace(*edit))
    _, err = sweep(sizes, "--set", "store=again")
    left_out = re.findall(r"note: .*: runs anew, without what was measured of it before: .*python", err)
    assert len(left_out) == (not goes_on), err
    (entry,) = Path("again").glob("*/*")
    found = gzip.decompress((entry / "driver.log.gz").read_bytes()).decode()
    assert found.startswith(first) is goes_on and found.count("FMWORK RES ") == 2
    facts = json.loads((entry / "environment.json").read_text())
    assert facts["run"]["cell"].get("resumed", False) is goes_on
    told, cell = Kept(), Cell("driver", {}, {}, {}, 1)
    told.add(Entry("machine/run", facts))
    assert (told.seconds(cell, "null") is None) is goes_on, "of a run that went on, the time is that of its end alone"
    assert kept("again") == {1: [(0, ["SIMULATED", "SIMULATED"])]} and not folder.exists()


def test_what_was_measured_of_a_cell_that_the_file_no_longer_has_is_said_to_be_deleted(fake, sweep):
    folder = Path("grid.yaml.running/1-of-1")
    folder.mkdir(parents=True)
    (folder / "0123456789ab.part").write_text("what was measured of it")
    _, err = sweep([1])
    assert "deleted, as no run goes on with them: what was measured of cells before: 1\n" in err
    assert not folder.exists() and "deleted" not in sweep([2])[1]


def test_a_real_sweep_that_is_asked_to_end_leaves_nothing(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text(
        f"sweep: s\nstore: {tmp_path / 'store'}\nrun: driver\nwith: {{{WITH}, batch_sizes: 1}}\n"
        "runs:\n- {with: {seed: 1}}\n- {with: {platform:milliseconds: 100000}}\n"
    )
    process = subprocess.Popen([sys.executable, "-m", "fmbench", "sweep", str(path)], stderr=subprocess.PIPE, text=True)
    logs = tmp_path / "grid.yaml.running" / "1-of-1"
    until(lambda: kept(tmp_path / "store") and list(logs.glob("*.log")))
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 143, err
    said = f"1 done, 0 failed, 1 left; what is done is in {tmp_path / 'store'}, and the same command goes on\n"
    assert said in err
    assert not logs.exists()
    assert list(kept(tmp_path / "store").values()) == [[(0, ["SIMULATED"])]]
    assert {one.name for one in tmp_path.iterdir()} == {"grid.yaml", "store"}


def test_a_signal_while_a_run_is_brought_into_the_store_leaves_it_there_and_counted(fake, sweep):
    sweep([1, 2], "--dry-run")
    ended = subprocess.run([sys.executable, "-c", ASKED_TO_END], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 143, ended.stderr
    assert "1 done, 0 failed, 1 left; what is done is in results" in ended.stderr
    assert kept() == {1: [(0, ["OK"])]} and not Path("grid.yaml.running").exists()
    _, err = sweep([1, 2])
    assert "1 in results already; 1 of 2 runs left" in err and err.count("done in") == 1


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("plan.plan", "ended before it was known what is left; nothing is yet in results"),
        ("local.LocalRunner.run", "0 done, 0 failed, 2 left; nothing is yet in results"),
        ("keeper.Keeper.report", "2 done, 0 failed, 0 left; what is done is in results"),
    ],
)
def test_the_last_words_are_true_whenever_a_sweep_is_asked_to_end(fake, sweep, monkeypatch, where, said):
    def end(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as asked:
        asked.setattr(f"fmbench.process.sweep.{where}", end)
        _, err = sweep([1, 2], code=130)
    assert f"note: {said}, and the same command goes on\n" in err
    assert Path("results").exists() is ("nothing" not in said)
