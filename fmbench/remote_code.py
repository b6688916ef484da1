"""Code that comes with a model (`auto_map` in its files): it runs where the command line says so, and nowhere else.

Left to themselves the libraries ask, and take the next line of standard input for the answer. So whoever loads anything
passes `trust_remote_code`, always.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fmbench.command_line import Expression
from fmbench.console import warn
from fmbench.errors import UsageError
from fmbench.json_file import read_optional
from fmbench.options import Arguments

KEY = "trust_remote_code"
MAP = "auto_map"
OPTION = f"--model:{KEY}@"


def is_trusted(arguments: Arguments) -> bool:
    """Return whether the command line lets the model's own code run.

    Raises UsageError for all but True and False: the libraries take any text for True, `False` too.
    """
    said = arguments.literal("model", KEY, False)
    if not isinstance(said, bool):
        text = said.text if isinstance(said, Expression) else said
        raise UsageError(f"--model:{KEY} {text}: neither True nor False; write {OPTION} True, or {OPTION} False")
    return said


def check_map(where: str, config: Mapping[str, Any], arguments: Arguments, known: bool) -> None:
    """Refuse a configuration whose model is code of its own; warn where the library has a model of that type, too.

    `known` says whether it has. Raises UsageError.
    """
    if not config.get(MAP) or is_trusted(arguments):
        return
    if not known:
        raise refused(where)
    if KEY not in arguments.options["model"]:
        warn(
            f"{where}: config.json names code of the model's own ({MAP}), which is not run: the library's "
            f"{config.get('model_type')} is taken; {OPTION} True runs it, {OPTION} False says that all is well"
        )


def check_tokenizer(folder: Path, trusted: bool) -> None:
    """Refuse a folder whose tokenizer is code of its own: the library would take that of the model's type instead.

    Raises UsageError.
    """
    import transformers

    config = read_optional(folder / "tokenizer_config.json")
    if config.values.get(MAP) and not trusted and not hasattr(transformers, config.text("tokenizer_class") or ""):
        raise refused(folder)


def refused(where: object) -> UsageError:
    """Return the error of a model that brings code."""
    return UsageError(f"{where}: brings code of its own ({MAP}), which is not run; {OPTION} True trusts it")


def asks_for_trust(error: Exception) -> bool:
    """Return whether a library failed because it may not run a model's code."""
    return KEY in str(error)
