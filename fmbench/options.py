"""The fixed arguments of a driver, and what one command line amounts to."""

import argparse
import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from fmbench import __version__, expressions
from fmbench.errors import UsageError, nearest
from fmbench.suboptions import Tree, parse_suboptions, split_argv

MOST = 2**31 - 1
MOST_THREADS = 1024
SETS = ("compile", "model", "platform", "torch.call", "torch.set")

SUBOPTION_HELP = """\
sub-options:
  --SET:KEY VALUE               a string
  --SET:KEY@ EXPRESSION         a Python expression; it may name torch, transformers, args
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


@dataclass(frozen=True)
class Arguments:
    """One command line, read. `options` holds a nested dictionary for each set of sub-options.

    Leaves of `options` are strings and `Expression`s until `evaluated` replaces them by values.
    """

    platform: str
    model_class: str
    model_name: str
    input_sizes: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    reps: int
    model_root: str | None = None
    weights: str = "pretrained"
    seed: int = 0
    device: int | None = None
    threads: int | None = None
    compile: bool = False
    eval: bool = False
    profile: Path | None = None
    precision: float | None = None
    max_seconds: float | None = None
    vs: tuple[str, ...] = ()
    ceiling: bool = False
    isolate: bool = False
    resume: Path | None = None
    disclose: bool = False
    options: Mapping[str, Tree] = field(default_factory=lambda: {name: {} for name in SETS})
    given: tuple[tuple[str, str], ...] = ()

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Every (input size, batch size), batch as the outer loop."""
        return [(input_size, batch_size) for batch_size in self.batch_sizes for input_size in self.input_sizes]

    def literal(self, name: str, key: str, default: Any = None) -> Any:
        """Return what the option `key` of a set says, evaluated or not; an `Expression` where it is code."""
        return expressions.literal(self.options[name].get(key, default))

    def evaluated(self) -> "Arguments":
        """Return the same arguments with every expression evaluated. Imports torch and transformers."""
        return dataclasses.replace(self, options=expressions.evaluate(self.options, self))


class Once(argparse.Action):
    """Stores a value, and refuses the same argument a second time."""

    def __call__(self, parser, namespace, values, option_string=None):  # type: ignore[no-untyped-def]
        """Store the value; argparse calls this."""
        seen = namespace.__dict__.setdefault("_seen", set())
        if self.dest in seen:
            raise UsageError(f"{option_string}: given twice; give it once (several sizes are one comma list)")
        seen.add(self.dest)
        setattr(namespace, self.dest, True if self.nargs == 0 else values)


class Parser(argparse.ArgumentParser):
    """An argument parser whose every complaint is one UsageError, with the nearest valid name."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing a usage block."""
        raise UsageError(f"{message} (see {self.prog} --help)")

    def parse_known(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parse every token, or raise UsageError that names the nearest argument."""
        known = [option for action in self._actions for option in action.option_strings if option.startswith("--")]
        namespace, unknown = self.parse_known_args(list(argv))
        if unknown:
            word = unknown[0].partition("=")[0]
            hint = nearest(word, known) if word.startswith("-") else ""
            self.error(f"unknown argument {unknown[0]!r}{hint}")
        return namespace


def integer(text: str, least: int, most: int) -> int:
    """Return a whole number between two bounds, or raise argparse's error."""
    if not re.fullmatch(r"[+-]?[0-9]+", text.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    number = int(text)
    if number < least:
        raise argparse.ArgumentTypeError(f"{text!r} is too small; the least is {least}")
    if number > most:
        raise argparse.ArgumentTypeError(f"{text!r} is too large; the most is {most}")
    return number


def positive(text: str) -> int:
    """Read a whole number above zero."""
    return integer(text, 1, MOST)


def natural(text: str) -> int:
    """Read a whole number that may be zero."""
    return integer(text, 0, MOST)


def thread_count(text: str) -> int:
    """Read a number of threads."""
    return integer(text, 1, MOST_THREADS)


def sizes(text: str) -> tuple[int, ...]:
    """Read a comma list of positive whole numbers."""
    return tuple(positive(part.strip()) for part in text.split(","))


def words(text: str) -> tuple[str, ...]:
    """Read a comma list of words, each once."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def nonempty(text: str) -> str:
    """Read a string that says something."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the value is empty")
    return text


def share(text: str) -> float:
    """Read a share above zero and below one: `1%` or `0.01`."""
    try:
        number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no share such as 1%") from None
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0% and 100%")
    return number


def duration(text: str) -> float:
    """Read a number of seconds above zero."""
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from None
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not above zero")
    return number


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
        required=True,
        metavar="CLASS",
        help="class of the transformers library: BertModel, RobertaModel, AutoModel, ...",
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
    group.add_argument("--reps", action=Once, type=positive, required=True, metavar="N", help="repetitions a shape")
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
        help="repeat until the median is known to ± this share (1%%), at least 10 times and at most --reps",
    )
    group.add_argument(
        "--max_seconds",
        action=Once,
        type=duration,
        metavar="S",
        help="end a shape after this time; repetitions in which a compiler runs do not count",
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
        help="skip the shapes that this log has under the same fingerprint, and append the rest to it",
    )
    group.add_argument(
        "--disclose", action=Once, nargs=0, default=False, help="record host name, user name and folder as well"
    )


def parse_arguments(argv: Sequence[str], program: str = "driver") -> Arguments:
    """Read a command line without importing torch. Raises UsageError; `--help` exits with 0."""
    fixed, pairs = split_argv(argv)
    namespace = vars(build_parser(program).parse_known(fixed))
    namespace.pop("_seen", None)
    options = parse_suboptions(pairs, SETS)
    expressions.check(options)
    namespace["compile"] = namespace["compile"] or bool(options["compile"])
    namespace["vs"] = tuple(namespace["vs"])
    return Arguments(**namespace, options=options, given=given_arguments(fixed, pairs))


def given_arguments(fixed: Sequence[str], pairs: Sequence[tuple[str, str | None]]) -> tuple[tuple[str, str], ...]:
    """Return `(name, value)` for each argument typed, sorted; a flag's value is the string True."""
    given = [(option[2:], value or "") for option, value in pairs]
    return tuple(sorted([*given, *named_values(fixed)]))


def named_values(fixed: Sequence[str]) -> list[tuple[str, str]]:
    """Return `(name, value)` for each fixed argument, in order; a flag's value is the string True."""
    given: list[tuple[str, str]] = []
    position = 0
    while position < len(fixed):
        name, assigned, value = fixed[position].partition("=")
        position += 1
        if not assigned:
            following = fixed[position] if position < len(fixed) else "--"
            if following.startswith("--"):
                value = "True"
            else:
                value = following
                position += 1
        given.append((name.removeprefix("--"), value))
    return given
