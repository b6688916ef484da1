import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmbench.command_line import LITERAL, CommandLine, Expression, is_literal, leaves, parse_suboptions
from fmbench.errors import UsageError
from fmbench.options import SETS


def parse(*argv: str) -> dict:
    command = CommandLine.parse(argv, ())
    assert command.fixed == []
    return {name: tree for name, tree in parse_suboptions(command.suboptions, SETS).items() if tree}


@pytest.mark.parametrize(
    ("argv", "tree"),
    [
        (["--compile:backend", "inductor"], {"compile": {"backend": "inductor"}}),
        (["--compile:backend=inductor"], {"compile": {"backend": "inductor"}}),
        (["--compile:dynamic@", "True"], {"compile": {"dynamic": Expression("True")}}),
        (["--compile:dynamic@=True"], {"compile": {"dynamic": Expression("True")}}),
        (["--compile:options:freezing@", "True"], {"compile": {"options": {"freezing": Expression("True")}}}),
        (
            ["--compile:options:a", "1", "--compile:options:b:c", "2"],
            {"compile": {"options": {"a": "1", "b": {"c": "2"}}}},
        ),
        (['--compile:options:"a:b"', "1"], {"compile": {"options": {"a:b": "1"}}}),
        (["--compile:options:'k@'", "1"], {"compile": {"options": {"k@": "1"}}}),
        (['--compile:options:"a=b"@=2'], {"compile": {"options": {"a=b": Expression("2")}}}),
        ([r'--compile:"a\"b"', "1"], {"compile": {'a"b': "1"}}),
        (["--torch.call:a.b.f@", "(1, 2)"], {"torch.call": {"a.b.f": Expression("(1, 2)")}}),
        (["--model:revision=--x"], {"model": {"revision": "--x"}}),
        (["--model:n@", "-1"], {"model": {"n": Expression("-1")}}),
        (["--model:text", ""], {"model": {"text": ""}}),
        (["--model:text="], {"model": {"text": ""}}),
        (["--model:text", "a=b:c@"], {"model": {"text": "a=b:c@"}}),
    ],
)
def test_examples(argv: list[str], tree: dict) -> None:
    assert parse(*argv) == tree


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--compil:backend", "x"], r"unknown set 'compil'; did you mean compile\?"),
        (["--compile:backend"], "--compile:backend: the value is missing"),
        (["--compile:backend", "--eval"], "the value is missing"),
        (["--compile:backend", "a", "--compile:backend", "b"], "was given before"),
        (["--compile:options", "a", "--compile:options:x", "b"], "--compile:options already has a value"),
        (["--compile:options:x:y", "a", "--compile:options:x", "b"], "holds other options"),
        (["--compile:", "x"], "a key is empty"),
        (["--compile:a::b", "x"], "a key is empty"),
        (["--compile:@", "x"], "a key is empty"),
        (['--compile:"a', "x"], "a quote is not closed"),
    ],
)
def test_mistakes_are_one_clear_line(argv: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parse_suboptions(CommandLine.parse(argv, ()).suboptions, SETS)
    assert "\n" not in str(caught.value)


keys = st.text(min_size=1, max_size=8)
literals = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
trees = st.recursive(
    st.dictionaries(keys, literals, min_size=1, max_size=3),
    lambda below: st.dictionaries(keys, literals | below, min_size=1, max_size=3),
    max_leaves=8,
)


def written(name: str, tree: dict) -> list[str]:
    """Return a tree as a user would type it, every key in quotes."""

    def quoted(key: str) -> str:
        return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'

    def option(keys: tuple[str, ...], leaf: object) -> str:
        return ":".join([f"--{name}", *map(quoted, keys)]) + ("" if isinstance(leaf, str) else "@")

    return [f"{option(keys, leaf)}={leaf if isinstance(leaf, str) else repr(leaf)}" for keys, leaf in leaves(tree)]


@given(st.sampled_from(SETS), trees)
def test_any_nested_dictionary_can_be_written(name: str, tree: dict) -> None:
    def read(value):
        if isinstance(value, dict):
            return {key: read(below) for key, below in value.items()}
        literal = name in LITERAL and isinstance(value, str) and is_literal(value)  # needs no @ there
        return Expression(value if literal else repr(value)) if literal or not isinstance(value, str) else value

    assert parse(*written(name, tree)) == {name: read(tree)}
