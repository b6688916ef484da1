"""The fixed arguments of a driver, and what one command line amounts to."""

import argparse
import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Self

from fmbench import __version__, expressions
from fmbench.command_line import CommandLine, Tree, parse_suboptions
from fmbench.parsing import Parser, adder, duration, flag, natural, nonempty, positive, share, sizes, thread_count

MODEL_CLASS = "AutoModel"  # where none is given: transformers finds the class of the model's type
# Without --reps a shape repeats until its median is known this well, for that long and that often at most.
PRECISION, MAX_SECONDS, MOST_REPS = 0.02, 30.0, 10_000

SETS = ("compile", "model", "platform", "torch.call", "torch.set")

SUBOPTION_HELP = """\
sub-options:
  --SET:KEY VALUE               a string
  --SET:KEY@ EXPRESSION         a Python expression; it may name torch, transformers, torchao, os, args
  --SET:KEY:KEY...=VALUE        keys nest into dictionaries; quotes protect a ':' in a key

  --compile:...                 arguments of torch.compile (any of them turns --compile on)
  --model:...                   arguments of from_pretrained, or of the configuration for random weights
  --platform:...                options of the platform (see docs/how-to)
  --torch.call:NAME@ VALUE      calls torch.NAME(VALUE); a tuple is positional, a dictionary keyword arguments
  --torch.set:NAME@ VALUE       assigns torch.NAME; in both, a literal such as False needs no @

examples:
  --compile:backend inductor --compile:options:freezing@ True
  --model:dtype@ torch.bfloat16 --model:attn_implementation eager
  --torch.call:set_grad_enabled@ False --torch.set:backends.cudnn.benchmark@ True
"""


@dataclass(frozen=True, kw_only=True)
class ModelArguments:
    """Which platform, and which model."""

    platform: str
    model_name: str
    model_class: str = MODEL_CLASS
    model_root: str | None = None
    weights: str = "pretrained"

    @property
    def model_path(self) -> str:
        """The name below the root, under fmwork's name for it: expressions may say `args.model_path`."""
        return os.path.join(self.model_root or "", self.model_name)  # noqa: PTH118 (a text, as fmwork's)


@dataclass(frozen=True, kw_only=True)
class SetupArguments:
    """How the model is set up."""

    seed: int = 0
    device: int | None = None
    threads: int | None = None
    pin: bool = False
    compile: bool = False
    eval: bool = False

    @staticmethod
    def add_to(parser: Parser) -> None:
        """Add them to a command line."""
        group = parser.add_argument_group("how to set it up")
        add = adder(group)
        flag(group, "--compile", "wrap the model in torch.compile")
        flag(group, "--eval", "call model.eval(), which is how models are loaded anyway")
        add("--seed", type=natural, metavar="N", help="seed of random inputs and random weights (default: 0)")
        add("--device", type=natural, metavar="N", help="index of the device (default: 0)")
        add(
            "--threads",
            type=thread_count,
            metavar="N",
            help="CPU threads that torch may use (default: torch's own choice)",
        )
        flag(group, "--pin", "keep the threads on cores of one NUMA node, one thread a core")


@dataclass(frozen=True, kw_only=True)
class ProcessArguments:
    """Which process measures, and whether the log says whose it is. Only the speed driver asks."""

    isolate: bool = False
    disclose: bool = False

    @staticmethod
    def add_to(parser: Parser) -> None:
        """Add them to a command line."""
        group = parser.add_argument_group("which process")
        flag(group, "--isolate", "run each shape in a process of its own, so that a crash cannot spoil the next")
        flag(group, "--disclose", "record host name, user name and folder as well")


@dataclass(frozen=True, kw_only=True)
class Arguments(ModelArguments, SetupArguments, ProcessArguments):
    """What every driver asks. `options` holds a tree for each set, `given` the arguments as typed.

    Leaves of `options` are strings and `Expression`s until `evaluated` replaces them by values.
    """

    options: Mapping[str, Tree] = field(default_factory=lambda: {name: {} for name in SETS})
    given: tuple[tuple[str, str], ...] = ()

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Every (input size, batch size) that the command line asks for; none where texts decide."""
        return []

    @property
    def inference(self) -> bool:
        """Whether the driver turns gradients off itself, so that nobody has to ask for it."""
        return True

    def literal(self, name: str, key: str, default: Any = None) -> Any:
        """Return what the option `key` of a set says, evaluated or not; an `Expression` where it is code."""
        return expressions.literal(self.options[name].get(key, default))

    def evaluated(self) -> Self:
        """Return the same arguments with every expression evaluated. Imports torch and transformers."""
        return dataclasses.replace(self, options=expressions.evaluate(self.options, self))


def add_model(parser: Parser, platform: bool = True) -> None:
    """Add which model, and on which platform where there is one alone."""
    add = adder(parser.add_argument_group("what to run"))
    if platform:
        add(
            "--platform",
            type=nonempty,
            required=True,
            metavar="NAME",
            help="hardware plug-in: cpu, cuda, spyre, openvino, ... (`fmbench backends` lists them)",
        )
    add(
        "--model_class",
        type=nonempty,
        metavar="CLASS",
        help=f"class of the transformers library: BertModel, RobertaModel, ... (default: {MODEL_CLASS})",
    )
    add(
        "--model_root",
        type=nonempty,
        metavar="DIR",
        help="folder that holds the models; it is left out of the printed model name",
    )
    add(
        "--model_name",
        type=nonempty,
        required=True,
        metavar="NAME",
        help="folder below --model_root, else a path, a hub id or a name from `fmbench models`",
    )
    add(
        "--weights",
        choices=("pretrained", "random"),
        help="random builds the real architecture without a download (default: pretrained)",
    )


def add_model_arguments(parser: Parser, platform: bool = True) -> None:
    """Add what every driver asks, without `platform` where several are tried."""
    add_model(parser, platform)
    SetupArguments.add_to(parser)


@dataclass(frozen=True, kw_only=True)
class ShapeArguments:
    """Which shapes: tokens a sequence, and sequences a batch."""

    input_sizes: tuple[int, ...]
    batch_sizes: tuple[int, ...]

    @staticmethod
    def add_to(parser: Parser) -> None:
        """Add them to a command line."""
        add = adder(parser.add_argument_group("what to measure"))
        add("--input_sizes", type=sizes, required=True, metavar="N,N,...", help="sequence lengths in tokens")
        add(
            "--batch_sizes",
            type=sizes,
            required=True,
            metavar="N,N,...",
            help="sequences a forward pass (the outer loop)",
        )

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Every (input size, batch size), batch as the outer loop."""
        return [(input_size, batch_size) for batch_size in self.batch_sizes for input_size in self.input_sizes]


