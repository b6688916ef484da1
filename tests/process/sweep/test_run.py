"""What a sweep runs, keeps, passes over and runs again. The commands are fake but where a test says otherwise."""

import json
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from fmbench.backends.null import NullBackend
from fmbench.checks import Checked
from fmbench.options import parse_arguments
from fmbench.process.store.cli import main as results
from fmbench.process.store.entry import encode
from fmbench.process.sweep import keeper, local
from fmbench.process.sweep.cell import Cell
from fmbench.process.sweep.cli import main
from fmbench.process.sweep.cluster import Cluster
from fmbench.process.sweep.kept import Kept
from fmbench.process.sweep.local import LocalRunner
from fmbench.process.sweep.plan import Task
from fmbench.process.sweep.workplace import Workplace

from .conftest import WITH, kept

pytestmark = pytest.mark.slow


def test_cells_are_kept_and_the_same_command_runs_what_is_missing(fake, sweep):
    out, err = sweep([1, 2])
    assert kept() == {1: [(0, ["OK"])], 2: [(0, ["OK"])]} and err.count("done in") == 2
    assert "input" in out and not Path("grid.yaml.running").exists()
    _, err = sweep([1, 2, 3])
    assert "2 in results already; 1 of 3 runs left" in err and err.count("done in") == 1
    out, _ = sweep([1, 2, 3], "--repeat", "2", "--dry-run")
    assert "3 cells: 3 left; 3 of 6 runs left" in out
    _, err = sweep([1, 2, 3], "--repeat", "2")
    assert "3 of 6 runs left" in err
    assert err.count("done in") == 3 and {size: len(runs) for size, runs in kept().items()} == {1: 2, 2: 2, 3: 2}
    sweep([1, 2, 3], "--redo", "all")
    assert len(kept()[1]) == 3


def test_another_fingerprint_is_another_run(fake, sweep):
    sweep([1])
    out, _ = sweep([1], "--dry-run")
    assert "1 cell: 1 done" in out
    entry = next(Path("results").glob("*/*/environment.json"))
    facts = json.loads(entry.read_text())
    facts["environments"][0]["packages"] = {"torch": "1.0"}
    entry.write_bytes(encode(facts))
    assert "to run again: differs in packages." in sweep([1], "--dry-run")[0]
    _, err = sweep([1])
    assert "1 cell to run again: the fingerprint under which results has them differs in packages" in err
    assert len(kept()[1]) == 2


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda entry: (entry / "driver.log.gz").unlink(), "driver.log.gz: is missing"),
        (lambda entry: (entry / "driver.log.gz").write_bytes(b""), "driver.log.gz: was changed since it was written"),
        (lambda entry: (entry / "results.json").write_text("{garbage"), "results.json: was changed since"),
        (lambda entry: (entry / "environment.json").write_text("{}"), "/environment.json: store is no version"),
    ],
)  # fmt: skip
def test_a_damaged_entry_is_no_run(fake, sweep, damage, said):
    sweep([1])
    (entry,) = Path("results").glob("*/*")
    damage(entry)
    out, err = sweep([1], "--dry-run")
    assert "1 cell: 1 left" in out and err.count("warning") == 1
    assert str(entry.relative_to("results")) in err and said in err
    _, err = sweep([1])
    assert err.count("done in") == 1 and entry.exists()


def test_a_failure_is_a_row_and_the_sweep_goes_on(fake, sweep):
    _, err = sweep([13], "--cell_timeout", "1", code=1)
    assert err.count("FAILED in") == 1
    out, err = sweep([10, 11, 12, 13, 1], code=1)
    assert kept() == {
        1: [(0, ["OK"])], 10: [(1, ["ERR"])], 11: [(1, ["ERR"])], 12: [(-9, ["ERR"])], 13: [(None, ["ERR"])],
    }  # fmt: skip
    for said in ("batch_sizes 10: 8 / 10: ValueError: told (", "8 / 11: Failed: no such thing", "8 / 12: Killed: the",
                 "8 / 13: Timeout: ran longer than --cell_timeout 1 s"):  # fmt: skip
        assert said in out
    assert err.count("FAILED in") == 3
    _, err = sweep([10, 11, 12, 13, 1], code=1)  # a failure is an answer
    assert "FAILED in" not in err
    _, err = sweep([10, 1], "--redo", "failed", code=1)
    assert err.count("FAILED in") == 1 and len(kept()[10]) == 2 and len(kept()[1]) == 1
    assert results(["check"]) == 0


