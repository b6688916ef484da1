"""`--isolate`: each shape in a process of its own, so that a crash or a leak cannot spoil the next one.

`--repeat` measures each in several of them.
"""

import contextlib
import io
import json
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from fmbench import children, lines
from fmbench.command_line import Argument, CommandLine
from fmbench.console import warn
from fmbench.ending import ASKS, BY_SIGNAL, Terminated
from fmbench.errors import FmbenchError, UsageError
from fmbench.history import FIRST_VARIANT
from fmbench.session import LogWriter, Session

from .report import processes_lines
from .variant import VariantPlan

CHILD = "import sys; from fmbench.drivers.embed import main; sys.exit(main())"
CHILD_VARIABLE = "FMBENCH_CHILD"
CEILING_VARIABLE = "FMBENCH_CEILING"  # what the first child measured holds for all: an object, a variant a key
PRECISION_VARIABLE = "FMBENCH_PRECISION"  # what the first child computed in, in the same way
NOT_OF_A_CHILD = ("isolate", "repeat", "resume", "profile")
RUN = "RUN "  # the banner of a shape
USAGE_ERRORS = (2, 3)


def measure_in_children(
    command: CommandLine, variants: Sequence[VariantPlan], shapes: Sequence[tuple[int, int]], run: Session
) -> int:
    """Run `--repeat` children for every shape and pass their lines on; return 1 where a shape failed, else 0.

    A child measures all variants of its shape. Raises UsageError where one refuses the command line, which the others
    would do too.
    """
    failed, headed, begun = False, False, 0
    log, repeat = run.log, variants[0].arguments.repeat
    ceilings: dict[str, dict[str, Any]] = {}
    precisions: dict[str, Any] = {}
    for number, shape in enumerate(shape for shape in shapes for _ in range(repeat)):
        begun = begun if number % repeat else len(log.outcomes)
        child = Child(command, shape, run, ceilings, precisions, first=not headed, alone=len(shapes) == 1)
        code = child.run()
        headed = headed or child.headed
        if code - BY_SIGNAL in ASKS:  # the child alone was asked to end: the run is
            raise Terminated(code - BY_SIGNAL)
        if code in USAGE_ERRORS:
            raise UsageError("the child process refused the command line, as it says above")
        if code < 0:
            report_signal(log, shape, [variant.marks for variant in variants[child.outcomes :]], -code)
        failed = failed or code != 0
        if repeat > 1 and (number + 1) % repeat == 0:
            for line in processes_lines(log.outcomes[begun:], repeat):
                log.write(line)
    return 1 if failed else 0


def report_signal(log: LogWriter, shape: tuple[int, int], marks: Sequence[dict[str, str]], number: int) -> None:
    """Print the rows of a shape whose process was killed: one for each variant that was not done."""
    name = signal.Signals(number).name
    message = f"the child process was {children.killed_by(number)}"
    for mark in marks:
        log.write(lines.JsonLine("ERR", {
            "input_size": shape[0], "batch_size": shape[1], **mark, "type": "Killed", "message": message,
            "signal": name, "out_of_memory": None, "where": None,
        }))  # fmt: skip
    warn(f"{shape[0]} / {shape[1]} failed: {message}")


@dataclass
class Child:
    """One shape's process. The parent sleeps on its pipe: it takes no time from what is measured."""

    command: CommandLine
    shape: tuple[int, int]
    session: Session
    ceilings: dict[str, dict[str, Any]]
    precisions: dict[str, Any]
    first: bool
    alone: bool
    begun: bool = False  # what belongs into the log has begun
    headed: bool = False  # its head is over: the facts that hold for all
    outcomes: int = 0  # results and failures, a variant one
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def run(self) -> int:
        """Run to the end and return the exit code, negative for a signal."""
        command = children.python("-c", CHILD, *child_command(self.command, self.shape, self.alone).words)
        environment = {**os.environ, CHILD_VARIABLE: "1"}
        if self.ceilings:
            environment[CEILING_VARIABLE] = json.dumps(self.ceilings)
        environment[PRECISION_VARIABLE] = json.dumps(self.precisions)
        with children.started(command, environment) as process:
            stream = process.stdout or io.StringIO()
            try:
                self.relay(without_head(stream, whole=self.first))
            except KeyboardInterrupt:
                with children.ended(process), contextlib.suppress(FmbenchError):  # the log went with its terminal
                    self.relay(stream if self.begun else ())
                raise
        return process.returncode

    def relay(self, texts: Iterable[str]) -> None:
        """Pass on what belongs into the log of the whole run."""
        for text in texts:
            self.begun, self.headed = True, self.headed or text.startswith(RUN)
            self.heed(self.session.log.text(text))

    def heed(self, line: lines.Line | None) -> None:
        """Take from a line what the parent has to know: facts, the device's limits, how many variants are done."""
        if isinstance(line, lines.Res) or lines.is_json(line, "ERR"):
            self.outcomes += 1
        elif lines.is_json(line, "ENV"):
            data = dict(line.data)
            variant = data.pop("variant", FIRST_VARIANT)
            facts = self.facts.setdefault(variant, {})
            facts.update(data)
            self.session.check(facts, variant)
        elif lines.is_json(line, "STAT"):
            variant = line.data.get("variant", FIRST_VARIANT)
            self.precisions.setdefault(variant, self.facts.get(variant, {}).get("precision"))
        elif lines.is_json(line, "CEIL") and "flops_per_second" in line.data:  # not where a shape stands below it
            data = dict(line.data)
            self.ceilings.setdefault(data.pop("variant", FIRST_VARIANT), data)


def trace_path(path: Path, shape: tuple[int, int], alone: bool) -> Path:
    """Return the trace's file: as named for a single shape, with the shape before the ending in a sweep."""
    return path if alone else path.with_name(f"{path.stem}-{shape[0]}x{shape[1]}{path.suffix}")


def child_command(command: CommandLine, shape: tuple[int, int], alone: bool) -> CommandLine:
    """Return the command line of one shape."""
    own = [Argument("--input_sizes", str(shape[0])), Argument("--batch_sizes", str(shape[1]))]
    own += [Argument("--profile", str(trace_path(Path(file), shape, alone))) for file in command.values("profile")]
    return command.without(NOT_OF_A_CHILD).with_(CommandLine(tuple(own)))


def without_head(stream: IO[str], whole: bool) -> Iterator[str]:
    """Yield a child's lines without LOG and ARGS, which the parent printed; later children begin at their RUN."""
    opening = ("RUNTIME", RUN) if whole else (RUN,)
    held: list[str] = []
    for text in stream:
        if not text.startswith(opening):
            held = [*held, text][-2:]  # a banner's first rule and the blank line before it
            continue
        yield from held
        yield text
        yield from stream
