"""The steps that train: teacher, align, contrast. Each opens a log, works in a folder, and leaves it whole."""

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fmbench import host, lines
from fmbench.clock import Clock
from fmbench.console import terminable
from fmbench.encoder import EncoderPlan
from fmbench.encoder.folder import warn_of_plain
from fmbench.errors import UsageError, first_line
from fmbench.log import LogWriter, open_log
from fmbench.opening import platform_facts, run_facts, write_arguments
from fmbench.options import Arguments
from fmbench.waiting import spin_briefly

from .arguments import DistillArguments, parse_arguments
from .published import POOLINGS, read_query_side
from .ranks import Ranks

TRAINING = ("align", "contrast")
TIMED = "query to vector, tokenisation included"


class Run:
    """What every step works with: the command line, the checked plan, and the log."""

    def __init__(self, arguments: DistillArguments, plan: EncoderPlan, log: LogWriter) -> None:
        self.arguments, self.plan, self.log = arguments, plan, log
        self.clock = Clock()
        self.start = lines.format_time(self.clock.now())

    def say(self, stage: str, data: dict[str, Any]) -> None:
        """Print a DST line."""
        self.log.write(lines.Dst({"stage": stage, **data}))

    def facts(self, arguments: Arguments) -> None:
        """Print the fingerprint, once the platform is set up."""
        shared = run_facts(self.arguments, self.plan.platform.distributions, TIMED)
        found = {**shared, **platform_facts(self.plan.platform, arguments), "seed": self.arguments.seed}
        self.log.write(lines.Env({"task": self.arguments.task, **found, **host.load_facts("start")}))


def teacher(argv: Sequence[str]) -> int:
    """Run `fmbench distill teacher`."""
    return run("teacher", "teacher:teach", argv)


def align(argv: Sequence[str]) -> int:
    """Run `fmbench distill align`."""
    return run("align", "train:align", argv)


def contrast(argv: Sequence[str]) -> int:
    """Run `fmbench distill contrast`."""
    return run("contrast", "contrast:contrast", argv)


def evaluate(argv: Sequence[str]) -> int:
    """Run `fmbench distill evaluate`."""
    return run("evaluate", "evaluate:evaluate", argv)


def run(step: str, target: str, argv: Sequence[str]) -> int:
    """Check everything that can be checked quickly, then import the step, which needs torch, and do it."""
    arguments = parse_arguments(step, argv, f"fmbench distill {step}")
    spin_briefly()
    plan = EncoderPlan.of(arguments, arguments.recipe)
    check_folders(arguments, plan)
    if not plan.platform.runs_torch and step in TRAINING:
        raise UsageError(f"--platform {plan.platform.name}: trains nothing; train on cpu or a GPU, evaluate here")
    ranks = Ranks()
    if ranks.size > 1 and step not in TRAINING:
        raise UsageError(f"{step} runs in one process; start it without torchrun")
    for folder in (arguments.teacher_dir, arguments.output_dir):
        make(folder)
    with terminable(), open_log() as stdout, Path(os.devnull).open("w") as nowhere:
        log = LogWriter(stdout if ranks.leads else nowhere)
        write_arguments(log, arguments, "distill")
        log.banner("DISTILL", step.upper())
        module, _, function = target.partition(":")
        getattr(importlib.import_module(f".{module}", __package__), function)(Run(arguments, plan, log))
        log.write(lines.Env(host.load_facts("end")))
    return 0


def check_folders(arguments: DistillArguments, plan: EncoderPlan) -> None:
    """Read every folder that a step will load, before anything slow. Raises UsageError."""
    if arguments.task == "evaluate":
        plan.similarity(arguments.similarity)
    if arguments.task != "teacher":
        side = read_query_side(plan.folder.path)
        if not side.is_transformer:
            raise UsageError(f"{plan.folder.path}: a teacher is a transformer, and this is none")
        check_pooling(plan.folder.path, pooling_of(arguments) or side.pooling)
    for path in filter(None, (*arguments.query_model, arguments.student_model)):
        side = read_query_side(path)
        if side.is_transformer:
            check_pooling(path, side.pooling)
        if side.is_transformer and side.folder.recipe.pooling is None:
            warn_of_plain(path, side.pooling)


def check_pooling(folder: Path, pooling: str) -> None:
    """Raise UsageError for a pooling that students do not have."""
    if pooling not in POOLINGS:
        raise UsageError(f"{folder}: pools by {pooling}; mean and cls are known here")


def pooling_of(arguments: DistillArguments) -> str | None:
    """Return the pooling that the command line names, if it names one. Raises UsageError for one not known here."""
    said = arguments.recipe.pooling
    if said is None:
        return None
    if len(said) > 1 or said[0] not in POOLINGS:
        raise UsageError(f"--pooling {','.join(said)}: a teacher pools by mean or cls")
    return said[0]


def make(folder: Path | None) -> None:
    """Make a folder. Raises UsageError where that cannot be."""
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made ({first_line(error)})") from None
