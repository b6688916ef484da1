"""The command line of `fmbench quality`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fmbench import __version__
from fmbench.command_line import CommandLine
from fmbench.encoder import Recipe, add_encoder_arguments, take_recipe
from fmbench.options import SUBOPTION_HELP, Arguments, add_model_arguments, read
from fmbench.parsing import Parser, adder, nonempty
from fmbench.variants import merged

PROGRAM = "fmbench quality"
SHARED = ("tasks", "seed", "out_mteb", "disclose", "pin")  # what holds for all variants
EPILOG = f"""\
tasks:
  A comma list of names of MTEB (STSBenchmark, Banking77Classification, SciFact; they come from the hub), or a YAML file
  of your own:

    tasks:
      - {{name: pairs, type: sts, data: pairs.tsv}}             # sentence1, sentence2, score
      - {{name: topics, type: classification, data: test.csv, train: train.csv}}          # text, label
      - {{name: same, type: pair_classification, data: same.jsonl, columns: {{sentence1: a, sentence2: b}}}}

  or a folder with a task.yaml. Types: sts, pair_classification, classification, clustering (text, label), reranking
  (query, positive, negative), bitext (sentence1, sentence2). Files: .tsv, .csv, .jsonl. Every score has a 95% interval
  over the task's items; --vs gives another configuration of the same model the same items, and the change its own.

exit codes:
  0 all tasks were scored, 1 some could not be, 2 the command line or a task is wrong,
  3 the platform is not usable here or answers wrongly

examples:
  fmbench quality --platform cpu --model_name models/minilm --tasks tasks.yaml
  fmbench quality --platform cpu --model_name models/minilm --tasks tasks.yaml \\
      --vs '--model:dtype bfloat16' --vs '--platform openvino --platform:quantize int8 --platform:calibration t.jsonl'

{SUBOPTION_HELP}"""


@dataclass(frozen=True, kw_only=True)
class QualityArguments(Arguments):
    """One command line of `fmbench quality`, read."""

    recipe: Recipe
    tasks: str
    vs: Sequence[str] = ()
    out_mteb: Path | None = None


def build_parser() -> Parser:
    """Return the parser."""
    parser = Parser(
        prog=PROGRAM, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="How good are a model's vectors for other tasks than retrieval, on this platform?", epilog=EPILOG,
    )  # fmt: skip
    add_model_arguments(parser)
    add_encoder_arguments(parser)
    group = parser.add_argument_group("quality")
    adder(group)("--tasks", type=nonempty, required=True, metavar="NAME,...|FILE|DIR", help="what to score")
    group.add_argument("--vs", action="append", type=nonempty, metavar="OVERRIDES", help="another configuration of the "
                       "same model, as changes to this command line in quotes; may be given several times")  # fmt: skip
    adder(group)("--out_mteb", type=Path, metavar="DIR", help="write MTEB's own result files of its tasks here")
    parser.add_argument("--version", action="version", version=f"fmbench {__version__}")
    return parser


def parse_arguments(argv: Sequence[str]) -> QualityArguments:
    """Read a command line without importing torch. Raises UsageError."""
    values = read(build_parser(), argv)
    values["vs"] = tuple(values.get("vs") or ())
    return QualityArguments(recipe=take_recipe(values), **values)


def variants(argv: Sequence[str], arguments: QualityArguments) -> dict[str, QualityArguments]:
    """Return the arguments of each variant, the command line's own first, by name. Raises UsageError."""
    command = CommandLine.parse(list(argv), build_parser().flags)
    found = {"A": arguments}
    for place, overrides in enumerate(arguments.vs):
        changed = merged(build_parser(), command, overrides, SHARED, "--vs")
        found[chr(ord("B") + place)] = parse_arguments(changed.words)
    return found
