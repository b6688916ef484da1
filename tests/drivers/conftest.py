"""What the driver's tests share: running it in this process and reading its log."""

from pathlib import Path

import pytest

from fmbench.drivers.embed import main
from fmbench.lines import Line, parse_line

NO_GRADIENTS = ["--torch.call:set_grad_enabled@", "False"]
SHAPES = ["--input_sizes", "8,16", "--batch_sizes", "1,3", "--reps", "4"]
SMALL = ["--input_sizes", "8", "--batch_sizes", "2", "--reps", "12"]


def parsed(text: str) -> list[Line]:
    return [line for line in map(parse_line, text.splitlines()) if line is not None]


def of(kind: type | str, lines: list[Line]) -> list:
    return [line for line in lines if line.kind == getattr(kind, "kind", kind)]


def facts(lines: list[Line]) -> dict:
    return {key: value for line in of("ENV", lines) for key, value in line.data.items()}


@pytest.fixture(autouse=True)
def process_of_its_own(restore_torch: None) -> None:
    """A driver sets torch for its process; the next test finds it as it was."""


@pytest.fixture
def drive(capsys):
    """Run the driver in this process; returns (exit code, lines, stderr)."""

    def run(*arguments: object) -> tuple[int, list[Line], str]:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, parsed(captured.out), captured.err

    return run


@pytest.fixture
def tiny(tiny_root: Path) -> list[str]:
    return ["--model_class", "BertModel", "--model_root", str(tiny_root), "--model_name", "tiny", "--weights", "random"]
