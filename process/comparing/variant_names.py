"""What the variants of `--vs` are called in results, whatever letters their runs gave them."""

import re
from typing import Any

from fmbench import variants

from ..reading.row import Result

FIRST = "A"  # the variant that all others are compared with
LETTERS = re.compile("[A-Z]+").fullmatch  # what `--vs` calls variants; other workloads say how they measured


class VariantNames:
    """Names by configuration: what a variant overrides is what it is.

    The first variant overrides nothing, and is what a run without `--vs` measures.
    """

    def __init__(self) -> None:
        self._letters: dict[tuple[Any, ...], list[str]] = {}

    def name(self, result: Result) -> str | None:
        """Return the name of a variant; None for the first. Of two that override the same, the later has a number."""
        letter, overrides = result.row["variant"], result.row["overrides"]
        if letter is None or (overrides is None and letter == FIRST):
            return None
        if overrides is None:
            return f"{letter} of {result.source}, which does not say what it overrides" if LETTERS(letter) else letter
        name = variants.short_name(overrides)
        letters = self._letters.setdefault((result.source, name, *result.row["opts"]), [])
        if letter not in letters:
            letters.append(letter)
        number = letters.index(letter) + 1
        return name if number == 1 else f"{name} ({number})"

    def label(self, result: Result) -> str | None:
        """Return what a variant is called within its run: its letter where it overrides nothing that is known."""
        letter: str | None = result.row["variant"]
        return letter if letter is None or result.row["overrides"] is None else self.name(result)
