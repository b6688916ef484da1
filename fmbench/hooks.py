"""What a platform may define, and fmbench calls. What such a hook raises, or wrongly returns, names both."""

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any

from fmbench.answers import ANSWERS, AnswerError

# All but `unavailable`, which `Backend.why_not` asks: a platform that fails there is not usable, and the run may go on.
HOOKS = (
    "_check", "_compile", "_place_model", "_setup", "candidates", "check_weights", "choices", "compiles",
    "computes_fast", "computes_in", "devices", "disturbances", "energy", "facts", "fixed_shapes", "free_bytes",
    "graph", "identity", "memory", "model_facts", "observe", "place", "prepare", "program", "recover", "reset_memory",
    "streams", "synchronize", "warm_up",
)  # fmt: skip


def guard(cls: type) -> None:
    """Let every hook that a class defines itself run under the class's `blamed`."""
    for name in HOOKS:
        hook = vars(cls).get(name)
        if isinstance(hook, FunctionType):
            setattr(cls, name, guarded(name, hook))
        elif isinstance(hook, classmethod):
            setattr(cls, name, classmethod(guarded(name, hook.__func__)))


def guarded(name: str, hook: Callable[..., Any]) -> Callable[..., Any]:
    """Return a hook that says whose it is where it fails. Some are timed: `blamed` takes time only where one failed."""
    fits = ANSWERS[name][1] if name in ANSWERS else None

    @functools.wraps(hook)
    def call(owner: Any, *arguments: Any, **named: Any) -> Any:
        try:
            found = hook(owner, *arguments, **named)
        except BaseException:
            with owner.blamed(name):
                raise
        if fits is None or fits(found):
            return found
        raise AnswerError(owner.title(), name, f"returns {ANSWERS[name][0]}", found)

    return call
