"""Programs that fmbench starts find the modules that it finds itself."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fmbench import children, ending
from tests.tiny_model import write_collection, write_model

ROOT = Path(__file__).resolve().parents[1]
LOOK = "import json, sys; print(json.dumps(sys.path))"


@pytest.mark.parametrize("here", [True, False])
def test_a_child_looks_in_the_current_folder_where_its_parent_does(tmp_path, monkeypatch, here) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["/usr/bin", *([str(tmp_path)] if here else [])])
    found = json.loads(children.run(children.python("-c", LOOK)).stdout)
    assert ("" in found or str(tmp_path) in found) == here


def test_nothing_else_starts_a_python() -> None:
    rooms = (ROOT / room for room in ("fmbench", "drivers", "backends", "process"))
    files = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for room in rooms
             for path in room.rglob("*.py")}  # fmt: skip
    assert [name for name, text in files.items() if re.search(r"\bsys\.executable\b", text)] == ["fmbench/children.py"]


# Asked to end, it waits for a file.
CLEANS_UP = """
import pathlib, signal, sys, time
def clean(*_):
    while not pathlib.Path(sys.argv[1]).exists():
        time.sleep(0.01)
    sys.exit("clean")
signal.signal(signal.SIGTERM, clean)
print("ready", flush=True)
signal.pause()
"""


def test_a_child_that_a_disk_holds_up_has_its_time_all_the_same(tmp_path, monkeypatch) -> None:
    asked, allowed = [], []

    class HeldUp:
        """A fake: what the kernel says of a main thread that waits for a disk longer than a child has to end."""

        def had(self, seconds: float) -> float:
            asked.append(seconds)
            if sum(asked) > 2 * children.PATIENCE:
                (tmp_path / "thawed").touch()
            return 0.0

    monkeypatch.setattr(children, "PATIENCE", 0.25)
    monkeypatch.setattr(children.MainThread, "of", lambda process: HeldUp())
    monkeypatch.setattr(ending, "allow", allowed.append)
    command = [sys.executable, "-c", CLEANS_UP, str(tmp_path / "thawed")]
    with children.started(command, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == "ready\n"
        with children.ended(process):
            assert process.stderr.read() == "clean\n"
    assert process.returncode == 1
    assert set(allowed) == {ending.PATIENCE}, "its parent waits as long"


@pytest.fixture(scope="module")
def above(tmp_path_factory) -> Path:
    """A folder that holds one called fmbench, as that of a clone does, a model, and a collection."""
    folder = tmp_path_factory.mktemp("above")
    (folder / "fmbench" / "fmbench").mkdir(parents=True)
    write_model(folder / "model")
    write_collection(folder / "wings", documents=10, queries=4)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        "driver --platform null --model_class none --model_name none --input_sizes 8 --batch_sizes 1 --isolate",
        "retrieve evaluate --platform cpu --model_name model --dataset wings --processes 2 --threads 2",
        "load --serve '--platform null' --model_name none --tokens 16 --warmup 0 --requests 20",
    ],
)
def test_a_folder_of_that_name_hides_nothing(above, words) -> None:
    command = f"{Path(sys.executable).parent}/fmbench {words}"
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, shell=True, cwd=above, env=variables, capture_output=True, text=True, timeout=180)  # noqa: S602
    assert done.returncode == 0, done.stderr
