"""What `sweep status` says of a sweep that runs, and which other sweeps run on this machine. The commands are fake."""

from pathlib import Path

import pytest

from fmbench.process.sweep import beside, local
from fmbench.process.sweep.cli import main
from fmbench.process.sweep.workplace import Workplace

from .test_run import FAKE, WITH

SECRET = "hf_" + "q" * 34


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    """Run `fmbench sweep` in tmp_path, which has grid.yaml; return stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local, "PROGRAM", FAKE)
    Path("grid.yaml").write_text(f"sweep: s\nrun: driver\nwith: {{{WITH}, batch_sizes: 1, model:token: none}}\n")

    def run(*words):
        assert main([*words]) == 0
        printed = capsys.readouterr()
        return printed.out, printed.err

    return run


def test_status_is_of_the_store_and_the_values_that_the_running_sweep_was_told(said, monkeypatch):
    words = ("--set", "store=other", "--set", "reps=20", "--set", f"model:token={SECRET}")
    seen = []

    def look(self, running, waiting):
        if not seen and running:
            (asked,) = Path("grid.yaml.running").glob("*/asked.json")
            seen.extend((asked.read_text(), *said("status", "grid.yaml"), *said("status", "grid.yaml", *words[:2])))

    with monkeypatch.context() as runner:
        runner.setattr("fmbench.process.sweep.keeper.Keeper.show", look)
        said("grid.yaml", *words)
    asked, out, err, _, others = seen
    assert "1 cell: 1 running" in out and "note" not in err and SECRET not in asked
    assert (
        "grid.yaml: this is of the --set given here; what runs now has --set store=other --set reps=20 --set" in others
    )
    assert "1 cell: 1 left" in said("status", "grid.yaml")[0]  # none runs
    with Workplace.held(Path("grid.yaml"), (1, 1), set={}):
        assert "what runs now has none" in said("status", "grid.yaml", *words)[1]
        assert "1 cell: 1 left" in said("status", "grid.yaml")[0]


def test_another_sweep_on_this_machine_is_told(said):
    note = "another sweep runs on this machine now: "
    with beside.announced(Path("first.yaml")):
        for words in (["grid.yaml"], ["status", "grid.yaml"]):
            assert f"{note}{Path('first.yaml').absolute()}; the figures" in said(*words)[1]
    for words in (["grid.yaml"], ["status", "grid.yaml"]):
        assert note not in said(*words)[1]
    with beside.announced(Path("grid.yaml")):
        assert note not in said("status", "grid.yaml")[1]  # that is the one it is of
