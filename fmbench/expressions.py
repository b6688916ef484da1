"""Python expressions typed on the command line: checked without torch, evaluated with it.

Only the command line may evaluate: its user could run the same code anyway. Nothing read from a file comes here.
"""

import ast
import builtins
import importlib
from collections.abc import Mapping
from typing import Any

from fmbench.command_line import Expression, leaves
from fmbench.errors import UsageError, first_line, nearest

OPTIONAL = ("torchao", "os", "argparse")  # imported where an expression names it; fmwork's see the last two
NAMES = ("torch", "transformers", "args")


def check(options: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise UsageError for an expression that is no Python or that names something unknown."""
    for option, leaf in labelled(options):
        try:
            parsed = ast.parse(leaf.text.strip(), mode="eval")
        except (SyntaxError, ValueError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else first_line(error)
            raise UsageError(f"{option} {leaf.text!r}: not a Python expression ({reason})") from None
        for name in sorted(free_names(parsed)):
            if name not in (*NAMES, *OPTIONAL) and not hasattr(builtins, name):
                hint = nearest(name, [*NAMES, *dir(builtins)]) or "; a string needs quotes, or an option without @"
                raise UsageError(f"{option} {leaf.text!r}: unknown name {name!r}{hint}")


def labelled(options: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Expression]]:
    """Return `(option as typed, expression)` for every expression in the sets."""
    return [
        (f"--{name}:{':'.join(keys)}@", leaf)
        for name, tree in options.items()
        for keys, leaf in leaves(tree)
        if isinstance(leaf, Expression)
    ]


def free_names(parsed: ast.Expression) -> set[str]:
    """Return the names that an expression reads and does not bind itself (in a comprehension or a lambda)."""
    nodes = list(ast.walk(parsed))
    read = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    return read - bound


def evaluate(options: Mapping[str, Mapping[str, Any]], args: Any) -> dict[str, dict[str, Any]]:
    """Return the same nested dictionaries with every expression replaced by its value.

    `args` is what an expression sees under that name. Raises UsageError where an expression fails.
    """
    import torch
    import transformers

    namespace = {"torch": torch, "transformers": transformers, "args": args}
    return {name: {key: value_of(leaf, namespace, f"--{name}:{key}") for key, leaf in tree.items()}
            for name, tree in options.items()}  # fmt: skip


def value_of(leaf: Any, namespace: dict[str, Any], option: str) -> Any:
    """Return a leaf's value, or a dictionary of values where it is a branch."""
    if isinstance(leaf, Mapping):
        return {key: value_of(below, namespace, f"{option}:{key}") for key, below in leaf.items()}
    if not isinstance(leaf, Expression):
        return leaf
    text = leaf.text.strip()
    try:
        found = {name: importlib.import_module(name) for name in free_names(ast.parse(text, mode="eval"))
                 if name in OPTIONAL}  # fmt: skip
        return eval(text, {**namespace, **found})  # noqa: S307 (the user's own command line)
    except ModuleNotFoundError as error:
        raise UsageError(f"{option}@ {leaf.text!r}: {error.name} is not installed; pip install {error.name}") from None
    except (Exception, SystemExit) as error:
        hint = ""
        if isinstance(error, AttributeError) and error.name:
            hint = nearest(error.name, dir(error.obj))
        raise UsageError(f"{option}@ {leaf.text!r}: {type(error).__name__}: {first_line(error)}{hint}") from None


def literal(leaf: Any) -> Any:
    """Return what a leaf says without evaluating code: a string, a Python literal, or the Expression itself."""
    if not isinstance(leaf, Expression):
        return leaf
    try:
        return ast.literal_eval(leaf.text.strip())
    except (ValueError, SyntaxError):
        return leaf
