"""What `sweep status` says of a sweep that runs, and which other sweeps run on this machine. The commands are fake."""

from pathlib import Path

import pytest

from fmbench.process.sweep import beside, local
from fmbench.process.sweep.cli import main

from .conftest import FAKE, WITH

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


def while_running(said, monkeypatch, words, *asked):
    """Run a sweep of these words, and return what its workplace holds, and what each status said meanwhile."""
    seen = []

    def look(self, running, waiting):
        if not seen and running:
            (file,) = Path("grid.yaml.running").glob("*/asked.json")
            seen.extend([file.read_text(), *(said("status", "grid.yaml", *more) for more in asked)])

    with monkeypatch.context() as runner:
        runner.setattr("fmbench.process.sweep.keeper.Keeper.show", look)
        said("grid.yaml", *words)
    return seen


def test_status_is_of_the_store_and_the_values_that_the_running_sweep_was_told(said, monkeypatch):
    words = ("--set", "store=other", "--set", "reps=20")
    _, (out, err), (_, others) = while_running(said, monkeypatch, words, (), words[:2])
    assert "1 cell: 1 running" in out and "what runs now" not in err
    has = "grid.yaml: what runs now has --set store=other --set reps=20"
    assert f"{has}, and this is of --set store=other: give it the same" in others
    assert "1 cell: 1 left" in said("status", "grid.yaml")[0]  # none runs
    secret = ("--set", f"model:token={SECRET}")
    kept, (_, alone), (out, same) = while_running(said, monkeypatch, secret, (), secret)
    assert SECRET not in kept and "and this is of no --set: give it the same" in alone
    assert "1 cell: 1 running" in out and "what runs now" not in same


def test_status_of_a_file_that_may_run_code_needs_no_trust_as_it_runs_nothing(said):
    file = Path("grid.yaml")
    file.write_text(file.read_text().replace("model:token: none", "torch.call:set_grad_enabled@: 'False'"))
    assert "1 cell: 1 left" in said("status", "grid.yaml")[0]
    assert main(["grid.yaml", "--dry-run"]) == 2


def test_another_sweep_on_this_machine_is_told(said):
    beside.place().mkdir(parents=True, exist_ok=True)
    (beside.place() / f".{'0' * 32}.part").write_text("of a sweep that was killed")
    note = "another sweep runs on this machine now: "
    with beside.announced(Path("first.yaml")), beside.announced(Path("first.yaml")):  # two shares of it
        said("status", "grid.yaml")
        for words in (["grid.yaml"], ["status", "grid.yaml"]):
            assert said(*words)[1].count(f"{note}{Path('first.yaml').absolute()}; the figures") == 1
    for words in (["grid.yaml"], ["status", "grid.yaml"]):
        assert note not in said(*words)[1]
    with beside.announced(Path("grid.yaml")):
        assert note not in said("status", "grid.yaml")[1]  # that is the one it is of
