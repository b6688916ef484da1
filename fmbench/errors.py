"""What can go wrong, and the exit code that a script may trust.

0 all measured, 1 a shape or the program failed, 2 the command line is wrong,
3 the platform is not usable here or answers wrongly, 130 interrupted, 141 the reader of the output went away,
143 terminated.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType


class FmbenchError(Exception):
    """A failure that one line explains. Its text names the fix."""

    exit_code = 1


class UsageError(FmbenchError):
    """The command line, or a file that it names, is wrong (exit 2)."""

    exit_code = 2


class PlatformError(FmbenchError):
    """The platform cannot be used on this machine, or its calls raise or return what is no answer (exit 3)."""

    exit_code = 3


def nearest(
    word: str, names: Iterable[str], count: int = 3, synonyms: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> str:
    """Return `"; did you mean A, B?"` for the names closest to `word`, or an empty string.

    `synonyms` holds what other tools call the names, in small letters with `_` between words: letters alone would
    never lead from gpu to cuda. Blanks, dashes and capitals make no difference.
    """
    by_folded = {folded(name): name for name in names}
    meant = synonyms.get(folded(word))
    close = difflib.get_close_matches(folded(word), by_folded, n=count, cutoff=0.6)
    found = list(meant) if meant else [by_folded[name] for name in close]
    return f"; did you mean {', '.join(found)}?" if found else ""


def folded(word: str) -> str:
    """Return a word as it is compared."""
    return word.casefold().replace("-", "_").replace(" ", "_")


def first_line(error: BaseException, limit: int = 300) -> str:
    """Return the first non-empty line of an error's text, or its type where it has none.

    Of what the system refused it is the reason alone: whoever says it names the file.
    """
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0][:limit] if lines else type(error).__name__


def one_line(error: BaseException, limit: int = 400) -> str:
    """Return an error's whole text on one line, cut where it is very long."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 4] + " ..."


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: an error says so, or what it was raised from."""
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "allocate memory" in str(error):
        return True
    return error.__cause__ is not None and is_out_of_memory(error.__cause__)
