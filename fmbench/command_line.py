"""A command line as a value: read once into its arguments, changed by name, and written out again as words.

A sub-option is `--SET:KEY[:KEY...][@] VALUE`, or `--SET:KEY...=VALUE`. Keys nest into dictionaries. Quotes around a key
protect `:`, `=`, `@` and blanks in it; inside quotes a backslash protects the next character. `@` marks the value as a
Python expression, otherwise it is a string, but for the literals of LITERAL. Nothing here evaluates anything or imports
torch: an expression stays an `Expression` until `fmbench.expressions` is asked for its value.
"""

import ast
import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from fmbench.errors import UsageError, nearest
from fmbench.secrets import Hide, hidden, masked, remember

SUBOPTION = re.compile(r"--[^\s:=]+:")
LITERAL = ("torch.call", "torch.set")  # no setting of torch is the text "False": fmwork reads these as Python, too

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

    Leaves are strings, or `Expression` where the option ends in `@` and for a literal of LITERAL. Raises UsageError for
    an unknown set, a missing value, a repeated option, and an option above or below another one that has a value.
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
        evaluate = evaluate or (name in LITERAL and is_literal(value))
        insert(trees[name], keys, Expression(value) if evaluate else value, option)
    return trees


def is_literal(text: str) -> bool:
    """Whether a text is a Python literal: a number, a quoted string, True, None, or a container of such."""
    try:
        ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return False
    return True


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


VALUES_OF_ANY_KIND = ("--vs", "--serve")  # the value is itself a command line, and may begin with dashes


@dataclass(frozen=True)
class Argument:
    """One argument as typed: `option` with its dashes, quotes and `@`; the value is None for a flag."""

    option: str
    value: str | None = None

    @property
    def name(self) -> str:
        """The option without its dashes."""
        return self.option.removeprefix("--")

    @property
    def is_suboption(self) -> bool:
        """Whether it is `--SET:KEY`."""
        return SUBOPTION.match(self.option) is not None

    @property
    def path(self) -> tuple[str, ...]:
        """What it sets: the keys of a sub-option, the name of any other argument."""
        return tuple(split_key(self.option)[0]) if self.is_suboption else (self.name,)

    @property
    def words(self) -> list[str]:
        """The words that are read back as this argument."""
        if self.value is None:
            return [self.option]
        if self.value.startswith("-") and self.option not in VALUES_OF_ANY_KIND:
            return [f"{self.option}={self.value}"]
        return [self.option, self.value]

    def overlaps(self, other: "Argument") -> bool:
        """Whether the two set the same thing, or one sets something below the other."""
        shorter = min(len(self.path), len(other.path))
        return self.is_suboption == other.is_suboption and self.path[:shorter] == other.path[:shorter]


@dataclass(frozen=True)
class CommandLine:
    """The arguments of one command line, in the order typed. Changing it makes another one."""

    arguments: tuple[Argument, ...] = ()

    @classmethod
    def parse(cls, words: Sequence[str], flags: Collection[str]) -> Self:
        """Read words; `flags` are the options without a value. A word that belongs to no option stays by itself.

        Raises UsageError for a quote that is not closed, and for `--`, which says nothing here.
        """
        remember(words)
        found: list[Argument] = []
        left = list(reversed(words))
        while left:
            word = left.pop()
            if word == "--":
                raise UsageError("'--' names no argument; leave it out")
            suboption = SUBOPTION.match(word)
            option, value = split_assignment(word) if suboption else assigned(word)
            if value is None and option.startswith("--") and option not in flags and left:
                follows = left[-1]
                if option in VALUES_OF_ANY_KIND or not follows.startswith("--"):
                    value = left.pop()
            if value == "--" and not suboption:  # argparse would lose it
                raise UsageError(f"{option} '--': '--' names no argument; leave it out")
            found.append(Argument(option, value))
        return cls(tuple(found))

    @property
    def words(self) -> list[str]:
        """The words that `parse` reads back as this command line."""
        return [word for argument in self.arguments for word in argument.words]

    @property
    def fixed(self) -> list[str]:
        """Words of the arguments that are no sub-options, each value bound to its option."""
        plain = (argument for argument in self.arguments if not argument.is_suboption)
        return [one.option if one.value is None else f"{one.option}={one.value}" for one in plain]

    @property
    def suboptions(self) -> list[tuple[str, str | None]]:
        """`(option, value)` of each sub-option; the value is None where there is none."""
        return [(argument.option, argument.value) for argument in self.arguments if argument.is_suboption]

    @property
    def given(self) -> tuple[tuple[str, str], ...]:
        """`(name, value)` of each argument, sorted by name; a flag's value is the string True."""
        pairs = ((one.name, one.value if one.value is not None else "True") for one in self.arguments)
        return tuple(sorted(pairs, key=lambda pair: pair[0]))

    def values(self, name: str) -> list[str]:
        """Return every value of an argument, in order."""
        return [one.value for one in self.arguments if one.name == name and one.value is not None]

    @property
    def names(self) -> set[str]:
        """Return the names that are given."""
        return {one.name for one in self.arguments}

    def named(self, positions: Sequence[str]) -> Self:
        """Return this command line with its words that belong to no option as values of these names, in order.

        Those beyond the last name are its further values.
        """
        names = iter(positions)
        found = (
            one if one.option.startswith("-") else Argument(f"--{next(names, positions[-1])}", one.option)
            for one in self.arguments
        )
        return dataclasses.replace(self, arguments=tuple(found))

    def with_(self, other: "CommandLine") -> Self:
        """Return this command line with another one's arguments in place of those that set the same."""
        kept = (one for one in self.arguments if not any(one.overlaps(theirs) for theirs in other.arguments))
        return dataclasses.replace(self, arguments=(*kept, *other.arguments))

    def only(self, names: Collection[str]) -> Self:
        """Return the arguments of these names."""
        return dataclasses.replace(self, arguments=tuple(one for one in self.arguments if one.name in names))

    def without(self, names: Collection[str]) -> Self:
        """Return this command line without the arguments of these names; `compile:` names all sub-options of a set."""
        kept = (one for one in self.arguments if not {one.name, f"{one.path[0]}:" * one.is_suboption} & {*names})
        return dataclasses.replace(self, arguments=tuple(kept))

    def masked(self, hide: Hide = hidden) -> Self:
        """Return this command line as it may be printed: without secrets, or with what `hide` makes of them."""
        return type(self)(
            tuple(
                one if one.value is None else Argument(one.option, masked(one.name, one.value, hide))
                for one in self.arguments
            )
        )


def assigned(word: str) -> tuple[str, str | None]:
    """Split `--name=value`; the value is None where there is none."""
    option, sign, value = word.partition("=")
    return (option, value) if sign and word.startswith("--") else (word, None)


def command_line(pairs: Iterable[tuple[str, str]], flags: Collection[str]) -> CommandLine:
    """Return the command line of `(name, value)` pairs as `given` has them: a flag's value is dropped."""
    return CommandLine(tuple(Argument(f"--{name}", None if f"--{name}" in flags else value) for name, value in pairs))
