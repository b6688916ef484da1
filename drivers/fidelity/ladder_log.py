"""The log of a ladder: what the run is, and a FID line a variant whenever more is known of it."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from fmbench import __version__, lines
from fmbench.errors import UsageError, first_line
from fmbench.log import LogWriter
from fmbench.opening import given, run_facts

from .ladder_table import Standing, standings
from .records import finite
from .rungs import Rung
from .subject import Subject

LOG = "ladder.log"  # in --out
EARLIEST = 8  # turns, before a log says how variants stand


@contextlib.contextmanager
def log_file(options: Any) -> Iterator[TextIO]:
    """Yield where the log goes: --log, else into --out, else nowhere. Raises UsageError for what cannot be written."""
    path = options.log or (options.out / LOG if options.out else Path(os.devnull))
    try:
        stream = path.open("w", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--log {path}: cannot be written ({error.strerror or first_line(error)})") from None
    with stream:
        yield stream


def about(rungs: Sequence[Rung], subject: Subject) -> dict[str, dict[str, Any] | None]:
    """Return what decides the figures of each variant; None of one that cannot be set up."""
    shared = {**run_of(rungs[0]), **texts_of(subject)}
    return {rung.name: None if rung.facts is None else {**shared, **rung.facts} for rung in rungs}


def run_of(reference: Rung) -> dict[str, Any]:
    """Return what holds for all variants."""
    if reference.encoder is None:
        raise ValueError("the reference is not set up")
    arguments = reference.encoder.arguments
    return {**run_facts(arguments, reference.encoder.platform.distributions, "encode"), "seed": arguments.seed}


def texts_of(subject: Subject) -> dict[str, Any]:
    """Return which texts are encoded."""
    return {"passages": len(subject.passages), "queries": len(subject.queries), "texts": subject.digest}


class LadderLog:
    """Writes a ladder's log, line by line."""

    def __init__(self, stream: TextIO, rungs: Sequence[Rung], subject: Subject) -> None:
        """Open the log with arguments and facts, and say at once which variants cannot run."""
        self._log = LogWriter(stream)
        self._rungs, self._subject = rungs, subject
        self._facts: dict[str, Mapping[str, Any]] = {}  # what was last said of each variant's model
        self._failed: set[str] = set()  # of which all is said
        reference = rungs[0].encoder
        self._log.write(
            lines.Log({"format": lines.FORMAT_VERSION, "program": f"fmbench {__version__}", "driver": "fidelity"})
        )
        for name, value in given(reference.arguments) if reference else ():
            self._log.write(lines.Arg(name, value))
        self._log.write(lines.Env({"task": "ladder", **run_of(rungs[0]), **texts_of(subject)}))
        for rung in rungs:
            if rung.facts is not None:
                self._log.write(lines.Env({"variant": rung.name, **rung.facts}))
            else:
                self._say(Standing(rung.name, "unsupported", rung.failure), rung)

    def turn(self, done: int) -> None:
        """Say how every variant stands where the turns done have doubled."""
        if done >= EARLIEST and done & (done - 1) == 0:
            self.stand()

    def stand(self) -> list[Standing]:
        """Say how every variant stands, and return it."""
        found = {item.name: item for item in standings(self._rungs, self._subject)}
        for rung in self._rungs:
            if rung.name in found and rung.name not in self._failed:
                self._say(found[rung.name], rung)
        return list(found.values())

    def _say(self, standing: Standing, rung: Rung) -> None:
        """Write one variant's line, after what its platform has learnt of the model meanwhile."""
        if standing.failure is not None:
            self._failed.add(rung.name)
        facts = rung.encoder.platform.model_facts() if rung.encoder else {}
        if facts != self._facts.get(rung.name, {}):
            self._facts[rung.name] = facts
            self._log.write(lines.Env({"variant": rung.name, **facts}))
        self._log.write(
            lines.Fid(
                {"artifact": f"ladder/{rung.name}", "kind": "variant", "verdict": standing.verdict}
                | finite(asdict(standing))
                | {"of_passages": len(self._subject.passages), "start": rung.start, "nanoseconds": rung.durations}
            )
        )
