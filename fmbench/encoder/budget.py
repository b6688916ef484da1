"""How many tokens a batch has, and where the number is from: what was measured is kept for later runs."""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmbench import cached, host
from fmbench.console import warn
from fmbench.digest import digest_of_json
from fmbench.errors import UsageError, first_line
from fmbench.stats import median

if TYPE_CHECKING:
    import numpy as np

FILE = "budget.json"
NEAR = 0.05  # a share of the rate, for which no other budget than the platform's is worth it
Rates = Mapping[int, float]  # tokens a second by budget
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


class _UndecidedError(Exception):
    """The passes of a measurement do not agree: it is not kept."""


def measured_once(key: Mapping[str, Any], default: int, measure: Callable[[], Sequence[Rates]]) -> Budget:
    """Return the best budget: of the user's cache, where this was measured before, else of the passes of `measure`.

    They are kept where both halves of them choose the same; else the user is warned. `key` says everything that decides
    the rates, `default` is the platform's budget.
    """
    made: list[Rates] = []
    kept: list[Rates] = []

    def make(folder: Path) -> None:
        passes = measure()
        made[:] = [medians(passes)]
        halves = [chosen(medians(half), default) for half in (passes[::2], passes[1::2])]
        if halves[0] != halves[1]:
            warn(undecided(halves, chosen(made[0], default)))
            raise _UndecidedError
        (folder / FILE).write_text(json.dumps(made[0]), encoding="utf-8")

    name = f"budget-{digest_of_json({**key, 'default': default})[:32]}"
    with (
        contextlib.suppress(_UndecidedError),
        cached.sound_folder(name, make, lambda folder: kept.append(read(folder / FILE))),
    ):
        pass
    rates = (made or kept)[-1]
    return Budget(chosen(rates, default), MEASURED if made else CACHED, rates)


def medians(passes: Sequence[Rates]) -> Rates:
    """Return the median rate of every budget over some passes."""
    return {tokens: median([one[tokens] for one in passes]) for tokens in passes[0]}


def chosen(rates: Rates, default: int) -> int:
    """Return the fastest budget; the platform's own where that is as fast but for a little."""
    fastest = max(rates, key=lambda tokens: rates[tokens])
    return default if rates.get(default, 0.0) >= (1 - NEAR) * rates[fastest] else fastest


def undecided(halves: Sequence[int], taken: int) -> str:
    """Return that a measurement is not kept, why, and what to do."""
    load, cpus = host.load_average(), host.usable_cpus()
    busy = "" if load is None else f" at a load of {load:.1f} on {cpus} CPUs"
    return (
        f"--tokens_per_batch auto: {halves[0]} and {halves[1]} were the best in turn{busy}; this run takes {taken}, "
        "and the next one measures again: stop the other work on this machine first, or give the number"
    )


def read(path: Path) -> Rates:
    """Return the tokens a second by budget. Raises UsageError for a damaged file."""
    try:
        rates = {int(tokens): float(rate) for tokens, rate in json.loads(path.read_text(encoding="utf-8")).items()}
        if not rates or min(*rates, *rates.values()) <= 0:
            raise ValueError("no rates")
        return rates
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: not readable ({first_line(error)})") from None
