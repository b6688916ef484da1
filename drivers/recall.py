"""`--resume LOG` alone: the command that the log goes on with is the one that it holds."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from fmbench.command_line import CommandLine, command_line
from fmbench.console import note
from fmbench.errors import UsageError
from fmbench.history import History, binding
from fmbench.parsing import Parser
from fmbench.secrets import sealed
from fmbench.trust import is_data

DRIVER = "embed"


def recall(words: Sequence[str], parser: Parser) -> CommandLine:
    """Return the command line of these words; with `--resume LOG`, what they lack comes from the log.

    Words that are a whole command line stand for themselves. Raises UsageError where a word contradicts the log,
    and for what a log cannot give: what was masked in it, and code, since a log is data.
    """
    typed = CommandLine.parse(words, parser.flags)
    logs = typed.values("resume")
    if not logs or parser.required <= typed.names or {"-h", "--help", "--version"} & {*words}:
        return typed
    history = History(Path(logs[-1]))
    if history.last is None:
        lacks = "holds no command to go on with" if history.path.exists() else "there is no such log to go on with"
        raise UsageError(f"--resume {history.path}: {lacks}; give the whole command line")
    if history.last.driver not in (DRIVER, None):
        raise UsageError(f"--resume {history.path}: its last run is of another program ({history.last.driver})")
    then = command_line(history.last.given, parser.flags).without(["resume"])
    past, now = (binding(one.given, parser.defaults) for one in (then, typed.masked(sealed)))
    history.refuse_untold({name: past[name] for name in now.keys() & past.keys()}, "the log does not tell them apart")
    history.refuse({name: (past.get(name), value) for name, value in now.items()})
    missing = sorted(
        {one.option for one in then.arguments if one.name not in typed.names and not is_data(one, parser.flags)}
    )
    if missing:
        raise UsageError(
            f"--resume {history.path}: {', '.join(missing)} cannot be taken from the log, where secrets are masked and "
            "nothing is run as code; give it again"
        )
    whole = then.with_(typed)
    note(f"--resume {history.path} goes on with: {shlex.join([parser.prog, *whole.masked().words])}")
    return whole
