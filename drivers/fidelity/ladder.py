"""`fmbench fidelity ladder`: what each precision and compiler costs in fidelity, beside what it brings in speed."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fmbench import session
from fmbench.command_line import CommandLine
from fmbench.console import Progress, note, run_main, warn
from fmbench.errors import FmbenchError, UsageError
from fmbench.parsing import Parser
from fmbench.torch_settings import spin_briefly
from fmbench.variants import merged

from .arguments import CaptureArguments, Subject, add_subject_arguments, build_parser, check_subject, one, parse
from .rungs import Climb, Rung
from .standings import LadderLog, about
from .turns import KeptTurns

PROGRAM = "fmbench fidelity ladder"
REFERENCE = "fp32"
# What a user chooses between, as overrides of the command line.
VARIANTS = {
    REFERENCE: "--model:dtype@ torch.float32",
    "bf16": "--model:dtype@ torch.bfloat16",
    "fp16": "--model:dtype@ torch.float16",
    "int8": "--model:dtype@ torch.float32 --model:quantization_config@ 'transformers.TorchAoConfig("
    "torchao.quantization.Int8DynamicActivationInt8WeightConfig())'",
    "inductor": "--model:dtype@ torch.float32 --compile:backend inductor --compile:dynamic@ True",
    "openvino": "--model:dtype@ torch.float32 --platform openvino",
}
SHARED = (
    "texts", "dataset", "documents", "other_documents", "split", "seed", "threads", "out", "variants",
    "vs", "colbert", "model_name", "model_root", "pin",
)  # fmt: skip
EPILOG = """\
what is compared:
  Every variant encodes the same texts and is held against fp32: the least and the mean cosine of a text's two vectors,
  how much of the top 10 stays, and the change of nDCG@10 with its 95% interval, paired over queries. Speed is measured
  in the same run: the variants take turns on every 64 passages, and the ratio is that of the medians, with its 95%
  interval. A variant that this machine cannot run is a row that says why.

  --vs OVERRIDES adds a variant, in the grammar of the command line.

while it runs:
  The log on standard output has a FID line a variant whenever the turns done have doubled, of what is encoded so far,
  and one at the end; a later one takes the place of an earlier one. What `fmbench show` makes of it goes to stderr,
  after Ctrl-C and SIGTERM too. --out DIR keeps every turn: the same command goes on with the next one.

exit codes:
  0 every variant ran, 1 one of them could not (the others are in the table), 2 the command line is wrong,
  3 the platform is not usable here

examples:
  fmbench fidelity ladder --platform cpu --model_name models/minilm --dataset data/scifact
  fmbench fidelity ladder --platform cuda --model_name models/minilm --dataset data/scifact --variants fp32,bf16 \\
      --vs '--model:attn_implementation eager'
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return run_main(PROGRAM, lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Encode with every variant, and say how each stands; return 1 where one of them could not run."""
    parser = the_parser()
    known, options = taken(argv)
    arguments = parse(parser, known.words, check_subject)
    rungs = planned(known, options)
    subject = arguments.subject()
    spin_briefly()
    progress = Progress()
    try:
        climb = Climb(rungs, progress.show)
        kept = KeptTurns(options.out, about(rungs, subject)) if options.out else None
        with session.open_with_tables("fidelity", rungs[0].arguments) as run:
            run_climb(climb, subject, kept, LadderLog(run, rungs, subject))
            progress.clear()
    finally:
        progress.clear()
    for failed in (item for item in rungs if not item.works):
        warn(f"{failed.name}: {failed.failure}")
    return int(any(not item.works for item in rungs))


def run_climb(climb: Climb, subject: Subject, kept: KeptTurns | None, log: LadderLog) -> None:
    """Run every variant, and log where each stands when that is known, and after Ctrl-C.

    Raises what the reference raises where that cannot run.
    """
    try:
        climb.run(subject, kept, log.turn)
    except KeyboardInterrupt:
        log.stand()
        note(
            f"the turns so far are kept in {kept.folder}; the same command goes on"
            if kept
            else "with --out DIR, the same command would go on where it stopped"
        )
        raise
    log.stand()


def the_parser() -> Parser:
    """Return the parser of a model and its texts; `--help` shows the ladder's own arguments too."""
    parser = build_parser(PROGRAM, "Hold precisions and compilers against fp32: fidelity, quality and speed.", EPILOG)
    add_subject_arguments(parser)
    group = parser.add_argument_group("variants")
    add_own(group)
    return parser


def add_own(group: "argparse._ActionsContainer") -> None:
    """Add what only the ladder asks."""
    one(group, "--variants", metavar="NAME,...", help=f"of {', '.join(VARIANTS)} (default: all)")
    group.add_argument(
        "--vs", action="append", default=argparse.SUPPRESS, metavar="OVERRIDES", help="one more variant; repeatable"
    )
    one(
        group, "--out", type=Path, metavar="DIR",
        help="keep every turn in a folder: the same command goes on where it stopped",
    )  # fmt: skip


def taken(argv: Sequence[str]) -> tuple[CommandLine, argparse.Namespace]:
    """Separate the ladder's own arguments from those that every variant has."""
    parser = Parser(prog=PROGRAM, add_help=False, allow_abbrev=False)
    add_own(parser)
    command = CommandLine.parse(argv, the_parser().flags)
    own = parser.parse_known(command.only(parser.names).fixed)
    for name in ("variants", "vs", "out"):
        if not hasattr(own, name):
            setattr(own, name, None)
    return command.without(parser.names), own


def planned(command: CommandLine, options: argparse.Namespace) -> list[Rung]:
    """Return the variants, the reference first. One whose command line is refused is a rung that says why."""
    names = [part.strip() for part in options.variants.split(",")] if options.variants else list(VARIANTS)
    unknown = [name for name in names if name not in VARIANTS]
    if unknown:
        raise UsageError(f"--variants {unknown[0]}: unknown (known: {', '.join(VARIANTS)}; --vs adds any other)")
    wanted = {name: VARIANTS[name] for name in (REFERENCE, *names)} | {text: text for text in options.vs or ()}
    return [rung(name, command, overrides) for name, overrides in wanted.items()]


def rung(name: str, command: CommandLine, overrides: str) -> Rung:
    """Return one variant. Raises UsageError where the user's own overrides cannot be read."""
    parser = the_parser()
    try:
        changed = merged(parser, command, overrides, SHARED, "--vs")
        arguments: CaptureArguments = parse(parser, changed.words, check_subject)
    except FmbenchError as error:
        if name not in VARIANTS:
            raise
        return Rung(name, None, error)
    return Rung(name, arguments)
