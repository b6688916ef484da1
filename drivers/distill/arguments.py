"""The command lines of the distillation driver: one parser a step, one dataclass for all of them."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fmbench import __version__
from fmbench.collection.arguments import (
    SIMILARITIES,
    DataArguments,
    add_data_arguments,
    add_identical_arguments,
    check_data,
)
from fmbench.encoder import add_encoder_arguments, take_recipe
from fmbench.errors import UsageError
from fmbench.options import SUBOPTION_HELP, add_model_arguments, read
from fmbench.parsing import Parser, adder, decimal, flag, natural, nonempty, paths, positive

STUDENTS = ("lookup", "transformer", "bert", "gru", "lstm")
EMBEDDINGS = ("tied", "free", "own")
PSEUDO_QUERIES = ("titles", "sentences", "spans")
LOSSES = ("cosine", "l2", "kl")
SCHEDULES = ("linear", "cosine", "constant_with_warmup")
PRECISIONS = ("bfloat16", "float16")
RECURRENT = ("gru", "lstm")

# What is trained on where no split is named: never the test. A collection may have no training queries at all.
TRAINED_SPLITS = {"teacher": "", "contrast": "train"}

DESCRIPTIONS = {
    "teacher": "Encode training queries and pseudo-queries with the passage model, as queries. --model_name is the "
    "teacher in every step.",
    "align": "Train a student to put queries where the teacher puts them. Writes a query encoder and a pair.",
    "contrast": "Train a student on with hard negatives; the passage encoder stays as it is unless --train_passages.",
    "evaluate": "Measure what query encoders keep of the teacher's quality, and what they save, in one run.",
}
EXAMPLES = {
    "teacher": "fmbench distill teacher --platform cpu --model_name models/minilm --dataset data/scifact \\\n"
    "      --split train --held_out_split test --pseudo_queries titles,sentences --teacher_dir work",
    "align": "fmbench distill align --platform cpu --model_name models/minilm --teacher_dir work \\\n"
    "      --student lookup --embeddings free --epochs 6 --learning_rate 2e-3 --output_dir students/lookup",
    "contrast": "fmbench distill contrast --platform cpu --model_name models/minilm --dataset data/scifact \\\n"
    "      --split train --query_model students/lookup/query --negatives negatives/mined_qrels.tsv \\\n"
    "      --output_dir students/lookup2",
    "evaluate": "fmbench distill evaluate --platform cpu --model_name models/minilm --dataset data/scifact \\\n"
    "      --query_model students/lookup/query,students/small/query",
}


@dataclass(frozen=True, kw_only=True)
class DistillArguments(DataArguments):
    """One command line of the distillation driver, read. What a step does not ask has its default."""

    teacher_dir: Path | None = None
    pseudo_queries: tuple[str, ...] = ()
    most_pseudo_queries: int | None = None
    held_out_split: str | None = None
    held_out_queries: tuple[Path, ...] = ()
    student: str = ""
    layers: tuple[int, ...] = (0,)
    depth_of_student: int = 1
    student_model: Path | None = None
    hidden_size: int | None = None
    heads: int | None = None
    ff: int = 0
    embeddings: str = "tied"
    projection: str = "none"
    student_length: int = 32
    loss: str = "cosine"
    temperature: float = 0.05
    epochs: float = 3.0
    batch_size: int = 64
    learning_rate: float = 1e-4
    embedding_rate: float = 1.0
    passage_rate: float = 1.0
    schedule: str = "linear"
    warmup: float = 0.1
    warmup_steps: int | None = None
    gradient_accumulation_steps: int = 1
    mixed_precision: str | None = None
    weight_decay: float = 0.01
    evaluate_every: int = 200
    patience: int | None = None
    resume: bool = False
    negatives: tuple[Path, ...] = ()
    bm25_negatives: int | None = None
    negatives_per_query: int = 7
    train_passages: bool = False
    passage_length: int = 128
    query_model: tuple[Path, ...] = ()


def words(names: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Return a reader of comma lists of these words."""

    def parse(text: str) -> tuple[str, ...]:
        found = tuple(part.strip() for part in text.split(","))
        for name in found:
            if name not in names:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(names)}")
        return found

    return parse


def numbers(text: str) -> tuple[int, ...]:
    """Read a comma list of whole numbers from 0 on."""
    return tuple(natural(part.strip()) for part in text.split(","))


