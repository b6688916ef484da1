"""Runs `fmbench retrieve` in this process, on a tiny model and a tiny collection."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fmbench import lines
from fmbench.drivers.retrieve.cli import main
from tests.tiny_model import write_collection, write_model


@dataclass
class Ran:
    """What one run printed."""

    code: int
    log: str
    notes: str

    def data(self, kind: str, **wanted: Any) -> dict[str, Any]:
        """The one line of a kind whose data has these values."""
        parsed = (lines.parse_line(text) for text in self.log.splitlines())
        (found,) = [
            line.data
            for line in parsed
            if lines.is_json(line, kind) and all(line.data.get(key) == value for key, value in wanted.items())
        ]
        return found


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    return write_collection(tmp_path / "wings")


@pytest.fixture
def retrieve(capfd, model, collection):
    """Run a task on the tiny model; `collection` is the data unless the words name another."""

    def run(task: str, *words: object, code: int = 0) -> Ran:
        texts = [str(word) for word in words]
        given = [] if "--dataset" in texts or "--corpus" in texts else ["--dataset", str(collection)]
        named = [] if "--model_name" in texts else ["--model_name", str(model)]
        found = main([task, "--platform", "cpu", "--threads", "1", *named, *given, *texts])
        printed = capfd.readouterr()
        assert found == code, printed.err
        return Ran(found, printed.out, printed.err)

    return run
