"""What a log already holds: for a run that goes on where another stopped."""

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from fmbench import lines, stats
from fmbench.consistency import Repetitions, result_doubt
from fmbench.console import warn
from fmbench.errors import UsageError, first_line
from fmbench.facts import DIGEST, MODEL, differences, said_of, unsaid
from fmbench.secrets import UNTOLD, key_file, masked_values

# These say what is measured how often, not what is measured.
FREE = (
    "input_sizes", "batch_sizes", "reps", "precision", "max_seconds", "repeat", "resume", "isolate", "profile",
    "disclose",
)  # fmt: skip
SHOWN = 4
ASKED = ("n", "dropped", "p50")  # figures of STAT
FIRST_VARIANT = "A"

Size = tuple[int, int]  # input size, batch size


@dataclass
class Past:
    """One earlier run: its driver, its arguments, the fingerprint of each variant, and what it has of each shape."""

    driver: str | None = None
    given: list[tuple[str, str]] = field(default_factory=list)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    results: dict[Size, set[str]] = field(default_factory=dict)  # variants that have a result
    answers: dict[Size, set[str]] = field(default_factory=dict)  # variants that were compared with the first
    processes: dict[Size, dict[str, int]] = field(default_factory=dict)  # how many measured a variant, by its PROC line

    def take(self, line: lines.Line) -> None:
        """Take over what one line says of the run, or of its shapes beside their results."""
        place = place_of(line)
        if isinstance(line, lines.Arg):
            self.given.append((line.key, line.value))
        elif lines.is_json(line, "ENV"):
            facts = dict(line.data)
            self.facts.setdefault(str(facts.pop("variant", FIRST_VARIANT)), {}).update(facts)
        elif lines.is_json(line, "PAIR") and place is not None:
            self.answers.setdefault(place, set()).add(str(line.data.get("b")))
        elif lines.is_json(line, "PROC") and place is not None and isinstance(line.data.get("n"), int):
            self.processes.setdefault(place, {})[str(line.data.get("variant", FIRST_VARIANT))] = line.data["n"]

    @property
    def shapes(self) -> set[Size]:
        """The shapes that are whole: every variant has its result, and was compared with the first."""
        further = sum(name == "vs" for name, _ in self.given)
        return {
            size
            for size, found in self.results.items()
            if len(found) == 1 + further and len(self.answers.get(size, ())) == further
        }

    def whole(self, repeat: int) -> set[Size]:
        """Return the shapes that are whole, each measured by so many processes where that is more than one."""
        further = sum(name == "vs" for name, _ in self.given)
        measured = {
            size
            for size, counts in self.processes.items()
            if len(counts) == 1 + further and min(counts.values()) >= repeat
        }
        return self.shapes if repeat == 1 else self.shapes & measured


