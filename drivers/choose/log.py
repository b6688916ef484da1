"""The log of a choice: every turn when it is known, and what an earlier run of the same command left there."""

import contextlib
import dataclasses
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TextIO

from fmbench import lines, plugins, session
from fmbench.errors import UsageError, first_line
from fmbench.facts import differences, said_of
from fmbench.history import ignore
from fmbench.secrets import masked, masked_values, sealed
from fmbench.session import LogWriter, Renamed, Session

from .arguments import FREE, LOG, PROGRAM, ChooseArguments, ModelCommand
from .race import Turn

DRIVER = "choose"
SHOWN = 4


class ChoiceLog:
    """Appends to a log. What it held before is in `turns`, `failures`, `set_ups`, `spent` and `ended`.

    `called` is what one that does not last is called where it is named; None for one that lasts.
    """

    def __init__(self, path: Path, writer: LogWriter, called: str | None = None) -> None:
        self.path, self._writer, self.called = path, writer, called
        self.turns: list[Turn] = []
        self.failures: dict[str, str] = {}
        self.set_ups: dict[str, dict[str, Any]] = {}  # what the last set-up of a candidate found
        self.facts: dict[str, dict[str, Any]] = {}  # by candidate; of the run itself under ""
        self.spent = 0.0  # seconds of phases and turns
        self.choices: dict[str, dict[str, Any]] = {}  # by profile
        self._given: list[tuple[str, str]] = []

    @classmethod
    @contextlib.contextmanager
    def open(cls, arguments: ChooseArguments, stdout: TextIO | None = None) -> Iterator[Self]:
        """Yield the log, locked; what is written goes to `stdout` too, if given, and the file lasts no longer then.

        Nor does that of a check, unless it is named: a check measures, and goes on with no earlier one.
        Raises UsageError for a file that is another command's, or something else.
        """
        with contextlib.ExitStack() as stack:
            path, called = arguments.log, None
            if stdout is not None or (arguments.check is not None and "log" not in dict(arguments.given)):
                called = PROGRAM if arguments.check is None else "now"
                path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fmbench-")), LOG)
            try:
                stream = stack.enter_context(path.open("a+", encoding="utf-8"))
            except OSError as error:
                raise UsageError(f"--log {path}: {error.strerror or first_line(error)}") from None
            session.claim(stream, f"--log {path}")
            log = cls(path, LogWriter(stream, stdout), called)
            log._read(stream)
            log._check_arguments(arguments)
            yield log

    @property
    def is_new(self) -> bool:
        """Whether nothing was in it."""
        return not self._given

    def begin(self, arguments: ChooseArguments, reference: ModelCommand, found: Mapping[str, Any]) -> None:
        """Say what every log begins with, or check that the log is of that. Raises UsageError."""
        if self.is_new:
            run = Session(self._writer, DRIVER, dataclasses.replace(reference, given=arguments.given))
            run.begin()
            run.describe({"task": DRIVER, **found})
        else:
            self.check("", found)

    def answers(self, profile: str, budget: float) -> bool:
        """Whether a profile has its answer, or all of it that a budget gives."""
        found = self.choices.get(profile, {"status": "standing"})
        if found["status"] == "final" and not any(one.get("untried") for one in found["candidates"]):
            return True
        return found["status"] != "standing" and found["budget_seconds"] >= budget

    def write(self, kind: str, data: Mapping[str, Any]) -> None:
        """Write a line of a kind."""
        self._writer.write(lines.JsonLine(kind, dict(data)))

    def check(self, variant: str, found: Mapping[str, Any]) -> None:
        """Raise UsageError where the log has other facts of a candidate, or of the run."""
        then, now = self.facts.get(variant, {}), masked_values(found)
        both = {key: value for key, value in then.items() if key in now}
        self._refuse(differences(both, {key: now[key] for key in both}), f"{variant}: " if variant else "")

    def tell(self, command: str, *words: str) -> int:
        """Run a command that reads the log, which is its last word, and return its exit code: it is found by name."""
        commands, _ = plugins.discover("fmbench.commands")
        path, words = str(self.path), (*words, *(["--brief"] if self.called and command == "show" else []))
        out, err = (Renamed(stream, path, self.called or path) for stream in (sys.stdout, sys.stderr))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            return int(commands[command].load()([*words, path]))

    def _read(self, stream: TextIO) -> None:
        """Take over what is there; a last line that is torn is cut off."""
        raw = self.path.read_bytes()
        if raw and not raw.startswith(b"FMWORK LOG "):
            raise UsageError(f"--log {self.path}: holds something else than a log of fmbench; name another file")
        whole = raw[: raw.rfind(b"\n") + 1]
        if len(whole) < len(raw):
            os.ftruncate(stream.fileno(), len(whole))
        for text in whole.decode("utf-8", "replace").splitlines():
            self._take(lines.parse_whole(text, True, True, ignore))
        if "" not in self.facts:  # killed while it was begun
            os.ftruncate(stream.fileno(), 0)
            self._given.clear()

    def _take(self, line: lines.Line | None) -> None:
        if isinstance(line, lines.Arg):
            self._given.append((line.key, line.value))
        elif lines.is_json(line, "LOG") and line.data.get("driver") != DRIVER:
            raise UsageError(f"--log {self.path}: is a log of another command; name another file")
        elif lines.is_json(line, "ENV"):
            found = dict(line.data)
            self.facts.setdefault(str(found.pop("variant", "")), {}).update(found)
        elif lines.is_json(line, "TURN"):
            self.turns.append(Turn.of(line.data))
            self.spent += line.data["nanoseconds"] / 1e9
        elif lines.is_json(line, "PHASE"):
            self.spent += line.data["seconds"]
            if "memory_bytes" in line.data:
                self.set_ups[line.data["variant"]] = line.data
        elif lines.is_json(line, "FID") and line.data.get("failure"):
            self.failures[str(line.data["variant"])] = str(line.data["failure"])
        elif lines.is_json(line, "CHOICE"):
            self.choices[str(line.data["profile"])] = line.data

    def _check_arguments(self, arguments: ChooseArguments) -> None:
        if self.is_new:
            return
        then, now = (
            by_name(self._given),
            by_name((name, masked(name, value, sealed)) for name, value in arguments.given),
        )
        self._refuse({
            f"--{key}": (then.get(key), now.get(key)) for key in {**then, **now} if then.get(key) != now.get(key)
        })  # fmt: skip

    def _refuse(self, pairs: Mapping[str, tuple[Any, Any]], whose: str = "") -> None:
        """Raise UsageError that names what differs, if anything."""
        if pairs:
            named = "; ".join(said_of(key, *pairs[key]) for key in sorted(pairs)[:SHOWN])
            more = f"; and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else ""
            raise UsageError(
                f"--log {self.path}: is of something else ({whose}{named}{more}); name another: --log OTHER"
            )


def by_name(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return what decides the figures of a command line; several values of one name are one text."""
    found: dict[str, str] = {}
    for name, value in given:
        if name not in FREE:
            found[name] = f"{found[name]} | {value}" if name in found else value
    return found
