"""What a command line amounts to, said by its own command before it runs, without torch.

A command that may be a cell of a sweep names a function in the entry points fmbench.checks: it takes the words behind
the command, and returns a `Checked`, or raises UsageError or PlatformError as the command itself would.
"""

import contextlib
import io
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fmbench import backend, plugins
from fmbench.backend import Backend
from fmbench.encoder import EncoderPlan, Recipe
from fmbench.errors import UsageError, nearest
from fmbench.options import Arguments
from fmbench.source import named_folder

GROUP = "fmbench.checks"


@dataclass(frozen=True)
class Checked:
    """A command line that would run here: its platform and its arguments.

    `model` returns the facts of model and data that can be told without running it; that reads their files. `more` are
    words that a command needs beside those that were typed, so that its log is its standard output. `resume` is the
    option that names a log to go on with, where there is one. With the words `again` it runs where an earlier run of it
    left what it wrote; without, `check_free` raises UsageError where anything is there. `inputs` are the files and
    folders that it reads and no such fact tells of; they may be yet to come.
    """

    platform: Backend
    arguments: Arguments
    model: Callable[[], Mapping[str, Any]] = dict
    more: tuple[str, ...] = ()
    resume: str | None = None
    again: tuple[str, ...] = ()
    check_free: Callable[[], object] = bool
    inputs: tuple[Path, ...] = ()


def check_encoder(arguments: Arguments, recipe: Recipe, table: bool = False) -> Checked:
    """Check a command line that encodes texts; a model that is yet to be downloaded is left to the command.

    `table` is as `EncoderPlan.of` takes it.
    """
    if named_folder(arguments).is_dir():
        plan = EncoderPlan.of(arguments, recipe, table=table, late=True, sparse=table)
        return Checked(plan.platform, arguments, plan.model_facts)
    platform = backend.find(arguments.platform)
    platform.check(arguments)
    return Checked(platform, arguments)


@cache
def known() -> dict[str, plugins.Plugin]:
    """Return what checks command lines, by command."""
    found, _ = plugins.discover(GROUP)
    return {name.replace(".", " "): plugin for name, plugin in found.items()}


@cache
def check_of(run: str) -> Callable[[Sequence[str]], Checked]:
    """Return what checks the command lines of a command; behind its name may be words that belong to no argument.

    Raises UsageError for a command that has none.
    """
    words = split(run)
    for length in range(len(words), 0, -1):
        if plugin := known().get(" ".join(words[:length])):
            load, more = plugin.load, words[length:]
            if any(word.startswith("-") for word in more):
                raise UsageError(f"run: {run!r}: arguments stand in `with`, by name")
            return lambda argv: load()([*more, *argv])
    raise UsageError(f"run: no command {run!r} can be a cell{nearest(run, known())} (known: {', '.join(known())})")


def split(run: str) -> list[str]:
    """Return the words of a command, as a shell reads them. Raises UsageError."""
    try:
        return shlex.split(run)
    except ValueError:
        raise UsageError(f"run: {run}: a quote is not closed") from None


def check_command(run: str, words: Sequence[str]) -> Checked:
    """Ask a command what a command line amounts to; what it would say meanwhile, it will say when it runs.

    Raises UsageError and PlatformError.
    """
    with contextlib.redirect_stderr(io.StringIO()):
        return check_of(run)(words)
