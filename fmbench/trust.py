"""Arguments that a file holds, and nobody typed: a log, a sweep. A file is data, so that nothing in it may run code."""

import re
import shlex
from collections.abc import Collection

from fmbench.command_line import VALUES_OF_ANY_KIND, Argument, CommandLine, is_literal
from fmbench.errors import UsageError
from fmbench.secrets import MASK

NAMED = re.compile(r"(torch|transformers|torchao)(\.[A-Za-z]\w*)*")  # names something and calls nothing
SETTING = re.compile(r"(\w+\.)*(set|use)_\w+")  # a function of torch that changes a setting
INSTALLS = "with"  # of `fidelity matrix`: what pip installs
RELEASE = re.compile(
    r"[A-Za-z][\w-]*(\[[\w,-]+\])?([=<>~!]=\d+(\.\d+)*((a|b|rc|\.post|\.dev)\d+)?(\+\w+)?)?"
)  # no path, no URL
RUN_CODE = ("trust_remote_code", "use_safetensors", "weights_only")


def is_data(argument: Argument, flags: Collection[str] = (), expressions: bool = True) -> bool:
    """Whether an argument only says what it says: nothing that it names can run code.

    `flags` are as for `CommandLine`. Without `expressions`, not even literals and names are, behind an `@`.
    """
    value = argument.value or ""
    if MASK in value:
        return False
    if argument.name == INSTALLS:
        return all(map(RELEASE.fullmatch, value.split()))
    if argument.option in VALUES_OF_ANY_KIND:
        try:
            below = CommandLine.parse(shlex.split(value), flags)
        except (UsageError, ValueError):  # damaged
            return False
        return all(is_data(one, flags, expressions) for one in below.arguments)
    if not argument.is_suboption:
        return True
    if set(RUN_CODE) & set(argument.path):
        return False
    if argument.path[0] == "torch.call" and not SETTING.fullmatch(argument.path[1]):
        return False
    return not argument.option.endswith("@") or (expressions and is_plain(value.strip()))


def is_plain(expression: str) -> bool:
    """Whether an expression is a Python literal, or the name of something."""
    return is_literal(expression) or NAMED.fullmatch(expression) is not None
