"""The sweeps of the examples: each cell is one that its command takes, where its device is."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from fmbench.checks import check_command
from fmbench.errors import PlatformError, UsageError
from fmbench.process.sweep.cli import main
from fmbench.process.sweep.document import Document
from fmbench.process.sweep.matrix import read_sweep
from fmbench.process.sweep.schema import FILE

from ...tiny_model import write_collection, write_model

SWEEPS = sorted((Path(__file__).parents[3] / "examples" / "sweeps").glob("*.yaml"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model and a collection, as the variables that a file may name them by."""
    folder = tmp_path_factory.mktemp("with")
    model, data = write_model(folder / "model"), write_collection(folder / "data")
    return {"MODEL": str(model), "DATA": str(data), "WORK": str(folder / "work")}


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_cell_is_taken_or_lacks_its_device(path, folders):
    jsonschema.validate(yaml.safe_load(path.read_text()), FILE)
    found = read_sweep(Document(path, folders), {}, trusted=True)
    assert len(found.cells) > 5
    for cell in found.cells:
        try:
            check_command(cell.run, cell.command.words)
        except (PlatformError, UsageError) as error:
            assert "is not usable here" in str(error) or (cell.run == "choose" and "can run here" in str(error))


def test_every_cell_for_an_accelerator_runs_on_a_cpu_too(folders):
    path = next(path for path in SWEEPS if path.stem == "accelerator")
    found = read_sweep(Document(path, {"PLATFORM": "cpu", **folders}), {}, trusted=True)
    assert {check_command(cell.run, cell.command.words).platform.name for cell in found.cells} == {"cpu"}
    assert {cell.run.split(" ")[0] for cell in found.cells} == {"driver", "fidelity", "choose"}


def test_the_dry_run_of_the_cpu_grid(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("STORE", str(tmp_path / "store"))
    path = next(path for path in SWEEPS if path.stem == "cpu-grid")
    assert main([str(path), "--dry-run"]) == 2  # it has expressions
    code, out = main([str(path), "--dry-run", "--trust-file"]), capsys.readouterr().out
    assert code == int("refused" in out)
    assert "10 cells: 10 left" in out or "is not usable here" in out
    assert not (tmp_path / "store").exists()
