"""`--resume LOG` alone: the command that the log goes on with is the one that it holds."""

import ast
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from fmbench.command_line import Argument, CommandLine, command_line
from fmbench.console import note
from fmbench.errors import UsageError
from fmbench.history import History, binding
from fmbench.parsing import Parser
from fmbench.secrets import MASK, sealed

DRIVER = "embed"
NAMED = re.compile(
    r"(torch|transformers|torchao)(\.[A-Za-z]\w*)*"
)  # an expression that names something and calls nothing
SETTING = re.compile(r"(\w+\.)*(set|use)_\w+")  # a function of torch that changes a setting
RUN_CODE = ("trust_remote_code", "use_safetensors", "weights_only")


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
    missing = sorted({one.option for one in then.arguments if one.name not in typed.names and not is_data(one, parser)})
    if missing:
        raise UsageError(
            f"--resume {history.path}: {', '.join(missing)} cannot be taken from the log, where secrets are masked and "
            "nothing is run as code; give it again"
        )
    whole = then.with_(typed)
    note(f"--resume {history.path} goes on with: {shlex.join([parser.prog, *whole.masked().words])}")
    return whole


def is_data(argument: Argument, parser: Parser) -> bool:
    """Whether an argument of a log says what was typed, and only says it: nothing that it names can run code."""
    value = argument.value or ""
    if MASK in value:
        return False
    if argument.name == "vs":
        try:
            below = CommandLine.parse(shlex.split(value), parser.flags)
        except (UsageError, ValueError):  # a damaged log
            return False
        return all(is_data(one, parser) for one in below.arguments)
    if not argument.is_suboption:
        return True
    if set(RUN_CODE) & set(argument.path):
        return False
    if argument.path[0] == "torch.call" and not SETTING.fullmatch(argument.path[1]):
        return False
    return not argument.option.endswith("@") or is_plain(value.strip())


def is_plain(expression: str) -> bool:
    """Whether an expression is a Python literal, or the name of something."""
    try:
        ast.literal_eval(expression)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return NAMED.fullmatch(expression) is not None
    return True
