"""What a platform's hooks return. An answer of another kind is a fault of the platform, told where it was given."""

import ast
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from fmbench.errors import PlatformError

TYPE = re.compile(r"(b?float|u?int|tf|nf|mxfp|mxint)\d+(_\w+)?")  # as torch calls them, and engines their own
SHOWN = 80  # characters


class AnswerError(PlatformError):
    """A hook returned what is no answer, or did what it must not. `rule` says what it returns, or does."""

    def __init__(self, title: str, hook: str, rule: str, found: object) -> None:
        self.rule = rule
        super().__init__(f"{title}: {hook}() {self.rule}; not {shown(found)}")


def shown(found: Any) -> str:
    """Return how a message shows an answer that is none: of names, one that is there twice."""
    names = [getattr(one, "name", None) for one in found] if isinstance(found, list) else []
    twice = next((name for name in names if isinstance(name, str) and names.count(name) > 1), None)
    return repr(found)[:SHOWN] if twice is None else f"{twice!r} twice"


def is_line(value: Any) -> bool:
    """Whether a value is one line of text."""
    return isinstance(value, str) and len(value.splitlines()) == 1


def is_json(value: Any) -> bool:
    """Whether a value is a dictionary, by text, that JSON can say; a tuple is a list there."""
    try:
        return (
            isinstance(value, dict)
            and all(isinstance(name, str) for name in value)
            and bool(json.dumps(value, allow_nan=False))
        )
    except (TypeError, ValueError):
        return False


def is_texts(value: Any) -> bool:
    """Whether a value is a list of texts."""
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def is_candidates(value: Any) -> bool:
    """Whether a value is a list of candidates, none of which is there twice, under another name either."""
    from fmbench.backend import Candidate  # which imports this

    if not (isinstance(value, list) and all(isinstance(one, Candidate) for one in value)):
        return False
    if not all(is_line(one.name) and isinstance(one.overrides, str) for one in value):
        return False
    return all(len(value) == len(set(key)) for key in ([one.name for one in value], [one.overrides for one in value]))


def is_program(value: Any) -> bool:
    """Whether a value is Python lines that define `run`, or None."""
    if not isinstance(value, str):
        return value is None
    try:
        names = (name for line in ast.parse(value).body for name in defined(line))
    except (SyntaxError, ValueError):
        return False
    return "run" in names


def defined(line: ast.stmt) -> list[str]:
    """Return the names that a statement gives to something."""
    if isinstance(line, ast.FunctionDef):
        return [line.name]
    return [one.id for one in ast.walk(line) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]


def is_type(value: Any) -> bool:
    """Whether a value names a type of numbers, or several with commas between them."""
    return isinstance(value, str) and all(TYPE.fullmatch(word) for word in value.split(","))


TEXTS = ("a list of texts", is_texts)
JSON = ("a dictionary of JSON values", is_json)
# By hook. What is not here is looked at where it is read (counters, phases), or says nothing.
ANSWERS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "candidates": ("a list of Candidate, each with a name in one line and overrides of its own", is_candidates),
    "choices": TEXTS,
    "compiles": ("true, false or None", lambda value: value is None or isinstance(value, bool)),
    "computes_fast": TEXTS,
    "computes_in": ("a name such as bfloat16", is_type),
    "disturbances": TEXTS,
    "facts": JSON,
    "fixed_shapes": ("true or false", lambda value: isinstance(value, bool)),
    "identity": JSON,
    "model_facts": JSON,
    "place": ("the batch, a dictionary of tensors", lambda value: isinstance(value, Mapping)),
    "prepare": ("the call that is timed", callable),
    "program": ("Python lines as one text that define run(batch), or None", is_program),
    "streams": ("a list of calls", lambda value: isinstance(value, list) and all(map(callable, value))),
}
