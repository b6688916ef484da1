"""What a platform's hooks return. An answer of another kind is a fault of the platform, told where it was given."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from fmbench.errors import PlatformError

TYPE = re.compile(r"(b?float|u?int|tf|nf|mxfp|mxint)\d+(_\w+)?")  # as torch calls them, and engines their own
SHOWN = 80  # characters


class AnswerError(PlatformError):
    """A hook returned what is no answer. `rule` says what it returns."""

    def __init__(self, title: str, hook: str, found: object) -> None:
        self.rule = f"returns {ANSWERS[hook][0]}"
        super().__init__(f"{title}: {hook}() {self.rule}; not {repr(found)[:SHOWN]}")


def is_texts(value: Any) -> bool:
    """Whether a value is a list of texts."""
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def is_candidates(value: Any) -> bool:
    """Whether a value is a list of candidates."""
    from fmbench.backend import Candidate  # which imports this

    names = [one.name for one in value if isinstance(one, Candidate)] if isinstance(value, list) else None
    return names is not None and len(value) == len(names) == len(set(names))


def is_program(value: Any) -> bool:
    """Whether a value is Python lines, or None."""
    if not isinstance(value, str):
        return value is None
    try:
        compile(value, "program()", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def is_type(value: Any) -> bool:
    """Whether a value names a type of numbers, or several with commas between them."""
    return isinstance(value, str) and all(TYPE.fullmatch(word) for word in value.split(","))


TEXTS = ("a list of texts", is_texts)
# By hook. What is not here is looked at where it is read (facts, counters, phases), or says nothing.
ANSWERS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "candidates": ("a list of Candidate, each with a name of its own", is_candidates),
    "choices": TEXTS,
    "computes_fast": TEXTS,
    "computes_in": ("a name such as bfloat16", is_type),
    "disturbances": TEXTS,
    "fixed_shapes": ("true or false", lambda value: isinstance(value, bool)),
    "place": ("the batch, a dictionary of tensors", lambda value: isinstance(value, Mapping)),
    "prepare": ("the call that is timed", callable),
    "program": ("Python lines as one text, or None", is_program),
    "streams": ("a list of calls", lambda value: isinstance(value, list) and all(map(callable, value))),
}