def test_what_is_refused_is_said_and_the_others_run(fake, sweep):
    out, err = sweep([1, "x"], "--dry-run", code=1)
    assert "refused: argument --batch_sizes: 'x' is not a whole number" in out and not Path("results").exists()
    _, err = sweep([1, "x"], code=1)
    assert "warning: grid.yaml:4: x: refused: argument --batch_sizes" in err
    assert kept() == {1: [(0, ["OK"])], None: [(None, ["ERR"])]}  # the store says it by itself
    _, err = sweep([1, "x"], code=1)
    assert "1 in results already; 0 of 1 runs left" in err and len(kept()[None]) == 1
    assert results(["list"]) == 0
    _, err = sweep([1, 2, 3], code=2, more=", wieghts: 1")
    assert "warning: grid.yaml:3: batch_sizes 1 and 2 more: refused: " in err and err.count("wieghts") == 1
    assert "unknown argument '--wieghts'; did you mean --weights?" in err and "every cell is refused" in err
    _, err = sweep([1], code=2, more="\n  , rep: 1")
    assert "warning: grid.yaml:4: batch_sizes 1: refused: unknown argument '--rep'; did you mean --reps" in err
    _, err = sweep([1], code=2, more=", resume: x.log")
    assert "--resume: a sweep keeps the log of each cell itself; leave it out" in err
    _, err = sweep([1], "--set", "run=drive", code=2)
    assert err.count("\n") == 1 and "--set: run: no command 'drive'" in err and "did you mean driver?" in err


def test_what_is_no_assignment_is_said_in_plain_words(sweep):
    _, err = sweep([1], "--set", "reps", code=2)
    assert "--set: 'reps' does not say what is set to what, as reps=10 does" in err and "***" not in err


def test_what_is_set_twice_and_a_share_beyond_the_last_are_refused(sweep):
    assert "--set reps: is given twice" in sweep([1], "--set", "reps=1", "--set", "reps=2", code=2)[1]
    assert "'3/2': 3 is above 2" in sweep([1], "--shard", "3/2", code=2)[1]
    assert "--shard: '-1' is too small" in sweep([1], "--shard", "-1/3", code=2)[1]


def test_what_a_machine_lacks_is_refused(sweep):
    Path("grid.yaml").write_text(f"sweep: s\nrun: driver\nneeds: {{spyre: 1}}\nwith: {{{WITH}, batch_sizes: 1}}\n")
    assert main(["grid.yaml"]) == 2


def test_shares_are_the_whole(fake, sweep):
    sweep(range(1, 8), "--set", "store=whole")
    for share in ("1/3", "2/3", "3/3"):
        out, _ = sweep(range(1, 8), "--shard", share)
        assert out.startswith(f"Share {share[0]} of 3: what the others measure is not in this table")
    assert kept() == kept("whole") and len(kept()) == 7
    sweep([1], "--shard", "2/2")  # of an array that is longer than the sweep


def test_the_last_table_names_cells_by_what_varies_and_their_runs_by_number(fake, sweep, capsys):
    cells = "sweep: seeds\nrun: driver\nwith: {platform: 'null', model_class: none, model_name: none, input_sizes: 8, "
    out, _ = sweep([1, 2])
    assert [line.split("  ")[0] for line in out.splitlines()] == ["cell", "batch_sizes 1", "batch_sizes 2"]
    Path("seeds.yaml").write_text(f"{cells}batch_sizes: 1, reps: 10}}\nmatrix: {{seed: [0, 1]}}\nstore: seeds\n")
    assert main(["seeds.yaml", "--repeat", "2"]) == 0
    named = ["seed 0, run 1", "seed 0, run 2", "seed 1, run 1", "seed 1, run 2"]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["cell", *named]


def test_a_store_that_cannot_be_written_is_said_before_anything_runs(fake, sweep):
    Path("file").write_text("")
    _, err = sweep([1], "--set", "store=file/results", code=1)
    assert err.splitlines()[-1] == (
        "fmbench sweep: error: the store cannot be written: file/results: Not a directory; name another in the file, "
        "or --set store=DIR"
    )
    assert "done in" not in err


def test_the_report_is_a_page_of_all_cells(fake, sweep):
    _, err = sweep([1], "--report", "nowhere/page.html", code=2)
    assert "--report nowhere/page.html: the folder does not exist" in err and "done in" not in err
    _, err = sweep([1], "--report", "grid.yaml", code=2)
    assert "--report grid.yaml: is one of the files that are read" in err
    out, _ = sweep([1, 2, 12], "--report", "page.html", code=1)
    page = Path("page.html").read_text()
    assert page.startswith("<!doctype html>") and "what failed:" in out


def test_a_full_disk_names_the_log_and_loses_nothing_that_was_done(fake, sweep, monkeypatch):
    def full(self):
        own(self)
        if self.task.cell.values["batch_sizes"] == "2":
            self.stream = self.files.enter_context(open("/dev/full", "ab"))  # noqa: PTH123, SIM115

    own = local.Running.start
    with monkeypatch.context() as disk:
        disk.setattr(local.Running, "start", full)
        _, err = sweep([1, 2, 3], code=1)
    said = (
        r"error: grid.yaml.running/1-of-1/\w+-1.log: not written \(No space left on device\); batch_sizes 2: this run"
    )
    assert re.search(said, err) and list(kept()) == [1], err
    _, err = sweep([1, 2, 3])
    assert err.count("done in") == 2 and sorted(kept()) == [1, 2, 3] and not Path("grid.yaml.running").exists()


