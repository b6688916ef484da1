"""A command line as a value."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmbench import lines
from fmbench.command_line import Argument, CommandLine, command_line
from fmbench.errors import UsageError
from fmbench.options import build_parser, parse_arguments

FLAGS = build_parser("driver").flags
FULL = [
    "--platform", "cpu", "--model_name=a b", "--compile", "--compile:backend", "inductor", "--reps", "3",
    "--vs", "--model:dtype@ torch.bfloat16", "--vs", "", "--model:\"a:b\"@=1", "--device", "-1", "--threads=2",
]  # fmt: skip

keys = st.text("abc", min_size=1, max_size=3)
values = st.text(max_size=12) | st.sampled_from(
    ["", " ", "--x", "-1", "--", "True", "a b", "it's", '"', "%41", "\n", "***"]
)
arguments = st.lists(
    st.builds(
        lambda name, value: Argument(f"--{name}", value),
        st.sampled_from(["model_name", "vs", "model_root"]),
        values.filter(lambda value: value != "--"),
    )
    | st.builds(lambda key, at, value: Argument(f"--model:{key}{at}", value), keys, st.sampled_from(["", "@"]), values)
    | st.sampled_from([Argument("--compile"), Argument("--eval")]),
    max_size=6,
).map(lambda found: CommandLine(tuple(found)))


@given(arguments)
def test_words_are_read_back(command: CommandLine) -> None:
    assert CommandLine.parse(command.words, FLAGS) == command
    assert CommandLine.parse(shlex.split(shlex.join(command.words)), FLAGS) == command


@given(arguments)
def test_the_lines_of_a_log_are_read_back(command: CommandLine) -> None:
    printed = [lines.parse_line(lines.Arg(name, value).format()) for name, value in command.given]
    found = command_line([(line.key, line.value) for line in printed if isinstance(line, lines.Arg)], FLAGS)
    assert sorted(found.arguments, key=lambda one: one.name) == list(found.arguments)
    assert found.given == command.given and sorted(map(repr, found.arguments)) == sorted(map(repr, command.arguments))


def test_parts() -> None:
    command = CommandLine.parse(FULL, FLAGS)
    assert command.values("vs") == ["--model:dtype@ torch.bfloat16", ""]
    assert command.values("device") == ["-1"] and command.values("compile") == []
    assert command.suboptions == [("--compile:backend", "inductor"), ('--model:"a:b"@', "1")]
    assert command.fixed[:3] == ["--platform=cpu", "--model_name=a b", "--compile"]
    assert [one.path for one in command.arguments if one.is_suboption] == [("compile", "backend"), ("model", "a:b")]


def test_several_values_of_one_name_stay_in_order() -> None:
    typed = ["--vs", "--threads 2", "--vs", "--threads 1"]
    assert CommandLine.parse(typed, FLAGS).given == (("vs", "--threads 2"), ("vs", "--threads 1"))


def test_with_replaces_what_sets_the_same() -> None:
    command = CommandLine.parse(FULL, FLAGS)
    changed = command.with_(CommandLine.parse(["--reps=5", "--compile:backend:x", "1", "--vs", "--eval"], FLAGS))
    assert changed.values("reps") == ["5"] and changed.values("vs") == ["--eval"]
    assert ("--compile:backend", "inductor") not in changed.suboptions and "compile" in changed.names
    assert command.values("reps") == ["3"]


def test_without_takes_names_and_sets() -> None:
    command = CommandLine.parse(FULL, FLAGS)
    assert command.without(["compile"]).suboptions == command.suboptions
    left = command.without(["compile:", "vs"])
    assert "compile" in left.names and left.suboptions == [('--model:"a:b"@', "1")] and left.values("vs") == []


def test_only_takes_names() -> None:
    command = CommandLine.parse(FULL, FLAGS)
    assert command.only({"vs", "reps"}).fixed == ["--reps=3", "--vs=--model:dtype@ torch.bfloat16", "--vs="]


def test_a_flag_takes_no_value() -> None:
    assert CommandLine.parse(["--compile", "x", "--eval"], FLAGS).fixed == ["--compile", "x", "--eval"]


@pytest.mark.parametrize("words", [["--"], ["--reps", "3", "--"], ["--", "x"], ["--vs", "--"], ["--vs=--"]])
def test_two_dashes_name_nothing(words: list[str]) -> None:
    with pytest.raises(UsageError, match="'--' names no argument"):
        parse_arguments(words)


def test_secrets_are_masked_before_words_are_quoted() -> None:
    command = CommandLine.parse(["--vs", "--model:token x", "--model:token", "y", "--model_name", "m"], FLAGS)
    assert shlex.split(shlex.join(command.masked().words)) == [
        "--vs", "--model:token ***", "--model:token", "***", "--model_name", "m",
    ]  # fmt: skip
