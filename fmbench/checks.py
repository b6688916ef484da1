"""What a command line amounts to, said by its own command before it runs, without torch.

A command that may be a cell of a sweep names a function in the entry points fmbench.checks: it takes the words behind
the command, and returns a `Checked`, or raises UsageError or PlatformError as the command itself would.
"""

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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

    `model` returns the facts of the model that can be told without running it; that reads its files.
    """

    platform: Backend
    arguments: Arguments
    model: Callable[[], Mapping[str, Any]] = dict


def check_encoder(arguments: Arguments, recipe: Recipe) -> Checked:
    """Check a command line that encodes texts; a model that is yet to be downloaded is left to the command."""
    if named_folder(arguments).is_dir():
        return Checked(EncoderPlan.of(arguments, recipe, late=True, sparse=True).platform, arguments)
    platform = backend.find(arguments.platform)
    platform.check(arguments)
    return Checked(platform, arguments)


def check_of(run: str) -> plugins.Plugin:
    """Return what checks the command lines of a command. Raises UsageError for one that has none."""
    found, _ = plugins.discover(GROUP)
    known = {name.replace(".", " "): plugin for name, plugin in found.items()}
    if run not in known:
        raise UsageError(f"run: no command {run!r} can be a cell{nearest(run, known)} (known: {', '.join(known)})")
    return known[run]


def check_command(run: str, words: Sequence[str]) -> Checked:
    """Ask a command what a command line amounts to; what it would say meanwhile, it will say when it runs.

    Raises UsageError and PlatformError.
    """
    check = check_of(run)
    with contextlib.redirect_stderr(io.StringIO()):
        checked: Checked = check.load()(words)
    return checked
