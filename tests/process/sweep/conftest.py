"""A sweep of a fake command, run in a folder of its own."""

import json
import sys
from pathlib import Path

import pytest

from fmbench.process.sweep import local
from fmbench.process.sweep.cli import main

FAKE = (sys.executable, "-S", str(Path(__file__).with_name("fake_command.py")))
WITH = "platform: 'null', model_class: none, model_name: none, input_sizes: 8, reps: 10"


def kept(store="results"):
    """The cells of a store: by batch size, the exit codes and the statuses of the rows of each run."""
    found = {}
    for path in sorted(Path(store).glob("*/*/environment.json")):
        rows = json.loads((path.parent / "results.json").read_text())
        cell = json.loads(path.read_text())["run"]["cell"]
        size = next((row["batch"] for row in rows if row["batch"]), None)
        found.setdefault(size, []).append((cell["exit_code"], [row["status"] for row in rows]))
    return found


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(local, "PROGRAM", FAKE)


@pytest.fixture
def sweep(tmp_path, monkeypatch, capsys):
    """Run a sweep of these batch sizes in tmp_path, with that exit code, and return (stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(sizes, *words, code=0, more=""):
        Path("grid.yaml").write_text(
            f"sweep: grid\nrun: driver\nwith: {{{WITH}{more}}}\nmatrix: {{batch_sizes: {list(sizes)}}}\n"
        )
        found, printed = main(["grid.yaml", *words]), capsys.readouterr()
        assert found == code, printed
        return printed.out, printed.err

    return run
