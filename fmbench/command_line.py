"""A command line as a value: read once into its arguments, changed by name, and written out again as words."""

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from fmbench.errors import UsageError
from fmbench.secrets import Hide, hidden, masked, remember
from fmbench.suboptions import SUBOPTION, split_assignment, split_key

VALUES_OF_ANY_KIND = ("--vs",)  # the value is itself a command line, and may begin with dashes


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
