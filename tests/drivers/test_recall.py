"""`--resume LOG` alone, and with comparisons."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fmbench.command_line import CommandLine
from fmbench.drivers.recall import recall
from fmbench.errors import UsageError
from fmbench.lines import Arg, Res
from fmbench.options import build_parser, parse_arguments
from fmbench.secrets import sealed

from .conftest import of, parsed

NULL = [
    "--platform",
    "null",
    "--model_name",
    "my model",
    "--input_sizes",
    "8,16,24",
    "--batch_sizes",
    "1,2",
    "--reps",
    "12",
]
PARSER = build_parser("driver")


@pytest.fixture
def log_of(tmp_path: Path) -> Callable[..., Path]:
    """Write the log that a command leaves when it is killed before its first result."""

    def write(*words: str, driver: str = "embed") -> Path:
        path = tmp_path / "run.log"
        given = CommandLine.parse(words, PARSER.flags).masked(sealed).given
        head = f'FMWORK LOG {{"format": 1, "program": "fmbench 0.1.0", "driver": "{driver}"}}\n'
        path.write_text(head + "".join(Arg(name, value).format() + "\n" for name, value in given))
        return path

    return write


@pytest.mark.parametrize(
    "more",
    [
        [],
        ["--compile", "--eval", "--ceiling"],
        ["--vs", "--model:dtype@ torch.bfloat16", "--vs", "--platform null", "--vs", "--model_name 'a b'"],
        ["--model:dtype@", "torch.bfloat16", "--model:x=--y", "--model:empty", "", "--model:flag", "True"],
        ["--model:\"a:b c\"@", "{'k': [1, 'zwei é']}", "--model_root", " /with\n blanks "],
        ["--torch.call:set_grad_enabled@", "False", "--torch.set:backends.mkldnn.enabled@", "True"],
    ],
)  # fmt: skip
def test_a_log_gives_the_command_that_made_it(log_of, more: list[str], capsys) -> None:
    path = log_of(*NULL, *more)
    found = recall(["--resume", str(path)], PARSER)
    now = parse_arguments(found.words)
    then = parse_arguments([*NULL, *more, "--resume", str(path)])
    assert (now.given, now.options, now.vs) == (then.given, then.options, then.vs)
    assert f"note: --resume {path} goes on with: driver " in capsys.readouterr().err


def test_sizes_and_repetitions_may_be_others(log_of) -> None:
    path = log_of(*NULL)
    found = parse_arguments(recall(["--resume", str(path), "--input_sizes", "9", "--reps", "3"], PARSER).words)
    assert (found.input_sizes, found.batch_sizes, found.reps) == ((9,), (1, 2), 3)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--model_name", "other"], "model_name: my model then, other now"),
        (["--compile"], "compile: None then, True now"),
        (["--model:x", "2"], "model:x: None then, 2 now"),
        (["--vs", "--eval"], "vs: None then, --eval now"),
    ],
)
def test_what_is_typed_has_to_agree(log_of, typed: list[str], said: str) -> None:
    path = log_of(*NULL)
    with pytest.raises(UsageError, match=said):
        recall(["--resume", str(path), *typed], PARSER)


def test_a_whole_command_stands_for_itself(log_of) -> None:
    path = log_of(*NULL, "--compile")
    words = [*NULL, "--resume", str(path)]
    assert recall(words, PARSER).words == words


@pytest.mark.parametrize(
    "argument",
    [
        ["--model:token", "hf_secretsecret"],
        ["--vs", "--model:token x"],
        ["--model:x@", "__import__('os').system('true')"],
        ["--model:x@", "torch.hub.load('a', 'b')"],
        ["--vs", "--model:x@ 'torch.hub.load(1)'"],
        ["--model:trust_remote_code@", "True"],
        ["--model:weights_only@", "False"],
        ["--torch.call:hub.load", "a"],
        ["--torch.call:ops.load_library", "/x.so"],
    ],
)
def test_secrets_and_code_are_asked_for_again(log_of, argument: list[str]) -> None:
    path = log_of(*NULL, *argument)
    with pytest.raises(UsageError, match=f"{argument[0]} cannot be taken from the log.*give it again"):
        recall(["--resume", str(path)], PARSER)
    found = recall(["--resume", str(path), *argument], PARSER)
    assert found.values(argument[0].removeprefix("--")) == [argument[1]]


def test_logs_without_a_command(log_of, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such log to go on with; give the whole command line"):
        recall(["--resume", str(tmp_path / "new.log")], PARSER)
    with pytest.raises(UsageError, match=r"its last run is of another program \(retrieve\)"):
        recall(["--resume", str(log_of(*NULL, driver="retrieve"))], PARSER)


def whole(path: Path) -> list[tuple[int, int]]:
    return [(line.input_size, line.batch_size) for line in of(Res, parsed(path.read_text()))]


def cut(path: Path, text: str, count: int) -> None:
    """Cut a log off behind the count-th line that begins with a text, as a kill does."""
    rows = path.read_text().splitlines(keepends=True)
    ends = [place for place, row in enumerate(rows) if row.startswith(text)]
    path.write_text("".join(rows[: ends[count - 1] + 1]))


@pytest.mark.parametrize("isolate", [[], ["--isolate"]])
def test_a_killed_sweep_goes_on(drive, tmp_path: Path, isolate: list[str]) -> None:
    path = tmp_path / "run.log"
    sizes = NULL if not isolate else [*NULL[:4], "--input_sizes", "8,16", "--batch_sizes", "1", "--reps", "12"]
    assert drive(*sizes, *isolate, "--resume", path)[0] == 0
    every = whole(path)
    cut(path, "FMWORK STAT", 1)
    code, lines, said = drive("--resume", path)
    assert (code, lines) == (0, []) and f"holds 1 of {len(every)} shapes" in said
    assert whole(path) == every
    first, second = (
        {line.key: line.value for line in of(Arg, parsed(text))} for text in path.read_text().split("FMWORK LOG")[1:]
    )
    assert first == second and "resume" in first


@pytest.mark.parametrize(("behind", "count"), [("FMWORK STAT", 3), ("FMWORK STAT", 4), ("FMWORK RES", 3)])
def test_a_comparison_goes_on_with_whole_shapes(drive, tmp_path: Path, behind: str, count: int) -> None:
    """Cut behind A of the second shape, and behind B, before PAIR: the shape starts over with both."""
    path = tmp_path / "run.log"
    sizes = [*NULL[:4], "--input_sizes", "8,16,24", "--batch_sizes", "1", "--reps", "12"]
    assert drive(*sizes, "--vs", "--platform:milliseconds 0.1", "--resume", path)[0] == 0
    cut(path, behind, count)
    code, _, said = drive("--resume", path)
    assert code == 0 and "holds 1 of 3 shapes" in said
    lines = parsed(path.read_text().rpartition("FMWORK LOG")[2])
    cases = [(line.data["input_size"], line.data["variant"], line.data.get("overrides")) for line in of("CASE", lines)]
    other = "--platform:milliseconds 0.1"
    assert cases == [(16, "A", None), (16, "B", other), (24, "A", None), (24, "B", other)]
    assert [line.data["input_size"] for line in of("PAIR", lines)] == [16, 24]
    assert drive("--resume", path)[2].endswith("holds 3 of 3 shapes\n")


def test_a_comparison_with_another_variant_is_refused(drive, tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    assert drive(*NULL, "--vs", "--platform null", "--resume", path)[0] == 0
    code, _, said = drive(*NULL, "--vs", "--platform:noise 0.1", "--resume", path)
    assert code == 2 and "vs: --platform null then, --platform:noise 0.1 now" in said


def test_a_comparison_in_processes_of_their_own(drive, tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    sizes = [*NULL[:4], "--input_sizes", "8,16", "--batch_sizes", "1", "--reps", "12"]
    code, _, _ = drive(*sizes, "--isolate", "--vs", "--platform:milliseconds '0.1'", "--resume", path)
    assert code == 0
    lines = parsed(path.read_text())
    assert [line.data["variant"] for line in of("STAT", lines)] == ["A", "B"] * 2
    assert [(line.data["input_size"], line.data["verdict"]) for line in of("PAIR", lines)] == [
        (8, "slower"),
        (16, "slower"),
    ]
