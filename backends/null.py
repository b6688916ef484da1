"""No hardware at all: every call returns at once. Its figures are the harness's own overhead.

On request a call takes a given time with a given noise, which is how comparisons are proved.
"""

import random
import time
from typing import Any

from fmbench import distribution
from fmbench.backend import Backend, Forward, Model
from fmbench.errors import UsageError
from fmbench.options import Arguments


class NullBackend(Backend):
    """A platform that does nothing, chosen only by name."""

    name = "null"
    summary = "no hardware: measures the harness itself"
    synonyms = ("none", "dummy", "fake", "noop", "mock")
    distributions = (distribution.name(),)
    options = ("milliseconds", "noise")  # how long a call takes, and the standard deviation of its logarithm
    builds_model = False
    runs_torch = False

    @classmethod
    def unavailable(cls) -> str | None:
        """Return None: nothing is needed."""
        return None

    def _check(self, arguments: Arguments) -> None:
        for key in self.options:
            number(arguments, key)

    def prepare(self, model: Model, arguments: Arguments) -> Forward:
        """Return a call that ignores its batch."""
        milliseconds, noise = number(arguments, "milliseconds"), number(arguments, "noise")
        if not milliseconds:
            return lambda batch: None
        generator = random.Random()  # noqa: S311 (noise; unseeded, as that of a machine is)

        def spin(batch: Any) -> None:
            until = time.perf_counter() + milliseconds / 1e3 * generator.lognormvariate(0, noise)
            while time.perf_counter() < until:
                pass

        return spin

    def facts(self) -> dict[str, Any]:
        """Return that no figure is a device's."""
        return {"device": "null", "simulated": "the null backend computes nothing"}


def number(arguments: Arguments, key: str) -> float:
    """Return a --platform: option as a number, 0 where it was not given."""
    value = arguments.literal("platform", key, 0)
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = -1.0
    if not 0 <= found < float("inf"):
        raise UsageError(f"--platform:{key} {value}: give a number, 0 or above")
    return found
