"""How many tokens a batch has, and where the number is from: what was measured is kept for later runs."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmbench import cached
from fmbench.digest import digest_of_json
from fmbench.errors import UsageError, first_line

if TYPE_CHECKING:
    import numpy as np

FILE = "budget.json"
DEFAULT, GIVEN, MEASURED, CACHED = "default", "given", "measured", "cached"  # where a budget is from


@dataclass(frozen=True)
class Budget:
    """The tokens of a batch, padding included, where they are from, and the tokens a second of what was tried."""

    tokens: int
    origin: str
    tried: Mapping[int, float] = field(default_factory=dict)


def texts_like(lengths: "np.ndarray") -> list[int]:
    """Return what texts of these lengths in tokens have in common with others: their number and median, by size."""
    import numpy as np

    return [len(lengths).bit_length(), int(np.median(lengths)).bit_length()]


def measured_once(key: Mapping[str, Any], measure: Callable[[], Mapping[int, float]]) -> Budget:
    """Return the fastest budget: of the user's cache, where this was measured before, else of `measure`, and kept.

    `key` says everything that decides the rates. Raises UsageError for a damaged file.
    """
    made = []

    def make(folder: Path) -> None:
        made.append(measure())
        (folder / FILE).write_text(json.dumps(made[0]), encoding="utf-8")

    with cached.folder(f"budget-{digest_of_json(key)[:32]}", make) as folder:
        rates = made[0] if made else read(folder / FILE)
    return Budget(max(rates, key=lambda tokens: rates[tokens]), MEASURED if made else CACHED, rates)


def read(path: Path) -> dict[int, float]:
    """Return the tokens a second by budget. Raises UsageError for a damaged file."""
    try:
        rates = {int(tokens): float(rate) for tokens, rate in json.loads(path.read_text(encoding="utf-8")).items()}
        if not rates or min(*rates, *rates.values()) <= 0:
            raise ValueError("no rates")
        return rates
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: not readable ({first_line(error)}); delete its folder to measure anew") from None
