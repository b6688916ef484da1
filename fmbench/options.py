"""The fixed arguments of a driver, and what one command line amounts to."""

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from fmbench import __version__, expressions
from fmbench.command_line import CommandLine
from fmbench.parsing import Once, Parser, duration, natural, nonempty, positive, share, sizes, thread_count
from fmbench.suboptions import Tree, parse_suboptions

MODEL_CLASS = "AutoModel"  # where none is given: transformers finds the class of the model's type
# Without --reps a shape repeats until its median is known this well, for that long and that often at most.
PRECISION, MAX_SECONDS, MOST_REPS = 0.02, 30.0, 10_000

SETS = ("compile", "model", "platform", "torch.call", "torch.set")

SUBOPTION_HELP = """\
sub-options:
  --SET:KEY VALUE               a string
  --SET:KEY@ EXPRESSION         a Python expression; it may name torch, transformers, torchao, args
  --SET:KEY:KEY...=VALUE        keys nest into dictionaries; quotes protect a ':' in a key

  --compile:...                 arguments of torch.compile (any of them turns --compile on)
  --model:...                   arguments of from_pretrained, or of the configuration for random weights
  --platform:...                options of the platform (see docs/how-to)
  --torch.call:NAME@ VALUE      calls torch.NAME(VALUE); a tuple is positional, a dictionary keyword arguments
  --torch.set:NAME@ VALUE       assigns torch.NAME

examples:
  --compile:backend inductor --compile:options:freezing@ True
  --model:dtype@ torch.bfloat16 --model:attn_implementation eager
  --torch.call:set_grad_enabled@ False --torch.set:backends.cudnn.benchmark@ True
"""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What every driver asks: which platform, which model, set up how. `options` holds a tree for each set.

    Leaves of `options` are strings and `Expression`s until `evaluated` replaces them by values.
    """

    platform: str
    model_name: str
    model_class: str = MODEL_CLASS
    model_root: str | None = None
    weights: str = "pretrained"
    seed: int = 0
    device: int | None = None
    threads: int | None = None
    compile: bool = False
    eval: bool = False
    isolate: bool = False
    disclose: bool = False
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


@dataclass(frozen=True, kw_only=True)
class SpeedArguments(Arguments):
    """One command line of the speed driver, read."""

    input_sizes: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    reps: int
    profile: Path | None = None
    precision: float | None = None
    max_seconds: float | None = None
    repeat: int = 1
    vs: tuple[str, ...] = ()
    ceiling: bool = False
    resume: Path | None = None

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Every (input size, batch size), batch as the outer loop."""
        return [(input_size, batch_size) for batch_size in self.batch_sizes for input_size in self.input_sizes]

    @property
    def inference(self) -> bool:
        """Gradients are as the command line says, which is part of what is measured."""
        return False


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
    add_shape_arguments(parser)
    add_method_arguments(parser)
    parser.add_argument("--version", action="version", version=f"fmbench {__version__}")
    return parser


def add_model_arguments(parser: Parser) -> None:
    """Add what every driver asks: which platform, which model, set up how."""
    group = parser.add_argument_group("what to run")
    group.add_argument(
        "--platform",
        action=Once,
        type=nonempty,
        required=True,
        metavar="NAME",
        help="hardware plug-in: cpu, cuda, spyre, openvino, ... (`fmbench backends` lists them)",
    )
    group.add_argument(
        "--model_class",
        action=Once,
        type=nonempty,
        default=MODEL_CLASS,
        metavar="CLASS",
        help=f"class of the transformers library: BertModel, RobertaModel, ... (default: {MODEL_CLASS})",
    )
    group.add_argument(
        "--model_root",
        action=Once,
        type=nonempty,
        metavar="DIR",
        help="folder that holds the models; it is left out of the printed model name",
    )
    group.add_argument(
        "--model_name",
        action=Once,
        type=nonempty,
        required=True,
        metavar="NAME",
        help="folder below --model_root, else a path, a hub id or a name from `fmbench models`",
    )
    group.add_argument(
        "--weights",
        action=Once,
        choices=("pretrained", "random"),
        default="pretrained",
        help="random builds the real architecture without a download (default: pretrained)",
    )
    add_setup_arguments(group)


def add_setup_arguments(group: argparse._ArgumentGroup) -> None:
    """Add how the model is set up."""
    group.add_argument("--compile", action=Once, nargs=0, default=False, help="wrap the model in torch.compile")
    group.add_argument(
        "--eval", action=Once, nargs=0, default=False, help="call model.eval(), which is how models are loaded anyway"
    )
    group.add_argument(
        "--seed",
        action=Once,
        type=natural,
        default=0,
        metavar="N",
        help="seed of random inputs and random weights (default: 0)",
    )
    group.add_argument("--device", action=Once, type=natural, metavar="N", help="index of the device (default: 0)")
    group.add_argument(
        "--threads",
        action=Once,
        type=thread_count,
        metavar="N",
        help="CPU threads that torch may use (default: torch's own choice)",
    )


