"""Runs `process` on a log given as text, and holds whatever it prints against the published schema."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fmbench.process.cli import main
from fmbench.process.comparing.compare import main as compare_main
from fmbench.process.reading.row_schema import published_schema
from fmbench.process.writing.show import main as show_main

GOLDEN = Path(__file__).parent.parent / "golden"
GOLDEN_CHOICE = GOLDEN.parent / "golden-choice" / "format-1.log"


@dataclass
class Printed:
    code: int
    rows: list[dict]
    warnings: list[str]

    @property
    def statuses(self) -> list[str]:
        return [row["status"] for row in self.rows]


@functools.cache
def validator() -> Any:
    schema = json.loads(published_schema())
    jsonschema = pytest.importorskip("jsonschema", reason="pip install 'fmbench[test]'")
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


@pytest.fixture
def golden():
    return GOLDEN


@pytest.fixture
def golden_retrieval():
    return GOLDEN.parent / "golden-retrieval" / "format-1.log"


@pytest.fixture
def process(capsys):
    """Run `process` with these arguments."""

    def run(*arguments: str) -> Printed:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        rows = json.loads(out, parse_constant=refuse) if code == 0 else []
        validator().validate(rows)
        return Printed(code, rows, err.splitlines())

    return run


@pytest.fixture
def read(process, tmp_path):
    """Run `process` on a log of this content."""

    def run(*content: str | bytes, end: str = "\n") -> Printed:
        path = tmp_path / "run.log"
        parts = [part if isinstance(part, bytes) else part.encode() for part in content]
        path.write_bytes(b"\n".join(parts) + end.encode())
        return process("--path", path)

    return run


@pytest.fixture
def compare(tmp_path, capsys):
    """Write each text as a log, compare them, and return what was printed."""

    def run(*texts, words=(), code=0):
        names = []
        for name, text in zip("abcd", texts, strict=False):
            (tmp_path / f"{name}.log").write_text(text)
            names.append(str(tmp_path / f"{name}.log"))
        assert compare_main([*names, *words]) == code
        printed = capsys.readouterr()
        return printed.out if code < 2 else printed.err

    return run


@pytest.fixture
def changed(tmp_path):
    """changed(change, name) -> the golden log of a choice after `change` of the data of each CHOICE line."""

    def write(change, name="changed.log"):
        rows = []
        for text in GOLDEN_CHOICE.read_text().splitlines():
            kind, _, body = text.removeprefix("FMWORK ").partition(" ")
            if kind == "CHOICE":
                data = json.loads(body)
                change(data, {one["name"]: one for one in data["candidates"]})
                text = f"FMWORK CHOICE {json.dumps(data)}"
            rows.append(text)
        (tmp_path / name).write_text("\n".join([*rows, ""]))
        return tmp_path / name

    return write


@pytest.fixture
def shown(capsys):
    def show(*words):
        assert show_main([str(word) for word in words]) == 0
        return capsys.readouterr().out

    return show