@dataclass(frozen=True, kw_only=True)
class TimingArguments:
    """How often, and how long. `repetitions` gives the three that decide where the command line has no --reps."""

    reps: int
    precision: float | None = None
    max_seconds: float | None = None
    repeat: int = 1

    @staticmethod
    def add_to(parser: Parser) -> None:
        """Add them to a command line."""
        add = adder(parser.add_argument_group("how often"))
        add(
            "--reps",
            type=positive,
            metavar="N",
            help="repetitions a shape, at most where --precision or --max_seconds is given "
            f"(default: as many as --precision takes, at most {MOST_REPS:,})",
        )
        add(
            "--precision",
            type=share,
            metavar="SHARE",
            help="repeat until the median is known to ± this share (1%%), at least 10 times and at most --reps "
            f"(default: {PRECISION:.0%}% without --reps, else none)",
        )
        add(
            "--max_seconds",
            type=duration,
            metavar="S",
            help="end a shape after this time; repetitions in which a compiler runs do not count "
            f"(default: {MAX_SECONDS:.0f} without --reps, else none)",
        )
        add(
            "--repeat",
            type=positive,
            metavar="N",
            help="measure each shape in N processes of its own, one after the other, and say how they differ",
        )

    @staticmethod
    def repetitions(values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the defaults of a command line: none where it gives `--reps`."""
        return {} if "reps" in values else {"reps": MOST_REPS, "precision": PRECISION, "max_seconds": MAX_SECONDS}


@dataclass(frozen=True, kw_only=True)
class ComparisonArguments:
    """What is compared with what."""

    vs: tuple[str, ...] = ()
    ceiling: bool = False

    @staticmethod
    def add_to(parser: Parser) -> None:
        """Add them to a command line."""
        group = parser.add_argument_group("how to measure")
        group.add_argument(
            "--vs",
            action="append",
            type=nonempty,
            default=argparse.SUPPRESS,
            metavar="OVERRIDES",
            help="compare with the same command under these overrides, repetition by repetition: "
            "--vs '--model:dtype@ torch.bfloat16'; repeatable",
        )
        flag(
            group,
            "--ceiling",
            "measure the device's limits too (a large matrix product, a large copy) and the distance from them",
        )


@dataclass(frozen=True, kw_only=True)
class OutputArguments:
    """Which log goes on, and what is written beside it."""

    profile: Path | None = None
    resume: Path | None = None

    @staticmethod
    def add_to(parser: Parser) -> None:
        """Add them to a command line."""
        add = adder(parser.add_argument_group("output"))
        add(
            "--profile",
            type=Path,
            metavar="FILE",
            help="write a torch profiler trace (Chrome JSON) of one extra, untimed repetition",
        )
        add(
            "--resume",
            type=Path,
            metavar="LOG",
            help="skip the shapes that this log has under the same fingerprint, and append the rest to it; alone, it "
            "goes on with the command that the log holds",
        )


@dataclass(frozen=True, kw_only=True)
class SpeedArguments(ShapeArguments, TimingArguments, ComparisonArguments, OutputArguments, Arguments):
    """One command line of the speed driver, read."""

    @property
    def inference(self) -> bool:
        """Gradients are as the command line says, which is part of what is measured."""
        return False


@cache
def build_parser(program: str) -> Parser:
    """Return the parser of the speed driver's fixed arguments."""
    parser = Parser(
        prog=program,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measure how fast a model's forward pass runs on one platform. The log goes to stdout.",
        epilog=SUBOPTION_HELP,
    )
    add_model_arguments(parser)
    for concern in (ShapeArguments, TimingArguments, ComparisonArguments, ProcessArguments, OutputArguments):
        concern.add_to(parser)
    parser.add_argument("--version", action="version", version=f"fmbench {__version__}")
    return parser


def parse_arguments(argv: Sequence[str], program: str = "driver") -> SpeedArguments:
    """Read the speed driver's command line without importing torch. Raises UsageError; `--help` exits with 0."""
    values = read(build_parser(program), argv)
    values["isolate"] = "isolate" in values or values.get("repeat", 1) > 1
    values["vs"] = tuple(values.get("vs", ()))
    return SpeedArguments(**{**TimingArguments.repetitions(values), **values})


def read(parser: Parser, argv: Sequence[str]) -> dict[str, Any]:
    """Read a command line of `parser`'s arguments and sub-options, and return its values by name.

    Those of `Arguments` are among them where `add_model_arguments` was called. Raises UsageError.
    """
    command = CommandLine.parse(argv, parser.flags)
    values = vars(parser.parse_known(command.fixed))
    options = parse_suboptions(command.suboptions, SETS)
    expressions.check(options)
    values["compile"] = "compile" in values or bool(options["compile"])
    return {**values, "options": options, "given": command.named(parser.positions).given}