def add_shape_arguments(parser: Parser) -> None:
    """Add what the speed driver asks: the shapes, and how often."""
    group = parser.add_argument_group("what to measure")
    group.add_argument(
        "--input_sizes", action=Once, type=sizes, required=True, metavar="N,N,...", help="sequence lengths in tokens"
    )
    group.add_argument(
        "--batch_sizes",
        action=Once,
        type=sizes,
        required=True,
        metavar="N,N,...",
        help="sequences a forward pass (the outer loop)",
    )
    group.add_argument(
        "--reps",
        action=Once,
        type=positive,
        metavar="N",
        help="repetitions a shape, at most where --precision or --max_seconds is given "
        f"(default: as many as --precision takes, at most {MOST_REPS:,})",
    )
    group.add_argument(
        "--profile",
        action=Once,
        type=Path,
        metavar="FILE",
        help="write a torch profiler trace (Chrome JSON) of one extra, untimed repetition",
    )


def add_method_arguments(parser: Parser) -> None:
    """Add how to measure, beyond the shapes."""
    group = parser.add_argument_group("how to measure")
    group.add_argument(
        "--precision",
        action=Once,
        type=share,
        metavar="SHARE",
        help="repeat until the median is known to ± this share (1%%), at least 10 times and at most --reps "
        f"(default: {PRECISION:.0%}% without --reps, else none)",
    )
    group.add_argument(
        "--max_seconds",
        action=Once,
        type=duration,
        metavar="S",
        help="end a shape after this time; repetitions in which a compiler runs do not count "
        f"(default: {MAX_SECONDS:.0f} without --reps, else none)",
    )
    group.add_argument(
        "--repeat",
        action=Once,
        type=positive,
        default=1,
        metavar="N",
        help="measure each shape in N processes of its own, one after the other, and say how they differ",
    )
    group.add_argument(
        "--vs",
        action="append",
        default=[],
        metavar="OVERRIDES",
        help="compare with the same command under these overrides, repetition by repetition: "
        "--vs '--model:dtype@ torch.bfloat16'; repeatable",
    )
    group.add_argument(
        "--ceiling",
        action=Once,
        nargs=0,
        default=False,
        help="measure the device's limits too (a large matrix product, a large copy) and the distance from them",
    )
    group.add_argument(
        "--isolate",
        action=Once,
        nargs=0,
        default=False,
        help="run each shape in a process of its own, so that a crash cannot spoil the next",
    )
    group.add_argument(
        "--resume",
        action=Once,
        type=Path,
        metavar="LOG",
        help="skip the shapes that this log has under the same fingerprint, and append the rest to it; alone, it "
        "goes on with the command that the log holds",
    )
    group.add_argument(
        "--disclose", action=Once, nargs=0, default=False, help="record host name, user name and folder as well"
    )


def parse_arguments(argv: Sequence[str], program: str = "driver") -> SpeedArguments:
    """Read the speed driver's command line without importing torch. Raises UsageError; `--help` exits with 0."""
    values = read(build_parser(program), argv)
    isolate = values["isolate"] or values["repeat"] > 1
    return SpeedArguments(**{**values, **repetitions(values), "isolate": isolate, "vs": tuple(values["vs"])})


def repetitions(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `reps`, `precision` and `max_seconds` of a command line, with defaults where it gives no `--reps`."""
    given = {name: values[name] for name in ("reps", "precision", "max_seconds") if values[name] is not None}
    defaults = {} if "reps" in given else {"reps": MOST_REPS, "precision": PRECISION, "max_seconds": MAX_SECONDS}
    return {"precision": None, "max_seconds": None, **defaults, **given}


def read(parser: Parser, argv: Sequence[str]) -> dict[str, Any]:
    """Read a command line of `parser`'s arguments and sub-options, and return its values by name.

    Those of `Arguments` are among them where `add_model_arguments` was called. Raises UsageError.
    """
    command = CommandLine.parse(argv, parser.flags)
    values = vars(parser.parse_known(command.fixed))
    values.pop("_seen", None)
    options = parse_suboptions(command.suboptions, SETS)
    expressions.check(options)
    values["compile"] = values["compile"] or bool(options["compile"])
    return {**values, "options": options, "given": command.given}
