"""`--isolate`: each shape in a process of its own, so that a crash or a leak cannot spoil the next one.

`--repeat` measures each in several of them.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from fmbench import lines
from fmbench.console import INTERRUPTED, warn
from fmbench.errors import UsageError
from fmbench.history import History
from fmbench.log import LogWriter
from fmbench.options import named_values
from fmbench.suboptions import split_argv

from .report import processes_lines

CHILD = "import sys; from fmbench.drivers.embed import main; sys.exit(main())"
CHILD_VARIABLE = "FMBENCH_CHILD"
CEILING_VARIABLE = "FMBENCH_CEILING"  # what the first child measured holds for all
REPLACED = ("input_sizes", "batch_sizes", "isolate", "repeat", "resume", "profile")
USAGE_ERRORS = (2, 3)


def measure_in_children(
    argv: Sequence[str], shapes: Sequence[tuple[int, int]], log: LogWriter, history: History | None, repeat: int
) -> int:
    """Run `repeat` children for every shape and pass their lines on; return 1 where a shape failed, else 0.

    Raises UsageError where a child refuses the command line, which the others would do too.
    """
    failed, ceiling, begun = False, None, 0
    for number, shape in enumerate(shape for shape in shapes for _ in range(repeat)):
        begun = begun if number % repeat else len(log.outcomes)
        child = Child(argv, shape, log, history, ceiling, first=number == 0, alone=len(shapes) == 1)
        code = child.run()
        ceiling = child.ceiling
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        if code in USAGE_ERRORS:
            raise UsageError("the child process refused the command line, as it says above")
        if code < 0:
            report_signal(log, shape, -code)
        failed = failed or code != 0
        if repeat > 1 and (number + 1) % repeat == 0:
            for line in processes_lines(log.outcomes[begun:], repeat):
                log.write(line)
    return 1 if failed else 0


def report_signal(log: LogWriter, shape: tuple[int, int], number: int) -> None:
    """Print the row of a shape whose process was killed."""
    name = signal.Signals(number).name
    message = f"the child process was killed by {name}"
    hint = "; out of memory, most likely" if name == "SIGKILL" else ""
    log.write(lines.Err({
        "input_size": shape[0], "batch_size": shape[1], "type": "Killed", "message": message + hint,
        "signal": name, "out_of_memory": None, "where": None,
    }))  # fmt: skip
    warn(f"{shape[0]} / {shape[1]} failed: {message}{hint}")


@dataclass
class Child:
    """One shape's process. The parent sleeps on its pipe: it takes no time from what is measured."""

    argv: Sequence[str]
    shape: tuple[int, int]
    log: LogWriter
    history: History | None
    ceiling: str | None
    first: bool
    alone: bool
    facts: dict[str, Any] = field(default_factory=dict)

    def run(self) -> int:
        """Run to the end and return the exit code, negative for a signal."""
        command = [sys.executable, "-c", CHILD, *child_arguments(self.argv, self.shape, self.alone)]
        environment = {**os.environ, CHILD_VARIABLE: "1"}
        if self.ceiling is not None:
            environment[CEILING_VARIABLE] = self.ceiling
        process = subprocess.Popen(  # noqa: S603 (this very program)
            command, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=environment
        )
        try:
            with process:
                if process.stdout is not None:
                    self.relay(process.stdout)
        except BaseException:
            process.kill()
            process.wait()
            raise
        return process.returncode

    def relay(self, stream: IO[str]) -> None:
        """Pass on what belongs into the log of the whole run."""
        for text in without_head(stream, whole=self.first):
            if self.history is not None and "FMWORK ENV " in text:
                line = lines.parse_line(text)
                if isinstance(line, lines.Env):
                    self.facts |= line.data
                    self.history.check_facts(self.facts)
            if self.ceiling is None and text.startswith("FMWORK CEIL {") and "flops_per_second" in text:
                self.ceiling = text.removeprefix("FMWORK CEIL ").strip()
            self.log.text(text)


def trace_path(path: Path, shape: tuple[int, int], alone: bool) -> Path:
    """Return the trace's file: as named for a single shape, with the shape before the ending in a sweep."""
    return path if alone else path.with_name(f"{path.stem}-{shape[0]}x{shape[1]}{path.suffix}")


def child_arguments(argv: Sequence[str], shape: tuple[int, int], alone: bool) -> list[str]:
    """Return the command line of one shape."""
    fixed, pairs = split_argv(argv)
    flags = {"compile", "eval", "ceiling", "disclose"}
    kept = [
        f"--{name}" if name in flags else f"--{name}={value}"
        for name, value in named_values(fixed)
        if name not in REPLACED
    ]
    profile = dict(named_values(fixed)).get("profile")
    if profile is not None:
        kept.append(f"--profile={trace_path(Path(profile), shape, alone)}")
    options = [option if value is None else f"{option}={value}" for option, value in pairs]
    return [*kept, f"--input_sizes={shape[0]}", f"--batch_sizes={shape[1]}", *options]


def without_head(stream: IO[str], whole: bool) -> Iterator[str]:
    """Yield a child's lines without LOG and ARGS, which the parent printed; later children begin at their RUN."""
    opening = ("RUNTIME", "RUN ") if whole else ("RUN ",)
    held: list[str] = []
    for text in stream:
        if not text.startswith(opening):
            held = [*held, text][-2:]  # a banner's first rule and the blank line before it
            continue
        yield from held
        yield text
        yield from stream