def above_zero(text: str) -> float:
    """Read a number above zero."""
    number = decimal(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not above zero")
    return number


def add_teacher_arguments(parser: Parser) -> None:
    """Add which texts are trained on."""
    add = adder(parser.add_argument_group("training texts"))
    add("--teacher_dir", type=Path, metavar="DIR", required=True, help="texts and the teacher's vectors go here")
    add("--pseudo_queries", type=words(PSEUDO_QUERIES), metavar="KIND,...", help="texts of the corpus that stand in "
        f"for queries: {', '.join(PSEUDO_QUERIES)} (default: none)")  # fmt: skip
    add("--most_pseudo_queries", type=positive, metavar="N", help="at most so many of each kind, drawn at random")


def add_held_out_arguments(parser: Parser) -> None:
    """Add which queries must not be trained on."""
    add = adder(parser.add_argument_group("held out"))
    add("--held_out_split", type=nonempty, metavar="NAME", help="of each --dataset: queries that must not be trained "
        "on, whatever their ids, case and punctuation")  # fmt: skip
    add("--held_out_queries", type=paths, metavar="FILE,...", help="the same, as files")


def add_student_arguments(parser: Parser) -> None:
    """Add which student."""
    add = adder(parser.add_argument_group("student"))
    add("--teacher_dir", type=Path, metavar="DIR", required=True, help="what `fmbench distill teacher` wrote")
    add(
        "--student",
        choices=STUDENTS,
        required=True,
        help="lookup: weighted token embeddings and a linear layer; "
        "transformer: layers of the teacher or of --student_model; bert: random weights; gru, lstm: incremental",
    )
    add("--layers", type=numbers, metavar="N,N,...", help="transformer: which layers stay, from 0 on (default: 0)")
    add("--depth", dest="depth_of_student", type=positive, metavar="N", help="bert, gru, lstm: how many layers")
    add("--student_model", type=Path, metavar="DIR", help="transformer: take the layers of this model")
    add("--hidden_size", type=positive, metavar="N", help="bert, gru, lstm: width (default: the teacher's)")
    add("--heads", type=positive, metavar="N", help="bert: attention heads")
    add("--ff", type=natural, metavar="N", help="gru, lstm: so many feed-forward blocks, as BERT has them, after the "
        "last state; they cost the same whatever the query's length (default: 0)")  # fmt: skip
    add("--embeddings", choices=EMBEDDINGS, help="word embeddings: the teacher's, frozen (tied, the default) or "
        "learning along (free), or the student's own")  # fmt: skip
    add("--projection", choices=("none", "linear"), help="linear: a layer that brings vectors to the teacher's size")
    add("--student_length", type=positive, metavar="N", help="tokens of a query that are looked at (default: 32)")
    add("--loss", choices=LOSSES, help="cosine (default), l2, or kl over the batch's scores")
    add("--temperature", type=above_zero, metavar="T", help="of the scores in kl (default: 0.05)")


def add_contrast_arguments(parser: Parser) -> None:
    """Add what stage B learns from."""
    add = adder(group := parser.add_argument_group("contrast"))
    add("--query_model", type=paths, metavar="DIR", required=True, help="the student to train on")
    add("--negatives", type=paths, metavar="FILE,...", help="hard negatives, as `fmbench retrieve mine` writes them")
    add("--bm25_negatives", type=positive, metavar="N", help="each query's first N documents by BM25 that are not "
        "relevant to it, beside those of --negatives (extra bm25)")  # fmt: skip
    add("--negatives_per_query", type=natural, metavar="N", help="of each query, drawn by the seed (default: 7)")
    add("--student_length", type=positive, metavar="N", help="tokens of a query that are looked at (default: 32)")
    add("--temperature", type=above_zero, metavar="T", help="scores are divided by it (default: 0.05)")
    flag(group, "--train_passages", "train the passage encoder too; the index must then be encoded anew")
    add("--passage_length", type=positive, metavar="N", help="tokens of a passage in training (default: 128)")
    add("--passage_rate", type=above_zero, metavar="X", help="the passage encoder's learning rate, as a share")


def add_training_arguments(parser: Parser) -> None:
    """Add how to train."""
    add = adder(group := parser.add_argument_group("training"))
    add("--output_dir", type=Path, metavar="DIR", required=True, help="the student, the pair and checkpoints go here")
    add("--epochs", type=above_zero, metavar="N", help="passes over the texts, fractions too (default: 3)")
    add("--batch_size", type=positive, metavar="N", help="texts a batch, over all processes (default: 64)")
    add("--gradient_accumulation_steps", type=positive, metavar="N", help="batches whose gradients make one step: "
        "the same step as with an N times larger --batch_size, in the memory of one batch. What a loss compares a text "
        "with (kl, contrast) is the one batch, though (default: 1)")  # fmt: skip
    add("--mixed_precision", choices=PRECISIONS, help="compute forward and backward passes in it where that is safe, "
        "by torch.autocast; weights, loss and quality stay float32 (default: float32 throughout)")  # fmt: skip
    add("--learning_rate", type=above_zero, metavar="X", help="of AdamW (default: 1e-4)")
    add("--embedding_rate", type=above_zero, metavar="X", help="the word embeddings' learning rate, as a share")
    add("--schedule", choices=SCHEDULES, help="of the learning rate (default: linear); cosine is one cycle")
    warmup = adder(group.add_mutually_exclusive_group())
    warmup("--warmup", type=decimal, metavar="SHARE", help="share of the steps in which the rate rises from 0 "
           "(default: 0.1)")  # fmt: skip
    warmup("--warmup_steps", type=natural, metavar="N", help="the same as a number of steps, such as 1000")
    add("--weight_decay", type=decimal, metavar="X", help="of AdamW (default: 0.01)")
    add("--evaluate_every", type=positive, metavar="N", help="steps between two looks at the quality (default: 200)")
    add("--patience", type=positive, metavar="N", help="stop after so many looks without a better quality")
    flag(group, "--resume", "go on from the last checkpoint in --output_dir, to the same weights")


def add_evaluate_arguments(parser: Parser) -> None:
    """Add what is measured."""
    add = adder(parser.add_argument_group("students"))
    add("--query_model", type=paths, metavar="DIR,...", required=True, help="query encoders, or pairs of which the "
        "query side is taken")  # fmt: skip
    add("--similarity", choices=SIMILARITIES, help="default: what the teacher's folder says, else cosine")
    add("--latency_queries", type=positive, metavar="N", help="queries timed one by one (default: 100)")


GROUPS: dict[str, tuple[Callable[[Parser], None], ...]] = {
    "teacher": (add_data_arguments, add_teacher_arguments, add_held_out_arguments),
    "align": (add_student_arguments, add_training_arguments),
    "contrast": (add_data_arguments, add_contrast_arguments, add_held_out_arguments, add_training_arguments),
    "evaluate": (add_data_arguments, add_identical_arguments, add_evaluate_arguments),
}


@cache
def build_parser(step: str, program: str) -> Parser:
    """Return the parser of one step."""
    parser = Parser(
        prog=program,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=DESCRIPTIONS[step],
        epilog=f"{SUBOPTION_HELP}\nexample:\n  {EXAMPLES[step]}\n",
    )
    add_model_arguments(parser)
    add_encoder_arguments(parser)
    for add in GROUPS[step]:
        add(parser)
    parser.add_argument("--version", action="version", version=f"fmbench {__version__}")
    return parser


def parse_arguments(step: str, argv: Sequence[str], program: str) -> DistillArguments:
    """Read the command line of one step without importing torch. Raises UsageError."""
    values = read(build_parser(step, program), argv)
    if step in TRAINED_SPLITS:
        values.setdefault("split", TRAINED_SPLITS[step])
    arguments = DistillArguments(task=step, recipe=take_recipe(values), **values)
    check(arguments)
    return arguments


def check(arguments: DistillArguments) -> None:
    """Raise UsageError for arguments that do not go together."""
    if arguments.task != "align":
        check_data(arguments)
    if arguments.task == "teacher" and not (arguments.split or arguments.queries or arguments.pseudo_queries):
        raise UsageError("nothing to train on is named: queries with --split train, texts of the corpus with "
                         "--pseudo_queries titles,sentences, or both")  # fmt: skip
    if arguments.held_out_split and not arguments.dataset:
        raise UsageError("--held_out_split: is a split of --dataset; name files with --held_out_queries")
    if arguments.task == "contrast" and len(arguments.query_model) != 1:
        raise UsageError("--query_model: contrast trains one student")
    if arguments.ff and arguments.student not in RECURRENT:
        raise UsageError(f"--ff: feed-forward blocks follow a {' or '.join(RECURRENT)}, not a {arguments.student}")
    if not 0 <= arguments.warmup <= 1:
        raise UsageError(f"--warmup {arguments.warmup}: is a share from 0 to 1")