def test_a_store_that_is_deleted_meanwhile_is_said(fake, sweep, monkeypatch):
    own = keeper.Keeper.keep
    kept = []

    def keep(self, log):
        if kept:
            shutil.rmtree("results")
        kept.append(log)
        own(self, log)

    monkeypatch.setattr(keeper.Keeper, "keep", keep)
    _, err = sweep([1, 2], code=1)
    assert "results: 1 of the runs that were kept are gone from it" in err
    assert Path("results", "store.json").is_file() and len(list(Path("results").glob("*/*/driver.log.gz"))) == 1
    monkeypatch.setattr(keeper.Keeper, "keep", own)
    sweep([1, 2])
    assert len(list(Path("results").glob("*/*/driver.log.gz"))) == 2


def test_a_sweep_that_runs_is_not_run_twice(fake, sweep):
    with Workplace.held(Path("grid.yaml"), (1, 1)) as place:
        (place.folder / "0-1.log").touch()
        _, err = sweep([1], code=2)
        assert "another process runs it" in err
    sweep([1])


def test_status_tells_what_runs(fake, sweep, capsys):
    sweep([1, 2], "--shard", "1/2")
    with Workplace.held(Path("grid.yaml"), (2, 2)) as place:
        sweep([1, 2], "--dry-run")
        text, _ = sweep([1, 2], "--dry-run")
        ident = next(line.split()[0] for line in text.splitlines() if "batch_sizes 2" in line)
        (place.folder / f"{ident}-1.log").touch()
        assert main(["status", "grid.yaml"]) == 0
    assert (
        "2 cells: 1 done, 1 running; time left: about" in (out := capsys.readouterr().out)
        and "what runs counted in full" in out
    )


@pytest.mark.parametrize(
    ("redo", "before", "after"),
    [(None, "2 of 4", "1 of 4"), ("failed", "3 of 4", "2 of 4"), ("all", "4 of 4", "3 of 4")],
)
def test_status_counts_the_runs_that_the_running_sweep_wants(fake, sweep, capsys, redo, before, after):
    sweep([1, 10], code=1)

    def status():
        assert main(["status", "grid.yaml"]) == 0
        return capsys.readouterr().out

    with Workplace.held(Path("grid.yaml"), (1, 1), repeat=2, redo=redo):
        assert f"; {before} runs left" in status()
        sweep([1, 10], "--redo", "all", "--shard", "2/2", code=1)
        assert f"; {after} runs left" in status()
    assert "runs left" not in status()


class FakeGpu(NullBackend):
    """A device of which there are several."""

    resource = "gpu"
    numbered = True


def test_as_many_run_at_once_as_there_are_devices(fake, tmp_path):
    def task(size, device=None, needs=1, platform=None):
        values = {"platform": "null", "model_name": "none", "input_sizes": "8", "batch_sizes": str(size), "reps": "1"}
        arguments = parse_arguments([*(f"--{k}={v}" for k, v in values.items()),
                                     *([] if device is None else [f"--device={device}"])])  # fmt: skip
        platform = platform or FakeGpu()
        checked = Checked(platform, arguments)
        return Task(Cell("driver", values, {}, {}, 1), checked, {platform.resource: needs}, (), left=1)

    seen, devices = [], {}

    def show(running, waiting):
        seen.append([one.checked.platform.resource for one, _ in running])

    def keep(log):
        said = log.read_text().splitlines()
        size = next(line.split()[7] for line in said if line.startswith("FMWORK RES"))
        devices[int(size)] = next((line.split()[-1] for line in said if "--device" in line), None)

    tasks = [task(1), task(2), task(3, platform=NullBackend()), task(4, device=1), task(5, needs=2), task(6)]
    with Workplace.held(tmp_path / "x.yaml", (1, 1)) as place:
        LocalRunner(place, "x", {"gpu": 2, "cpu": 8}, None, keep, show).run(tasks)
    assert max(map(len, seen)) == 2 and ["cpu"] in seen
    assert not any("cpu" in running and len(running) > 1 for running in seen)
    assert {devices[1], devices[2]} == {"0", "1"} and devices[4] is None and devices[5] is None and len(devices) == 6


def test_ray_that_is_not_there_is_said(sweep, monkeypatch):
    _, err = sweep([1], "--address", "head:6379", code=2)
    assert "--address is that of a Ray cluster: it goes with --on ray" in err
    monkeypatch.setitem(sys.modules, "ray", None)
    _, err = sweep([1], "--on", "ray", code=2)
    assert "pip install 'fmbench[ray]'" in err


def test_a_need_that_no_node_can_meet_is_refused():
    nodes = [{"Alive": True, "Resources": {"CPU": 8.0, "card": 1.0}}, {"Alive": False, "Resources": {"card": 2.0}}]
    cluster = Cluster(SimpleNamespace(nodes=lambda: nodes))
    assert cluster.has({"cpu": 8, "card": 1}) and not cluster.has({"card": 2})
    (task,) = cluster.plan([Cell("driver", {}, {}, {"card": 2}, 1)], Kept(), 1, None)
    assert task.refused == "needs card 2, and no node has that" and task.left == 0
