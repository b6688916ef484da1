"""The command line of `fmbench choose`: what all candidates share, and how the choice is made."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fmbench import __version__
from fmbench.command_line import CommandLine
from fmbench.encoder import Recipe, add_encoder_arguments, take_recipe
from fmbench.errors import UsageError
from fmbench.options import SUBOPTION_HELP, Arguments, add_model_arguments, read
from fmbench.parsing import Parser, adder, decimal, duration, nonempty, positive, share, words
from fmbench.search.compression import Compression, add_compression_arguments, check_rescore

from .check import Restored, restore

PROGRAM = "fmbench choose"
PROFILES = ("online", "bulk")
BOTH = "both"
KEEP, BUDGET, LOG = 0.99, 600.0, Path("choice.log")
SET_UPS = 0.6  # of the budget, after which nobody else is set up
STDOUT = Path("-")
DEPTH = 10  # documents that are retrieved a query
OVERLAP = 0.98  # of the reference's ten best, where there are no judgements
FORMATS = {".md": "markdown", ".html": "html", ".json": "json"}
# What may change when the same command goes on.
FREE = ("budget", "log", "price", "out")
EPILOG = f"""\
what runs:
  Every set-up that a platform of this machine proposes (precisions, compilers, engines, fewer threads) races on the
  same texts, in turns and in random order, against the model in float32 as torch runs it. Who is surely slower than
  another one that is at least as faithful leaves; the others go on until their order is known to 2% or the budget
  ends. What encodes faster is then held against the reference: vectors, top 10, nDCG@10. The answer is the fastest
  that is shown to keep enough; of those that cannot be told apart, the simplest, unless it is probably slower by more
  than 5%.

  Each has all threads, and the fastest are tried with fewer too; with --threads N all have so many.

  --profile online   one text at a time, from text to vector
  --profile bulk     texts a second, at the tokens a batch that are best for each

while it runs:
  Every turn is in --log FILE when it is known. After Ctrl-C the same command goes on; nothing is measured twice.
  `fmbench show FILE` prints the answer again.

exit codes:
  0 an answer, 1 no candidate ran, or the answer of --check does not hold, 2 the command line is wrong,
  3 the platform is not usable here or answers wrongly

examples:
  fmbench choose --model_name models/minilm --dataset data/scifact
  fmbench choose --model_name models/minilm --texts texts.txt --keep_cosine 0.999
  fmbench choose --model_name models/minilm --dataset data/scifact --platforms cpu,openvino --keep 99% --budget 10m \\
      --vs '--platform cpu --model:attn_implementation eager' --without 'cpu inductor' --out choice.json
  fmbench choose --model_name models/minilm --texts texts.txt --tasks tasks.yaml --compress int8,binary --rescore 100
  fmbench choose --check choice.json                                           (after an upgrade)

