"""What a log already holds: for a run that goes on where another stopped."""

import contextlib
import fcntl
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from fmbench import lines
from fmbench.errors import UsageError, first_line
from fmbench.facts import differences

# These say what is measured how often, not what is measured.
FREE = (
    "input_sizes", "batch_sizes", "reps", "precision", "max_seconds", "repeat", "resume", "isolate", "profile",
    "disclose",
)  # fmt: skip
SHOWN = 4


@dataclass
class Past:
    """One earlier run: its arguments, its fingerprint, and the shapes that have a result."""

    arguments: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    shapes: set[tuple[int, int]] = field(default_factory=set)
    processes: dict[tuple[int, int], int] = field(default_factory=dict)  # that a PROC line says measured a shape


class History:
    """The runs of one log that have a result."""

    def __init__(self, path: Path) -> None:
        """Read a log; one that does not exist yet holds nothing. Raises UsageError for one that cannot be read."""
        self.path = path
        if path.exists() and not path.is_file():
            raise UsageError(f"--resume {path}: no regular file; name a log, or a file that does not exist yet")
        try:
            raw = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise UsageError(f"--resume {path}: {first_line(error)}") from None
        if raw and not raw.startswith(b"FMWORK LOG ") and b"\nFMWORK LOG " not in raw:
            raise UsageError(f"--resume {path}: no log of fmbench (a compressed one has to be unpacked first)")
        text = raw.decode("utf-8", "replace")
        self._size = len(raw)
        self.torn = bool(text) and not text.endswith("\n")
        self._runs = [run for run in read_runs(text.splitlines()) if run.shapes]

    def claim(self, stream: IO[str]) -> None:
        """Make the log this run's own while it writes. Raises UsageError where another run has it, or had meanwhile."""
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"--resume {self.path}: another run writes to it; wait, or use a log of its own") from None
        if os.fstat(stream.fileno()).st_size != self._size:
            raise UsageError(f"--resume {self.path}: another run has written to it meanwhile; try again")

    @property
    def shapes(self) -> set[tuple[int, int]]:
        """Every (input size, batch size) that has a result."""
        return {shape for run in self._runs for shape in run.shapes}

    def has(self, shape: tuple[int, int], repeat: int) -> bool:
        """Whether a shape has a result, or where several processes measure it, the result of so many."""
        return shape in self.shapes if repeat == 1 else any(run.processes.get(shape, 0) >= repeat for run in self._runs)

    def check_arguments(self, given: Iterable[tuple[str, str]]) -> None:
        """Raise UsageError where an earlier run was asked for something else."""
        now = {key: value for key, value in given if key not in FREE}
        for run in self._runs:
            then = {key: value for key, value in run.arguments.items() if key not in FREE}
            self._refuse({key: (then.get(key), now.get(key)) for key in then.keys() | now.keys()})

    def check_facts(self, facts: Mapping[str, Any]) -> None:
        """Raise UsageError where an earlier run has another fingerprint; facts that are not known yet pass."""
        for run in self._runs:
            known = {key: value for key, value in run.facts.items() if key in facts}
            self._refuse(differences(known, {key: facts[key] for key in known}))

    def _refuse(self, pairs: Mapping[str, tuple[Any, Any]]) -> None:
        """Raise UsageError that names what differs."""
        differing = sorted(key for key, (then, now) in pairs.items() if then != now)
        if differing:
            named = "; ".join(f"{key}: {pairs[key][0]} then, {pairs[key][1]} now" for key in differing[:SHOWN])
            more = f"; and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
            raise UsageError(f"--resume {self.path}: measured under another fingerprint ({named}{more}); use a new log")


def read_runs(texts: Iterable[str]) -> list[Past]:
    """Return the runs of a log's lines. What does not parse is passed over: only whole results count."""
    runs: list[Past] = []
    for text in texts:
        try:
            line = lines.parse_line(text)
        except lines.LineError:
            continue
        if isinstance(line, lines.Log):
            runs.append(Past())
        elif not runs:
            continue
        elif isinstance(line, lines.Arg):
            runs[-1].arguments[line.key] = line.value
        elif isinstance(line, lines.Env):
            runs[-1].facts |= line.data
        elif isinstance(line, lines.Res):
            runs[-1].shapes.add((line.input_size, line.batch_size))
        elif isinstance(line, lines.Proc):
            with contextlib.suppress(KeyError, TypeError):
                runs[-1].processes[line.data["input_size"], line.data["batch_size"]] = int(line.data["n"])
    return runs
