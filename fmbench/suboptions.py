"""The sub-option grammar: `--SET:KEY[:KEY...][@] VALUE`, or `--SET:KEY...=VALUE`.

Keys nest into dictionaries. Quotes around a key protect `:`, `=`, `@` and blanks in it; inside quotes a
backslash protects the next character. `@` marks the value as a Python expression, otherwise it is a string.

Nothing here evaluates anything or imports torch: an expression stays an `Expression` until
`fmbench.expressions` is asked for its value.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fmbench.errors import UsageError, nearest

SUBOPTION = re.compile(r"--[^\s:=]+:")

Tree = dict[str, Any]


@dataclass(frozen=True)
class Expression:
    """A Python expression that the command line asked to evaluate."""

    text: str

    def __str__(self) -> str:
        return self.text


def split_assignment(token: str) -> tuple[str, str | None]:
    """Split `--SET:KEY=VALUE` at the first `=` outside quotes; the value is None where there is none."""
    for index, character, quoted in scan(token):
        if character == "=" and not quoted:
            return token[:index], token[index + 1 :]
    return token, None


def scan(text: str) -> Iterable[tuple[int, str, bool]]:
    """Yield `(index, character, quoted)`; the quotes and the backslashes that protect are not yielded."""
    quote, escaped = "", False
    for index, character in enumerate(text):
        if escaped:
            escaped = False
            yield index, character, True
        elif quote and character == "\\":
            escaped = True
        elif character == quote:
            quote = ""
        elif not quote and character in "\"'":
            quote = character
        else:
            yield index, character, bool(quote)
    if quote or escaped:
        raise UsageError(f"{text}: a quote is not closed")


def split_key(option: str) -> tuple[list[str], bool]:
    """Split `--SET:KEY:KEY@` into its path and whether `@` asks for an evaluation."""
    path, evaluate = [""], False
    for index, character, quoted in scan(option[2:]):
        if character == ":" and not quoted:
            path.append("")
        elif character == "@" and not quoted and index == len(option) - 3:
            evaluate = True
        else:
            path[-1] += character
    if not all(path):
        raise UsageError(f"{option}: a key is empty; write --SET:KEY VALUE, as in --compile:backend inductor")
    return path, evaluate


def parse_suboptions(pairs: Sequence[tuple[str, str | None]], sets: Sequence[str]) -> dict[str, Tree]:
    """Build one nested dictionary a set from `(option, value)` pairs.

    Leaves are strings, or `Expression` where the option ends in `@`. Raises UsageError for an unknown set, a
    missing value, a repeated option, and an option above or below another one that has a value.
    """
    trees: dict[str, Tree] = {name: {} for name in sets}
    for option, value in pairs:
        (name, *keys), evaluate = split_key(option)
        if name not in trees:
            raise UsageError(
                f"{option}: unknown set {name!r}{nearest(name, sets)} (the sets are {', '.join(sorted(sets))})"
            )
        if value is None:
            raise UsageError(f"{option}: the value is missing (one that begins with -- is written {option}=VALUE)")
        insert(trees[name], keys, Expression(value) if evaluate else value, option)
    return trees


def insert(tree: Tree, keys: Sequence[str], leaf: str | Expression, option: str) -> None:
    """Put a leaf into the tree, or raise UsageError where something stands in its way."""
    for depth, key in enumerate(keys[:-1], start=1):
        below = tree.setdefault(key, {})
        if not isinstance(below, dict):
            above = option[: option.index(":")] + ":" + ":".join(keys[:depth])
            raise UsageError(f"{option}: {above} already has a value, so nothing can be set below it")
        tree = below
    if keys[-1] in tree:
        taken = "holds other options" if isinstance(tree[keys[-1]], dict) else "was given before"
        raise UsageError(f"{option}: this option {taken}; give it once")
    tree[keys[-1]] = leaf


def leaves(tree: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterable[tuple[tuple[str, ...], Any]]:
    """Yield `(keys, leaf)` for every leaf of a nested dictionary, in order."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key), value
