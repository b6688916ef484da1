"""The steps that train: teacher, align, contrast. Each opens a log, works in a folder, and leaves it whole."""

import dataclasses
import importlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fmbench import lines, session
from fmbench.checks import Checked, check_encoder
from fmbench.claim import one_writer
from fmbench.distributed import Group
from fmbench.distributed.environment import keep_stacks_out, read_launch, said_once, with_device
from fmbench.encoder import EncoderPlan, Recipe
from fmbench.errors import UsageError
from fmbench.options import MODEL_CLASS, Arguments
from fmbench.session import Session, platform_facts, run_facts
from fmbench.torch_settings import spin_briefly

from .arguments import DistillArguments, parse_arguments

TRAINING = ("align", "contrast")
CHECKPOINT = "checkpoint.safetensors"
TIMED = "query to vector, tokenisation included, right after another query"


class Run:
    """What every step works with: the command line, the checked plans, the log, and the processes.

    `plan` is the teacher's; `students` are those of the query encoders that the command line names, in its order.
    """

    def __init__(
        self, arguments: DistillArguments, plan: EncoderPlan, students: Sequence[EncoderPlan], session: Session,
        group: Group,
    ) -> None:  # fmt: skip
        self.arguments, self.plan, self.students, self.session, self.group = arguments, plan, students, session, group
        self.log, self.clock = session.log, session.clock
        self.start = lines.format_time(self.clock.now())

    def say(self, stage: str, data: dict[str, Any]) -> None:
        """Print a DST line."""
        self.log.write(lines.JsonLine("DST", {"stage": stage, **data}))

    def facts(self, arguments: Arguments) -> None:
        """Print the fingerprint, once the platform is set up."""
        shared = run_facts(self.arguments, self.plan.platform.distributions, TIMED)
        self.session.describe({"task": self.arguments.task, **shared, **platform_facts(self.plan.platform, arguments)})


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


def check(step: str, argv: Sequence[str]) -> Checked:
    """Return what the command line of a step amounts to; what an earlier step makes may be yet to come.

    Raises UsageError and PlatformError.
    """
    arguments = parse_arguments(step, argv, f"fmbench distill {step}")
    read = [*arguments.files, *arguments.held_out_queries, *arguments.negatives, *arguments.query_model]
    read += [arguments.student_model] if arguments.student_model else []
    read += [arguments.teacher_dir] if arguments.teacher_dir and step != "teacher" else []
    checked = check_encoder(arguments, arguments.recipe)
    return dataclasses.replace(checked, inputs=(*read,), check_free=partial(check_output, step, arguments))


check_teacher, check_align, check_contrast, check_evaluate = (
    partial(check, step) for step in ("teacher", "align", "contrast", "evaluate")
)


def check_output(step: str, arguments: DistillArguments) -> None:
    """Raise UsageError where the output folder holds a training run that nobody asked to go on with."""
    folder = arguments.output_dir or Path()
    if step in TRAINING and (folder / CHECKPOINT).is_file() and not arguments.resume:
        raise UsageError(
            f"--output_dir {folder}: holds a training run; --resume goes on with it, or name another folder"
        )


def run(step: str, target: str, argv: Sequence[str]) -> int:
    """Run a step on this rank; what is wrong with the input is said by one rank."""
    with said_once():
        return run_here(step, target, argv)


def run_here(step: str, target: str, argv: Sequence[str]) -> int:
    """Check everything that can be checked quickly, then import the step, which needs torch, and do it."""
    launch = read_launch()
    arguments = with_device(parse_arguments(step, argv, f"fmbench distill {step}"), launch)
    if launch.world_size > 1:
        keep_stacks_out()
    spin_briefly()
    plan = EncoderPlan.of(arguments, arguments.recipe)
    if step == "evaluate":
        plan.similarity(arguments.similarity)
    named = filter(None, (*arguments.query_model, arguments.student_model))
    students = [query_plan(folder, arguments) for folder in named]
    if not plan.platform.runs_torch and step in TRAINING:
        raise UsageError(f"--platform {plan.platform.name}: trains nothing; train on cpu or a GPU, evaluate here")
    check_output(step, arguments)
    if launch.world_size > 1 and step not in TRAINING:
        raise UsageError(f"{step} runs in one process; start it without torchrun")
    folder = arguments.teacher_dir if step == "teacher" else arguments.output_dir
    with (
        Group(launch, backend=None) as group,  # before all that one rank alone may fail at: the others would wait
        one_writer(folder if launch.rank == 0 else None, "--teacher_dir" if step == "teacher" else "--output_dir"),
        session.open("distill", arguments, leads=group.rank == 0) as opened,
    ):
        opened.begin()
        opened.log.banner("DISTILL", step.upper())
        module, _, function = target.partition(":")
        work = getattr(importlib.import_module(f".{module}", __package__), function)
        work(Run(arguments, plan, students, opened, group))
        opened.end()
    return 0


def query_plan(folder: Path, arguments: DistillArguments) -> EncoderPlan:
    """Check the folder of a query encoder, a student of ours or anybody's, before anything slow. Raises UsageError.

    The command line says nothing of how it encodes: it is as its folder publishes it.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    options = {**arguments.options, "model": {}}
    own = dataclasses.replace(
        arguments, model_name=str(folder.absolute()), model_root=None, model_class=MODEL_CLASS, weights="pretrained",
        options=options,
    )  # fmt: skip
    return EncoderPlan.of(own, Recipe(passage_prompt=""), query_side=True)