{SUBOPTION_HELP}"""


@dataclass(frozen=True, kw_only=True)
class ModelCommand(Arguments):
    """One command line that becomes an encoder."""

    recipe: Recipe


@dataclass(frozen=True, kw_only=True)
class ChooseArguments:
    """How the choice is made. `command` is what all candidates share, `given` the whole command line."""

    command: CommandLine
    given: tuple[tuple[str, str], ...]
    texts: Path | None = None
    dataset: Path | None = None
    split: str = "test"
    documents: int | None = None
    tasks: str | None = None
    platforms: tuple[str, ...] = ()
    vs: Sequence[str] = ()
    without: Sequence[str] = ()
    profile: str = BOTH
    query_tokens: int | None = None
    keep: float | None = None
    keep_cosine: float | None = None
    budget: float = BUDGET
    price: float | None = None
    compress: Sequence[Compression] = ()
    rescore: int | None = None
    log: Path = LOG
    out: Path | None = None
    check: Path | None = None
    again: Restored = field(default_factory=Restored)  # of a check: nobody else races
    encoding_cache_dir: Path | None = None
    seed: int = 0

    @property
    def profiles(self) -> tuple[str, ...]:
        """Which profiles are asked for."""
        return PROFILES if self.profile == BOTH else (self.profile,)


def model_parser() -> Parser:
    """Return the parser of one candidate."""
    parser = Parser(prog=PROGRAM, allow_abbrev=False)
    add_model_arguments(parser)
    add_encoder_arguments(parser)
    return parser


def the_parser() -> Parser:
    """Return the parser of the whole command line."""
    parser = Parser(
        prog=PROGRAM, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Which set-up should this model run with on this machine, for queries and in bulk, without hurting "
        "retrieval?", epilog=EPILOG,
    )  # fmt: skip
    add_model_arguments(parser, platform=False)
    add_encoder_arguments(parser)
    add_own(parser)
    parser.add_argument("--version", action="version", version=f"fmbench {__version__}")
    return parser


def add_own(parser: Parser) -> None:
    """Add what no candidate has for itself."""
    add = adder(parser.add_argument_group("texts"))
    add("--dataset", type=Path, metavar="DIR", help="a collection in BEIR's layout, its queries and judgements")
    add("--split", type=nonempty, metavar="NAME", help="which judgements, and so which queries (default: test)")
    add("--documents", type=positive, metavar="N", help="judge on N documents, the judged ones among them: sooner, and "
        "on an easier search")  # fmt: skip
    add("--texts", type=Path, metavar="FILE", help="a text a line instead: vectors and rankings are compared, and "
        "nothing is judged")  # fmt: skip
    add("--tasks", type=nonempty, metavar="NAME,...|FILE|DIR", help="what must be kept is the scores of these "
        "tasks, as `fmbench quality` has them, instead of nDCG@10")  # fmt: skip
    group = parser.add_argument_group("candidates")
    add = adder(group)
    add("--platforms", type=words, metavar="NAME,...", help="which platforms propose (default: all that are usable)")
    for name, metavar, text in (
        ("--vs", "OVERRIDES", "one more candidate, as what it changes: '--platform cpu --threads 1'"),
        ("--without", "NAME", "leave a candidate out, or all of a platform"),
    ):
        group.add_argument(
            name, action="append", type=nonempty, default=[], metavar=metavar, help=f"{text}; repeatable"
        )
    add = adder(parser.add_argument_group("choice"))
    add("--profile", choices=(*PROFILES, BOTH), help="what to choose for (default: both)")
    add("--query_tokens", type=positive, metavar="N", help="online: texts of so many tokens instead of the queries")
    add("--keep", type=share, metavar="SHARE", help="least share of the reference's nDCG@10, or of its scores of "
        f"--tasks on average (default: {KEEP:.0%}%)")  # fmt: skip
    add("--keep_cosine", type=share, metavar="COSINE", help="least cosine of any text's vector with the reference's, "
        f"instead of judgements (default without judgements: {OVERLAP:.0%}% of the ten best stay)")  # fmt: skip
    add("--budget", type=duration, metavar="TIME", help="setting up and racing take so long at most (default: "
        f"{BUDGET / 60:.0f}m). {SET_UPS:.0%}% of it sets candidates up, which takes longer on a busy machine: those "
        "that are not tried are named, and the same command with a larger budget goes on. Judging comes on top, and "
        "says first how long it takes (--documents makes it shorter)")  # fmt: skip
    add("--price", type=decimal, metavar="P", help="of an hour of this machine: gives the cost of a million tokens")
    add_compression_arguments(parser, "what the vectors of the one to run keep")
    add = adder(parser.add_argument_group("files"))
    add("--log", type=Path, metavar="FILE", help=f"where every turn is kept, and taken up again (default: {LOG}); - is "
        "standard output, and the answer goes to stderr: as a cell of a sweep has it")  # fmt: skip
    add("--out", type=Path, metavar="FILE", help=f"write the answer too: {', '.join(FORMATS)} (for a ticket, with "
        "pictures, for --check)")  # fmt: skip
    add("--check", type=Path, metavar="FILE.json", help="measure what an earlier choice said to run again, and the "
        "reference (all that ran, where that is what it said): exit with 1 where the answer does not hold")  # fmt: skip
    add("--encoding_cache_dir", type=Path, metavar="DIR", help="keep the vectors here (default: in the user's cache)")


def parse(argv: Sequence[str]) -> ChooseArguments:
    """Read a command line without importing torch. Raises UsageError."""
    parser, own = the_parser(), Parser(add_help=False)
    add_own(own)
    command = CommandLine.parse(argv, parser.flags)
    again = Restored()
    checked = [Path(text) for text in command.values("check")]
    if checked:
        command, again = restore(checked[-1], command, parser.flags)
    values = read(parser, command.words)
    found = {name: value for name, value in values.items() if name in own.names}
    command, seed = command.without(own.names), values.get("seed", 0)
    arguments = ChooseArguments(
        command=command,
        given=values["given"],
        seed=seed,
        again=again,
        check=next(iter(checked), None),
        **found,
    )
    check(arguments)
    return arguments


def parse_model(command: CommandLine) -> ModelCommand:
    """Read one candidate's command line. Raises UsageError."""
    values = read(model_parser(), command.words)
    return ModelCommand(recipe=take_recipe(values), **values)


def check(arguments: ChooseArguments) -> None:
    """Raise UsageError for texts that are not named, or twice, and for what does not go with them."""
    if (arguments.texts is None) == (arguments.dataset is None):
        raise UsageError("name the texts with --dataset DIR or --texts FILE, one of the two")
    if arguments.texts is not None:
        for name in ("documents", "keep"):
            if getattr(arguments, name) is not None and not (name == "keep" and arguments.tasks):
                raise UsageError(f"--{name} goes with --dataset; a --texts FILE has no judgements")
    if arguments.keep is not None and arguments.keep_cosine is not None:
        raise UsageError("--keep is of nDCG, or of tasks, --keep_cosine of vectors: name the one that decides")
    if arguments.tasks is not None and arguments.keep_cosine is not None:
        raise UsageError("--tasks and --keep_cosine: name the one that decides")
    check_rescore(arguments.compress, arguments.rescore, DEPTH)
    if arguments.out is not None and arguments.out.suffix not in FORMATS:
        raise UsageError(f"--out {arguments.out}: its name must end in {', '.join(FORMATS)}")
    if arguments.out is not None and not arguments.out.resolve().parent.is_dir():
        raise UsageError(f"--out {arguments.out}: there is no folder {arguments.out.resolve().parent}; make it first")
    if arguments.price is not None and arguments.price <= 0:
        raise UsageError(f"--price {arguments.price:g}: give what an hour of this machine costs, above 0")
