"""What a platform's class says of it: names, flags and counts. One that says it wrongly is broken, and is never run."""

from collections.abc import Callable
from functools import partial
from typing import Any

from fmbench.answers import is_line, is_texts
from fmbench.counters import is_count


def at_least(least: int, value: Any) -> bool:
    """Whether a value is a whole number, not below another."""
    return is_count(value) and value >= least


LINE = ("one line", is_line)
FLAG = ("true or false", lambda value: isinstance(value, bool))
TEXTS = ("a tuple of texts", lambda value: isinstance(value, tuple) and is_texts(list(value)))
POSITIVE, COUNT = ((f"a whole number, at least {least}", partial(at_least, least)) for least in (1, 0))
ATTRIBUTES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "name": LINE,
    "summary": LINE,
    "install": ("a text", lambda value: isinstance(value, str)),
    **dict.fromkeys(("distributions", "options", "synonyms"), TEXTS),
    "length_step": POSITIVE,
    "tokens_per_batch": POSITIVE,
    "short_text": COUNT,
    **dict.fromkeys(
        ("single_shape", "builds_model", "yields", "always_compiles", "runs_torch", "inference_mode", "in_subprocess",
         "numbered", "unpadded", "needs_option"), FLAG,
    ),
}  # fmt: skip


def fault_of(cls: Any) -> str | None:
    """Return what of a class that derives from Backend is not what it must be, or None."""
    if cls.__abstractmethods__:
        return f"does not define {', '.join(sorted(cls.__abstractmethods__))}"
    for name, (form, fits) in ATTRIBUTES.items():
        value = getattr(cls, name, None)
        if not (isinstance(value, property) or fits(value)):  # a property is known of an object alone
            return f"{name}: is {form}, not {value!r}"
    if set(cls.name) & set(" :=@\"'"):
        return f"name: {cls.name!r} cannot be written on a command line"
    return None
