"""The sweeps of the examples: each cell is one that its command takes, where its device is."""

import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from fmbench.checks import check_command
from fmbench.document import Document
from fmbench.errors import PlatformError, UsageError
from fmbench.process.sweep.cli import main
from fmbench.process.sweep.matrix import read_sweep
from fmbench.process.sweep.schema import FILE

from ...tiny_model import write_collection, write_model

SWEEPS = sorted((Path(__file__).parents[3] / "examples" / "sweeps").glob("*.yaml"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model and a collection, as the variables that a file may name them by."""
    folder = tmp_path_factory.mktemp("with")
    model, data = write_model(folder / "model"), write_collection(folder / "data")
    (folder / "work").mkdir()
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


@pytest.mark.slow
def test_every_cell_for_an_accelerator_runs_on_a_cpu_too(folders):
    path = next(path for path in SWEEPS if path.stem == "accelerator")
    found = read_sweep(Document(path, {"PLATFORM": "cpu", **folders}), {}, trusted=True)
    assert {check_command(cell.run, cell.command.words).platform.name for cell in found.cells} == {"cpu"}
    assert {cell.run.split(" ")[0] for cell in found.cells} == {"driver", "fidelity", "retrieve", "choose"}


KINDS = """\
sweep: kinds
with: {{platform: cpu, model_name: "{MODEL}"}}
runs:
- {{run: fidelity capture, with: {{dataset: "{DATA}", out: "{WORK}/a"}}, matrix: {{documents: [20, few]}}}}
- run: fidelity compare "{WORK}/a" b
  with: {{platform: false, model_name: false}}
  matrix: {{fail-on: [ranking, rnking]}}
- {{run: quality, matrix: {{tasks: ["{TASKS}", none.yaml]}}}}
- {{run: retrieve evaluate, with: {{dataset: "{DATA}"}}, matrix: {{similarity: [dot, dt]}}}}
- {{run: choose, with: {{platform: false, platforms: cpu, dataset: "{DATA}"}}, matrix: {{budget: [20s, soon]}}}}
- run: load
  with: {{platform: false, model_name: none, tokens: 16, serve: --platform null}}
  matrix: {{scenario: [single, slow]}}
"""


@pytest.mark.slow
def test_every_kind_of_cell_is_checked_by_its_own_command_and_without_torch(folders, tmp_path):
    (tmp_path / "pairs.tsv").write_text("sentence1\tsentence2\tscore\na\tb\t1\nc\td\t2\ne\tf\t3\n")
    (tmp_path / "tasks.yaml").write_text("tasks: [{name: pairs, type: sts, data: pairs.tsv}]\n")
    path = tmp_path / "kinds.yaml"
    path.write_text(KINDS.format(**folders, TASKS=tmp_path / "tasks.yaml"))
    code = (
        "import sys; from fmbench.process.sweep.cli import main; print(main(sys.argv[1:])); "
        "sys.exit(sum(name in sys.modules for name in ('torch', 'transformers', 'onnxruntime', 'openvino')))"
    )
    command = [sys.executable, "-c", code, str(path), "--dry-run"]  # where no store knows how long such a cell takes
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done
    states = [line.partition("refused: ")[2] or "to run" for line in done.stdout.splitlines()[1:13]]
    assert states[::2] == ["to run"] * 6, done.stdout
    for said, state in zip(("few", "rnking", "none.yaml", "dt", "soon", "slow"), states[1::2], strict=True):
        assert said in state, done.stdout
    assert done.stdout.endswith("12 cells: 6 left, 6 refused\n1\n")


def test_the_dry_run_of_the_cpu_grid(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("STORE", str(tmp_path / "store"))
    path = next(path for path in SWEEPS if path.stem == "cpu-grid")
    assert main([str(path), "--dry-run"]) == 2  # it has expressions
    code, out = main([str(path), "--dry-run", "--trust-file"]), capsys.readouterr().out
    assert code == int("refused" in out)
    assert "10 cells: 10 left" in out or "is not usable here" in out
    assert not (tmp_path / "store").exists()
