"""Reading a command line's words: a parser whose complaints are one line, and readers of values."""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from fmbench.errors import UsageError, folded
from fmbench.secrets import remember
from fmbench.suggestions import DTYPES, nearest_argument

MOST = 2**31 - 1
MOST_THREADS = 1024
UNITS = {"ms": 1e-3, "s": 1, "m": 60, "h": 3600}  # of a time, in seconds


class Once(argparse.Action):
    """Stores a value, and refuses the same argument a second time."""

    def __call__(self, parser, namespace, values, option_string=None):  # type: ignore[no-untyped-def]
        """Store the value; argparse calls this."""
        seen = namespace.__dict__.setdefault("_seen", set())
        if self.dest in seen:
            several = " (several values are one comma list)" if "," in str(self.metavar) else ""
            raise UsageError(f"{option_string}: given twice; give it once{several}")
        seen.add(self.dest)
        setattr(namespace, self.dest, True if self.nargs == 0 else values)


class Parser(argparse.ArgumentParser):
    """An argument parser whose every complaint is one UsageError, with the nearest valid name.

    An option that holds one value is given once: the last of two would win unseen. A path is no empty text, which would
    be the current folder.
    """

    def __init__(self, **words: Any) -> None:
        super().__init__(**words)
        self.register("action", None, Once)
        self.register("type", Path, path)
        self._negative_number_matcher = re.compile(r"-\.?\d")  # what begins so is a value, such as -1/3

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing a usage block."""
        raise UsageError(f"{message} (see {self.prog} --help)")

    @property
    def flags(self) -> set[str]:
        """The options that take no value."""
        return {option for action in self._actions if action.nargs == 0 for option in action.option_strings}

    @property
    def positions(self) -> list[str]:
        """The names of the arguments that are told by their place, in order."""
        return [action.dest for action in self._actions if not action.option_strings]

    @property
    def defaults(self) -> set[tuple[str, str]]:
        """`(name, value)` of each argument that means the same where it is left out."""
        return {(action.dest, str(action.default)) for action in self._actions if action.default is not None}

    @property
    def names(self) -> set[str]:
        """The arguments without their dashes."""
        return {option.lstrip("-") for action in self._actions for option in action.option_strings}

    @property
    def required(self) -> set[str]:
        """The names of the arguments that a command line cannot do without."""
        return {action.dest for action in self._actions if action.required}

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print; argparse itself would swallow that a disk is full."""
        (file or sys.stderr).write(message or "")

    def parse_known(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parse every token, or raise UsageError that names the nearest argument."""
        remember(argv)
        known = [option for action in self._actions for option in action.option_strings if option.startswith("--")]
        for option in (word.partition("=")[0] for word in argv):  # before argparse misses what was misspelt
            if option == "--":  # from here on nothing is an option
                break
            if option.startswith("--") and " " not in option and option not in known:
                self.error(f"unknown argument {option!r}{nearest_argument(option, known)}")
        namespace, unknown = self.parse_known_args(list(argv))
        namespace.__dict__.pop("_seen", None)
        if unknown:
            unquoted = any(word.startswith("--vs=--") and " " not in word for word in argv)
            hint = "; what --vs changes is one word, in quotes: --vs '--threads 1'" if unquoted else ""
            self.error(f"unknown argument {unknown[0]!r}{hint}")
        return namespace


def integer(text: str, least: int, most: int) -> int:
    """Return a whole number between two bounds, or raise argparse's error."""
    if not re.fullmatch(r"[+-]?[0-9]+", text.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    number = int(text)
    if number < least:
        raise argparse.ArgumentTypeError(f"{text!r} is too small; the least is {least}")
    if number > most:
        raise argparse.ArgumentTypeError(f"{text!r} is too large; the most is {most}")
    return number


def positive(text: str) -> int:
    """Read a whole number above zero."""
    return integer(text, 1, MOST)


def natural(text: str) -> int:
    """Read a whole number that may be zero."""
    return integer(text, 0, MOST)


def thread_count(text: str) -> int:
    """Read a number of threads."""
    return integer(text, 1, MOST_THREADS)


def sizes(text: str) -> tuple[int, ...]:
    """Read a comma list of positive whole numbers."""
    return tuple(positive(part.strip()) for part in text.split(","))


def words(text: str) -> tuple[str, ...]:
    """Read a comma list of words, each once."""
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not found:
        raise argparse.ArgumentTypeError("nothing is named")
    return found


def nonempty(text: str) -> str:
    """Read a string that says something."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the value is empty")
    return text


def share(text: str) -> float:
    """Read a share above zero and below one: `1%` or `0.01`."""
    try:
        number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        hint = f"; a dtype is --model:dtype {DTYPES[folded(text)]}" if folded(text) in DTYPES else ""
        raise argparse.ArgumentTypeError(f"{text!r} is no share such as 1%{hint}") from None
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0% and 100%")
    return number


def duration(text: str) -> float:
    """Read a number of seconds above zero: `90`, `90s`, `1.5m`, `1h` or `20ms`."""
    unit = next((unit for unit in UNITS if text.endswith(unit)), "")
    try:
        number = float(text.removesuffix(unit)) * UNITS.get(unit, 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds; write 90, 90s, 10m or 1h") from None
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not above zero")
    return number


def delay(text: str) -> float:
    """Read a number of seconds that may be zero, as `duration` does: `0` or `5ms`."""
    return 0.0 if text == "0" else duration(text)


def path(text: str) -> Path:
    """Read a path."""
    return Path(nonempty(text))


def paths(text: str) -> tuple[Path, ...]:
    """Read a comma list of paths."""
    found = tuple(Path(part.strip()) for part in text.split(",") if part.strip())
    if not found:
        raise argparse.ArgumentTypeError("no path is named")
    return found


def decimal(text: str) -> float:
    """Read any finite number."""
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if number != number or number in (float("inf"), float("-inf")):
        raise argparse.ArgumentTypeError(f"{text!r} is no finite number")
    return number


def adder(group: "argparse._ArgumentGroup") -> Callable[..., object]:
    """Return a function that adds an argument whose default the dataclass has."""

    def add(name: str, **words: object) -> object:
        return group.add_argument(name, default=argparse.SUPPRESS, **words)  # type: ignore[arg-type]

    return add


def flag(group: "argparse._ArgumentGroup", name: str, help_text: str) -> None:
    """Add a flag that may be given once."""
    group.add_argument(name, nargs=0, default=argparse.SUPPRESS, help=help_text)
