"""What a log already holds: for a run that goes on where another stopped."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from fmbench import lines, stats
from fmbench.consistency import Repetitions, result_doubt
from fmbench.errors import UsageError, first_line
from fmbench.facts import differences
from fmbench.log import claim

# These say what is measured how often, not what is measured.
FREE = ("input_sizes", "batch_sizes", "reps", "precision", "max_seconds", "resume", "isolate", "profile", "disclose")
SHOWN = 4


@dataclass
class Past:
    """One earlier run: its arguments, its fingerprint, and the shapes that have a result."""

    arguments: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    shapes: set[tuple[int, int]] = field(default_factory=set)


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
        if lines.UTF16.match(raw):
            raise UsageError(
                f"--resume {path}: is UTF-16, as PowerShell's > writes it, and a run writes UTF-8; use a log of its own"
            )
        if raw and not raw.startswith(b"FMWORK LOG ") and b"\nFMWORK LOG " not in raw:
            raise UsageError(f"--resume {path}: no log of fmbench (a compressed one has to be unpacked first)")
        self._size = len(raw)
        self.torn = bool(raw) and not raw.endswith(b"\n")
        self._runs = [run for run in read_runs(raw) if run.shapes]

    def claim(self, stream: IO[str]) -> None:
        """Make the log this run's own while it writes. Raises UsageError where another run has it, or had meanwhile."""
        claim(stream, f"--resume {self.path}")
        if os.fstat(stream.fileno()).st_size != self._size:
            raise UsageError(f"--resume {self.path}: another run has written to it meanwhile; try again")

    @property
    def shapes(self) -> set[tuple[int, int]]:
        """Every (input size, batch size) that has a result."""
        return {shape for run in self._runs for shape in run.shapes}

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


class Block(Repetitions):
    """The lines between two CASE lines of an earlier run, as far as they tell whether its result counts."""

    def __init__(self, place: tuple[Any, Any] | None = None) -> None:
        super().__init__()
        self.place = place
        self.durations: list[int] = []
        self.result: lines.Res | None = None
        self.said: dict[str, Any] | None = None

    def take(self, repetition: tuple[int, int, int, int, int]) -> None:
        """Take over one repetition."""
        index, _, _, end, duration = repetition
        self.compare(*repetition)
        self.expected, self.latest = index + 1, end
        self.durations.append(duration)

    @property
    def shape(self) -> tuple[int, int] | None:
        """The sizes that the block is a result of; None where it has none, or one that its repetitions contradict."""
        if self.result is None:
            return None
        sizes = self.result.input_size, self.result.batch_size
        median = stats.median(stats.settled(self.durations)) if self.durations else None
        doubt = result_doubt(self, len(self.durations), median, self.result, self.said)
        return None if doubt or self.place not in (None, sizes) else sizes


def read_runs(raw: bytes) -> list[Past]:
    """Return the runs of a log. Only whole results count, by the rule that `process` has too."""
    runs: list[Past] = []
    block = Block()

    def close(following: Block) -> None:
        nonlocal block
        if runs and block.shape is not None:
            runs[-1].shapes.add(block.shape)
        block = following

    for text in raw.splitlines(keepends=True):
        repetition = lines.parse_rep(text)
        if repetition is not None:
            block.take(repetition)
            continue
        line = lines.parse_whole(text.decode("utf-8", "replace").rstrip("\r\n"), text.endswith(b"\n"), True, ignore)
        if isinstance(line, lines.Log):
            close(Block())
            runs.append(Past())
        elif isinstance(line, lines.Case):
            close(Block((line.data.get("input_size"), line.data.get("batch_size"))))
        elif runs:
            take(line, runs[-1], block)
    close(Block())
    return runs


def take(line: lines.Line | None, run: Past, block: Block) -> None:
    """Take over a line of a run."""
    if isinstance(line, lines.Arg):
        run.arguments[line.key] = line.value
    elif isinstance(line, lines.Env):
        run.facts |= line.data
    elif isinstance(line, lines.Rep):
        block.take((line.index, line.count, line.start, line.end, line.duration))
    elif isinstance(line, lines.Res):
        block.result = line
    elif isinstance(line, lines.Stat):
        block.said = line.data


def ignore(_: str) -> None:
    """Take no notice of a line that is not whole: `process` complains."""
