"""One run of a driver, as its log tells it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fmbench.lines import JsonLine

from .shapes import Shapes

MISREAD = "damaged: ENV"  # how a doubt begins that leaves it open what was measured
LOAD = "load"  # the phase that SETUP repeats


@dataclass(slots=True)
class Run:
    """One run of a driver: its arguments and facts, and every shape that it came to, in order.

    Facts and ceilings are kept by variant; those of None hold for all of them.
    """

    arguments: dict[str, str] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    environments: dict[str | None, dict[str, Any]] = field(default_factory=dict)
    ceilings: dict[str | None, dict[str, Any]] = field(default_factory=dict)
    overrides: dict[str | None, str] = field(default_factory=dict)  # of each variant, over the first one's command
    phases: list[tuple[str | None, dict[str, Any]]] = field(default_factory=list)
    setup: float | None = None
    shapes: Shapes = field(default_factory=Shapes)
    lines: dict[str, list[JsonLine]] = field(default_factory=dict)  # by workload
    line: int = 0  # of the log, that is being read
    format: int | None = None
    speaks: bool = False  # a FMWORK line was read, not only a banner that any program may print
    measures: bool = False  # it is past its arguments
    announces: bool = False  # it has a CASE line
    doubt: str | None = None  # why nothing of it is to be believed
    doubts: dict[str, str] = field(default_factory=dict)  # the same of a data set, or of what else a workload names
    misread: dict[str | None, str] = field(default_factory=dict)  # by variant: why its facts are not all known
    cell: dict[str, Any] | None = None  # of a sweep
    starts: dict[str, int] = field(default_factory=dict)  # the first line of each

    def raise_doubt(self, reason: str) -> None:
        """Take a reason not to believe the run; the first one stays."""
        self.doubt = self.doubt or reason

    def blame(self, name: object, reason: str) -> None:
        """Take a reason not to believe one thing that was measured; all of the run, where nobody knows which it is."""
        if isinstance(name, str):
            self.doubts.setdefault(name, reason)
        else:
            self.raise_doubt(reason)

    def lines_of(self, workload: str) -> list[JsonLine]:
        """Return the lines of a workload so far, to be read or appended to."""
        return self.lines.setdefault(workload, [])

    @property
    def asked(self) -> set[tuple[int, int]]:
        """The (input size, batch size) that its command line asks for; empty where that is not known."""
        return set() if self.format is None else shapes_asked(self.arguments)

    def environment_of(self, variant: str | None) -> dict[str, Any]:
        """Return the facts that hold for a variant's shapes."""
        return {**self.environments.get(None, {}), **self.environments.get(variant, {})}

    def misread_of(self, variant: str | None) -> str | None:
        """Return why the facts that hold for a variant's shapes are not all known, or None."""
        return self.misread.get(None) or self.misread.get(variant)

    def ceiling_of(self, variant: str | None) -> dict[str, Any] | None:
        """Return the ceilings that hold for a variant's shapes."""
        return self.ceilings.get(variant, self.ceilings.get(None))

    def phases_of(self, variant: str | None) -> list[dict[str, Any]]:
        """Return what was done once for the run, and for this variant, in order."""
        return [phase for owner, phase in self.phases if owner in (None, variant)]

    def setup_of(self, variant: str | None) -> float | None:
        """Return the seconds of loading a variant: its own phase, since SETUP speaks of the first variant."""
        loads = [phase for owner, phase in self.phases if owner == variant and phase["name"] == LOAD]
        return self.setup if variant is None or not loads else float(loads[-1]["seconds"])

    def finished(self) -> "Run":
        """Drop the shapes of which nothing was read, but for a last one: the run was killed in its warm-up."""
        self.shapes.close(self.speaks)
        return self


def shapes_asked(arguments: Mapping[str, str]) -> set[tuple[int, int]]:
    """Return the (input size, batch size) that a command line asks for; empty where that is not known."""
    try:
        inputs, batches = ([int(part) for part in arguments[key].split(",")] for key in ("input_sizes", "batch_sizes"))
    except (KeyError, ValueError):
        return set()
    return {(size, batch) for size in inputs for batch in batches}
