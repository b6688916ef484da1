"""`fmbench choose`: which set-up to run a model with on this machine, for queries and in bulk."""

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from fmbench import cached
from fmbench.checks import Checked
from fmbench.command_line import CommandLine
from fmbench.console import Progress, note, reserved_stdout, run_main, warn
from fmbench.ending import allow
from fmbench.errors import FmbenchError, UsageError
from fmbench.search.compression import check_dimensions
from fmbench.torch_settings import spin_briefly

from . import candidates, texts
from .arguments import FORMATS, KEEP, OVERLAP, PROGRAM, STDOUT, ChooseArguments, parse, the_parser
from .chooser import Chooser
from .log import ChoiceLog
from .quality import Keep

TO_STAND = 10.0  # seconds that a standing may take after Ctrl-C
VECTORS = "vectors"  # folder of the user's cache


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return run_main(PROGRAM, lambda: run(sys.argv[1:] if argv is None else argv))


def ladder(argv: Sequence[str]) -> int:
    """Run under the name that it had as a command of `fmbench fidelity`; its one platform is one of several now."""
    note("`fmbench fidelity ladder` is `fmbench choose` now: every set-up races, --without NAME leaves one out")
    command = CommandLine.parse(argv, the_parser().flags)
    renamed = (replace(one, option="--platforms") if one.option == "--platform" else one for one in command.arguments)
    return run(CommandLine(tuple(renamed)).words)


def run(argv: Sequence[str]) -> int:
    """Read the command line, and choose."""
    arguments = parse(argv)
    if arguments.log == STDOUT:
        with reserved_stdout() as stdout, contextlib.redirect_stdout(sys.stderr):
            return choose(arguments, stdout)
    return choose(arguments)


def check(argv: Sequence[str]) -> Checked:
    """Return what a command line amounts to, on the platform of the reference. Raises UsageError and PlatformError."""
    more = ("--log", str(STDOUT))
    arguments = parse([*argv, *more])
    subject = texts.read(arguments)
    planned, _ = candidates.plan(arguments, subject.calibration)
    first = planned[0].plan()
    own = replace(first.arguments, given=arguments.given)
    return Checked(first.platform, own, lambda: {**first.model_facts(), **subject.facts()}, more)


def choose(arguments: ChooseArguments, stdout: TextIO | None = None) -> int:
    """Race, judge and answer; return 1 where the answer of a check does not hold.

    Raises FmbenchError where no candidate ran. What is logged goes to `stdout` too, where that is given.
    """
    spin_briefly()  # before platforms are asked whether they are usable: some ask torch
    subject = texts.read(arguments)
    planned, absent = candidates.plan(arguments, subject.calibration)
    first = planned[0].plan()
    if first.folder.sparse is not None:
        check_sparse(arguments, first.folder.path)
    check_dimensions(arguments.compress, first.dimension)
    if arguments.again.budget is not None:
        note(f"--budget {arguments.budget:g}s at most, as {arguments.check} had; --budget TIME gives a check another")
    keep, cache = keep_of(arguments, subject), arguments.encoding_cache_dir or cached.root() / VECTORS
    progress = Progress()
    with ChoiceLog.open(arguments, stdout) as log:
        chooser = Chooser(arguments, subject, keep, planned, absent, log, progress)
        try:
            chooser.tell_spent()
            if not chooser.is_done:
                chooser.run(cache)
        except KeyboardInterrupt:
            allow(TO_STAND)
            progress.clear()
            if chooser.stand("standing"):
                log.tell("show")
            else:
                note("no turn was taken yet, so there is no standing")
            if log.called is None:
                note(f"every turn so far is in {log.path}; the same command goes on")
            elif stdout is None:
                note("a check without --log FILE keeps no turn: the same command begins anew")
            raise
        finally:
            progress.clear()
        for one in chooser.failures:
            warn(one)
        if not chooser.races_somebody:
            raise FmbenchError(f"no candidate beside {planned[0].name} ran")
        return answer(arguments, log)


def answer(arguments: ChooseArguments, log: ChoiceLog) -> int:
    """Print the answer and write it; of a check, say whether that of the file holds, and return 1 where not."""
    failed = log.tell("show")
    if arguments.out is not None:
        failed |= log.tell("process", "--format", FORMATS[arguments.out.suffix], "--out", str(arguments.out), "--path")
    if arguments.check is not None:
        failed |= log.tell("compare", "--fail-on", "answer", str(arguments.check))
    return failed


def check_sparse(arguments: ChooseArguments, path: Path) -> None:
    """Raise UsageError for what needs dense vectors. `path` is the model's folder."""
    for name in ("compress", "tasks", "encoding_cache_dir"):
        if getattr(arguments, name):
            raise UsageError(f"--{name}: {path} is a sparse model, whose vectors have a number a word; leave it out")


def keep_of(arguments: ChooseArguments, subject: texts.Subject) -> Keep:
    """Return what a candidate has to keep."""
    if arguments.keep_cosine is not None:
        return Keep("cosine", arguments.keep_cosine)
    if subject.tasks:
        return Keep("tasks", arguments.keep or KEEP)
    return Keep("ndcg", arguments.keep or KEEP) if subject.judged else Keep("overlap", OVERLAP)
