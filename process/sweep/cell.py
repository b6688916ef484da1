"""One cell of a sweep: one command line of fmbench."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from fmbench.checks import split
from fmbench.command_line import Argument, CommandLine
from fmbench.digest import digest_of_json
from fmbench.secrets import sealed

DIGITS = 12
MODEL = "model_name"
REPEATED = ("vs", "with", "without")  # each of several values is an argument of its own
NAMED = re.compile(r"--([\w.:@-]+\w)")

Value = str | bool | tuple[str, ...]  # several where an argument is repeated
Values = Mapping[str, Value]


@dataclass(frozen=True)
class Cell:
    """A command line, what it takes of the machine, and where the file describes it.

    `varying` are the arguments that tell it from the other cells of its command; `needs` may be empty; `lines` are
    those of values. One that is called `in_full` has a model of another owner that is called the same, beside one that
    is called `with_command` are cells of other commands.
    """

    run: str
    values: Values
    varying: Values
    needs: Mapping[str, float]
    line: int
    lines: Mapping[tuple[str, Value], int] = field(default_factory=dict)
    in_full: bool = False
    with_command: bool = False

    def line_of(self, message: str) -> int:
        """Return the line that a message is about: that of the first argument, or of the value, that it names."""
        named = [name for name in NAMED.findall(message) if name in self.values]
        named += [
            name for name, value in self.values.items() if message.startswith(f"{value}:") or f"{value!r}" in message
        ]
        lines = (self.lines.get((name, self.values[name])) for name in named)
        return next(filter(None, lines), self.line)

    @cached_property
    def command(self) -> CommandLine:
        """Its arguments."""
        return CommandLine(tuple(one for name, value in self.values.items() for one in arguments_of(name, value)))

    @cached_property
    def id(self) -> str:
        """What it is known by in a store: a digest of the command and its arguments, whatever their order."""
        return digest_of_json([self.run, self.command.masked(sealed).given])[:DIGITS]

    @property
    def words(self) -> list[str]:
        """The words behind `fmbench`."""
        return [*split(self.run), *self.command.words]

    @cached_property
    def told(self) -> str:
        """What tells it: the values that vary; of numbers their names too."""
        return ", ".join(word for name, value in self.varying.items() if (word := called(name, value, self.in_full)))

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.run}: {self.told}" if self.with_command and self.told else self.told or self.run


def arguments_of(name: str, value: Value) -> list[Argument]:
    """Return the arguments that set a value. A flag that is false is left out; below a set, it is Python's False."""
    if isinstance(value, tuple):
        return [Argument(f"--{name}", one) for one in value]
    if isinstance(value, bool) and ":" not in name:
        return [Argument(f"--{name}")] if value else []
    return [Argument(f"--{name}", str(value))]


def joined(name: str, values: list[str]) -> Value:
    """Return several values of an argument as one, or as several where it takes one at a time."""
    return tuple(values) if name in REPEATED else ",".join(values)


def called(name: str, value: Value, in_full: bool = False) -> str:
    """Return what people call an argument: by its value where that tells, a model without its owner unless in full."""
    if isinstance(value, bool):
        return name if value else ""
    text = " ".join(value) if isinstance(value, tuple) else value
    if name == MODEL and not in_full:
        return text.rstrip("/").rpartition("/")[2]
    tells = any(letter.isalpha() for letter in text) and text not in ("True", "False")
    return text if tells else f"{name} {text}"