def place_of(line: lines.Line) -> Size | None:
    """Return the shape that a line says something of; None where it names none."""
    data = line.data if isinstance(line, lines.JsonLine) else {}
    sizes = data.get("input_size"), data.get("batch_size")
    return sizes if all(isinstance(size, int) for size in sizes) else None  # type: ignore[return-value]


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
        self._told: set[str] = set()
        self.torn = bool(raw) and not raw.endswith(b"\n")
        runs = read_runs(raw)
        self.last = runs[-1] if runs else None
        self._runs = [run for run in runs if run.shapes]

    def check_size(self, stream: IO[str]) -> None:
        """Raise UsageError where another run has written to the log since it was read."""
        if os.fstat(stream.fileno()).st_size != self._size:
            raise UsageError(f"--resume {self.path}: another run has written to it meanwhile; try again")

    def restore(self, stream: IO[str]) -> None:
        """Take out what a run wrote that was refused before it had a result: the log is what it was."""
        stream.flush()
        with self.path.open("rb") as log:
            log.seek(self._size)
            measured = b"FMWORK RES " in log.read()
        if not measured:
            os.ftruncate(stream.fileno(), self._size)

    @property
    def shapes(self) -> set[Size]:
        """Every (input size, batch size) that is whole."""
        return {shape for run in self._runs for shape in run.shapes}

    def has(self, shape: Size, repeat: int) -> bool:
        """Whether a shape has a result, or where several processes measure it, the result of so many."""
        return any(shape in run.whole(repeat) for run in self._runs)

    def check_arguments(self, given: Iterable[tuple[str, str]], defaults: Collection[tuple[str, str]] = ()) -> None:
        """Raise UsageError where an earlier run was asked for something else; `given` has its secrets sealed."""
        now = binding(given, defaults)
        for run in self._runs:
            then = binding(run.given, defaults)
            self.refuse_untold(then, "the log does not tell them from others; use a new log")
            self.refuse_untold(now, f"{key_file()}, whose key tells them from others, cannot be kept; use a new log")
            self.refuse({key: (then.get(key), now.get(key)) for key in then.keys() | now.keys()})

    def check_facts(self, facts: Mapping[str, Any], variant: str = FIRST_VARIANT) -> None:
        """Raise UsageError where an earlier run has another fingerprint; facts that are not known yet pass."""
        facts = masked_values(facts)  # as the log has them
        for run in self._runs:
            then = run.facts.get(variant, {})
            known = {key: value for key, value in then.items() if key in facts}
            asked = known.keys() | ({MODEL} if DIGEST in known else set())
            self.refuse(differences(known, {key: facts[key] for key in facts.keys() & asked}))
            self._tell(unsaid(then, facts))

    def _tell(self, names: Iterable[str]) -> None:
        """Warn once of what an earlier version did not write down: nobody can check that it is the same."""
        new = [name for name in names if name not in self._told]
        self._told.update(new)
        if new:
            warn(f"--resume {self.path}: an earlier version wrote it, which did not say {', '.join(new)}")

    def refuse_untold(self, given: Mapping[str, str], why: str) -> None:
        """Raise UsageError where a secret is masked without a digest: it could be any."""
        names = sorted(name for name, value in given.items() if UNTOLD.search(value))
        if names:
            raise UsageError(f"--resume {self.path}: secrets in {', '.join(f'--{name}' for name in names)}: {why}")

    def refuse(self, pairs: Mapping[str, tuple[Any, Any]]) -> None:
        """Raise UsageError that names what differs."""
        differing = sorted(key for key, (then, now) in pairs.items() if then != now)
        if differing:
            named = "; ".join(said_of(key, *pairs[key]) for key in differing[:SHOWN])
            more = f"; and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
            raise UsageError(f"--resume {self.path}: measured under another fingerprint ({named}{more}); use a new log")


def binding(given: Iterable[tuple[str, str]], defaults: Collection[tuple[str, str]]) -> dict[str, str]:
    """Return what decides the figures of a command line, by name; several values of one name are one text.

    What is given as it is by default is left out, as if it were not given.
    """
    found: dict[str, str] = {}
    for name, value in given:
        if name not in FREE and (name, value) not in defaults:
            shown = value or "''"
            found[name] = f"{found[name]} | {shown}" if name in found else shown
    return found


class Block(Repetitions):
    """The lines between two CASE lines of an earlier run, as far as they tell whether its result counts."""

    def __init__(self, case: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.place = None if case is None else (case.get("input_size"), case.get("batch_size"))
        self.variant = str((case or {}).get("variant", FIRST_VARIANT))
        self.durations: list[int] = []
        self.result: lines.Res | None = None
        self.said: dict[str, Any] | None = None

    def repeat(self, repetition: tuple[int, int, int, int, int]) -> None:
        """Take over one repetition."""
        index, _, _, end, duration = repetition
        self.compare(*repetition)
        self.expected, self.latest = index + 1, end
        self.durations.append(duration)

    def take(self, line: lines.Line | None) -> None:
        """Take over any other line."""
        if isinstance(line, lines.Rep):
            self.repeat((line.index, line.count, line.start, line.end, line.duration))
        elif isinstance(line, lines.Res):
            self.result = line
        elif lines.is_json(line, "STAT"):
            self.said = line.data
            if not all(isinstance(line.data.get(name), (int, float)) for name in ASKED):
                self.raise_doubt("damaged: STAT")

    @property
    def shape(self) -> Size | None:
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
    for text in raw.splitlines(keepends=True):
        repetition = lines.parse_rep(text)
        if repetition is not None:
            block.repeat(repetition)
            continue
        line = lines.parse_whole(text.decode("utf-8", "replace").rstrip("\r\n"), text.endswith(b"\n"), True, ignore)
        if lines.is_json(line, "LOG", "CASE"):
            close(block, runs)
            block = Block(line.data if lines.is_json(line, "CASE") else None)
        if lines.is_json(line, "LOG"):
            runs.append(Past(driver=line.data.get("driver")))
        elif runs and line is not None:
            runs[-1].take(line)
            block.take(line)
    close(block, runs)
    return runs


def close(block: Block, runs: list[Past]) -> None:
    """Take over the result of a block into the run that it is of."""
    if runs and block.shape is not None:
        runs[-1].results.setdefault(block.shape, set()).add(block.variant)


def ignore(*_: str) -> None:
    """Take no notice of a line that is not whole: `process` complains."""
