"""The command lines of the commands that run a model: the model, the texts, and what is captured."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from fmbench import __version__
from fmbench.collection import Dataset
from fmbench.collection.files import full_lines_of
from fmbench.console import warn
from fmbench.digest import digest_of_json
from fmbench.encoder import Recipe, add_encoder_arguments, take_recipe
from fmbench.errors import UsageError
from fmbench.options import SUBOPTION_HELP, Arguments, add_model_arguments, read
from fmbench.parsing import Parser, natural, nonempty, positive, words

QUERIES = 32  # texts that are asked where there are no queries


@dataclass(frozen=True, slots=True)
class Subject:
    """Passages and queries with their ids. `gains` is query id -> document id -> gain, or None."""

    ids: Sequence[str]
    passages: Sequence[str]
    query_ids: Sequence[str]
    queries: Sequence[str]
    gains: Mapping[str, Mapping[str, float]] | None = None

    @property
    def digest(self) -> str:
        """What tells these texts from others, their ids included."""
        return digest_of_json([list(part) for part in (self.ids, self.passages, self.query_ids, self.queries)])

    @property
    def left_out(self) -> tuple[int, int]:
        """How many judgements are of documents that are not among the passages, of how many."""
        known = set(self.ids)
        judged = [document for documents in (self.gains or {}).values() for document in documents]
        return sum(document not in known for document in judged), len(judged)

    @classmethod
    def from_file(cls, path: Path) -> "Subject":
        """Read a text a line; blank lines are left out. The first lines are the queries too. Raises UsageError."""
        try:
            texts = [row.strip() for _, row in full_lines_of(path)]
        except UsageError as error:
            raise UsageError(f"--texts {error}") from None
        if texts and texts[0].startswith('{"'):
            raise UsageError(
                f"--texts {path}: holds JSON; write one plain text a line, or name a collection: --dataset"
            )
        if not texts:
            raise UsageError(f"--texts {path}: holds no text; write one a line")
        ids = [str(place) for place in range(len(texts))]
        return cls(ids, texts, ids[:QUERIES], texts[:QUERIES])

    @classmethod
    def from_folder(
        cls, folder: Path, documents: int | None, split: str, others: int | None = None, seed: int = 0
    ) -> "Subject":
        """Read a collection: the first documents, or those that are judged and others, and all queries.

        See `Dataset.cut`. Raises UsageError.
        """
        dataset = Dataset.from_folder(folder, split).cut(others, seed)
        dataset.check()
        chosen = list(islice(dataset.corpus, documents))
        queries = list(dataset.queries)
        gains = dataset.qrels.gains if dataset.qrels else None
        return cls(
            [document.id for document in chosen], [document.passage for document in chosen],
            [query.id for query in queries], [query.text for query in queries], gains,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CaptureArguments(Arguments):
    """One command line of `capture`, or of a command that continues a capture."""

    recipe: Recipe
    out: Path | None = None
    replace: bool = False
    texts: Path | None = None
    dataset: Path | None = None
    documents: int | None = None
    other_documents: int | None = None
    split: str | None = None
    probes: tuple[str, ...] | None = None
    colbert: Path | None = None
    a: Path | None = None
    b: Path | None = None
    ranking: Path | None = None
    index: bool = False

    def subject(self) -> Subject:
        """Read the texts, and warn where most judgements are of others. Raises UsageError."""
        if self.texts is not None:
            return Subject.from_file(self.texts)
        if self.dataset is None:
            raise UsageError("name the texts with --texts FILE or --dataset DIR")
        subject = Subject.from_folder(
            self.dataset, self.documents, self.split or "test", self.other_documents, self.seed
        )
        own = len({*subject.ids} & {*subject.query_ids})
        if own:
            warn(f"queries with the id of a document: {own:,}; they do not find it (as in BEIR)")
        gone, judged = subject.left_out
        if gone * 2 > judged:
            warn(f"{gone:,} of {judged:,} judgements are of documents that are left out; rankings say little")
        return subject


def build_parser(program: str, description: str, epilog: str) -> Parser:
    """Return a parser of a model, set up as everywhere."""
    parser = Parser(
        prog=program,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=description,
        epilog=f"{epilog}\n{SUBOPTION_HELP}",
    )
    add_model_arguments(parser)
    add_encoder_arguments(parser)
    parser.add_argument("--version", action="version", version=f"fmbench {__version__}")
    return parser


def add_subject_arguments(parser: Parser) -> None:
    """Add which texts, and the head that makes token vectors."""
    group = parser.add_argument_group("texts")
    one(
        group,
        "--texts",
        type=Path,
        metavar="FILE",
        help="a passage a line; the first 32 are the queries too, and none finds itself",
    )
    one(group, "--dataset", type=Path, metavar="DIR", help="a collection in BEIR's layout, its queries and judgements")
    one(group, "--documents", type=positive, metavar="N", help="the first N documents of --dataset (default: all)")
    one(
        group, "--other_documents", type=natural, metavar="N",
        help="those that are judged and N others, drawn by --seed: metrics are comparable on this part alone",
    )  # fmt: skip
    one(group, "--split", type=nonempty, metavar="NAME", help="which judgements, and so which queries (default: test)")
    one(
        group, "--colbert", type=Path, metavar="DIR",
        help="ColBERT checkpoint whose linear head makes token vectors (default: seeded random weights)",
    )  # fmt: skip


def add_probes(group: "argparse._ActionsContainer") -> None:
    """Add what is captured."""
    one(
        group, "--probes", type=words, metavar="NAME,...",
        help="default: all but `train` (`fmbench fidelity probes` lists them)",
    )  # fmt: skip


def add_capture(parser: Parser, name: str, help_text: str, **words: Any) -> None:
    """Add the folder of a capture."""
    parser.add_argument(name, metavar=name.upper(), type=Path, help=help_text, **words)


def one(group: "argparse._ActionsContainer", name: str, **words: Any) -> None:
    """Add an argument whose default the dataclass has."""
    group.add_argument(name, default=argparse.SUPPRESS, **words)


def parse(parser: Parser, argv: Sequence[str], *checks: Callable[[CaptureArguments], None]) -> CaptureArguments:
    """Read a command line without importing torch. Raises UsageError."""
    values = read(parser, argv)
    arguments = CaptureArguments(recipe=take_recipe(values), **values)
    for check in checks:
        check(arguments)
    return arguments


def check_subject(arguments: CaptureArguments) -> None:
    """Raise UsageError where the texts are not named, or twice."""
    if (arguments.texts is None) == (arguments.dataset is None):
        raise UsageError("name the texts with --texts FILE or --dataset DIR, one of the two")
    if arguments.texts is not None and arguments.documents is not None:
        raise UsageError("--documents goes with --dataset; a --texts FILE is taken whole")
    if arguments.texts is not None and arguments.other_documents is not None:
        raise UsageError("--other_documents goes with --dataset; a --texts FILE has no judgements")
    if arguments.documents is not None and arguments.other_documents is not None:
        raise UsageError("--documents takes the first, --other_documents those that are judged and others: name one")
    if arguments.texts is not None and arguments.split is not None:
        raise UsageError("--split goes with --dataset; a --texts FILE has no judgements")
    if arguments.recipe.tokens_per_batch == "auto":
        raise UsageError("--tokens_per_batch auto: batches that a measurement chooses differ from run to run")
