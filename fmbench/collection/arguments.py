"""The command line of every driver that reads a collection: which data sets, and what is checked of them first."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from fmbench.console import warn
from fmbench.encoder import Recipe
from fmbench.encoder.recipe import flag as yes_or_no
from fmbench.errors import UsageError
from fmbench.options import Arguments
from fmbench.parsing import Parser, adder, decimal, flag, natural, nonempty, paths

from .check import Check
from .dataset import Dataset
from .files import fetched, some
from .qrels import ROUND, Transform
from .texts import Complaint

SIMILARITIES = ("cosine", "dot")


@dataclass(frozen=True, kw_only=True)
class DataArguments(Arguments):
    """What these drivers ask. What a task does not ask has its default."""

    task: str
    recipe: Recipe
    dataset: tuple[Path, ...] = ()
    split: str = "test"
    corpus: tuple[Path, ...] = ()
    queries: tuple[Path, ...] = ()
    qrels: tuple[Path, ...] = ()
    query_subset: tuple[Path, ...] = ()
    min_score: float | None = None
    max_score: float | None = None
    score_transform: Transform | None = None
    stack_qrels: bool = False
    other_documents: int | None = None
    strict: bool = False
    encoding_cache_dir: Path | None = None
    similarity: str | None = None
    ignore_identical_ids: bool = True
    latency_queries: int = 100
    ir_metrics_k_values: tuple[int, ...] = (1, 3, 5, 10, 100)
    ir_metrics_relevance_threshold: float = 1.0
    output_dir: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The texts and judgements that it names."""
        return *self.dataset, *self.corpus, *self.queries, *self.qrels, *self.query_subset


def add_data_arguments(parser: Parser, cache: str = "") -> None:
    """Add which texts and judgements; several paths are one comma list. `cache` begins the help of the cache."""
    group = parser.add_argument_group("data")
    add = adder(group)
    add(
        "--dataset", type=paths, metavar="DIR,...", help="folders in BEIR's layout: corpus.jsonl, queries.jsonl, qrels/"
    )
    add(
        "--split",
        type=nonempty,
        metavar="NAME",
        help="which of a folder's qrels, and so which queries (default: "
        "test; `distill contrast`: train; `distill teacher`: none, so that it takes texts of the corpus alone)",
    )
    add("--corpus", type=paths, metavar="FILE,...", help="JSONL or TSV, packed or not; one corpus. Of the hub: "
        "hf://datasets/ORG/NAME/FILE")  # fmt: skip
    add("--queries", type=paths, metavar="FILE,...", help="the same, without titles")
    add("--qrels", type=paths, metavar="FILE,...", help="TSV or CSV of three columns, TREC's four, or JSONL")
    add("--query_subset", type=paths, metavar="FILE,...", help="only the queries whose ids these files name")
    add("--min_score", type=decimal, metavar="GAIN", help="least gain of a judgement that counts (inclusive)")
    add("--max_score", type=decimal, metavar="GAIN", help="gain from which on a judgement does not count (exclusive)")
    add(
        "--score_transform", type=transform, metavar="floor|ceil|GAIN", help="round gains, or give all of them this one"
    )
    flag(
        group, "--stack_qrels", "of a pair that several --qrels judge, the last file counts; else two gains are refused"
    )
    add("--other_documents", type=natural, metavar="N", help="search only the judged documents and N others, drawn "
        "by --seed: faster, and figures that are comparable on this part alone")  # fmt: skip
    flag(group, "--strict", "refuse judgements of ids that no file holds; else they are counted and listed")
    add("--encoding_cache_dir", type=Path, metavar="DIR",
        help=f"{cache}keep the vectors here; a killed run goes on from there")  # fmt: skip


def transform(text: str) -> Transform:
    """Read how gains are changed."""
    return cast("Transform", text) if text in ROUND else decimal(text)


def add_identical_arguments(parser: Parser) -> None:
    """Add whether a query may find itself; mining has no such choice."""
    adder(parser.add_argument_group("queries that are documents"))(
        "--ignore_identical_ids", type=yes_or_no, metavar="yes|no",
        help="leave the document that has the query's id out of its ranking, as BEIR does; say no where the ids of "
        "queries and documents are two unrelated series (default: yes)",
    )  # fmt: skip


def check_data(arguments: DataArguments) -> None:
    """Raise UsageError where no data is named, or in two ways."""
    files = bool(arguments.corpus or arguments.queries or arguments.qrels)
    if bool(arguments.dataset) == files:
        raise UsageError("name the data with --dataset DIR, or with --corpus, --queries and --qrels")
    if arguments.stack_qrels and len(arguments.qrels) < 2:
        raise UsageError("--stack_qrels: of several files the last one counts; --qrels A,B names them")


def named_datasets(arguments: DataArguments, judged: bool) -> list[Dataset]:
    """Find the files of every data set; only judgements are read, and a corpus that is cut down.

    Raises UsageError, with `judged` where a data set has no judgements.
    """
    chosen: Any = {
        "subset": tuple(map(fetched, arguments.query_subset)),
        "min_score": arguments.min_score,
        "max_score": arguments.max_score,
        "transform": arguments.score_transform,
    }
    if arguments.corpus:
        files = [tuple(map(fetched, named)) for named in (arguments.corpus, arguments.queries, arguments.qrels)]
        name = "" if files[0] == arguments.corpus else arguments.corpus[0].parent.name.partition("@")[0]
        found = [Dataset.from_files(*files, stacked=arguments.stack_qrels, name=name, **chosen)]
    else:
        found = [Dataset.from_folder(folder, arguments.split or None, **chosen) for folder in arguments.dataset]
    names = [dataset.name for dataset in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"--dataset: two folders are called {twice}; their results could not be told apart")
    unjudged = next((dataset.name for dataset in found if judged and dataset.qrels is None), None)
    if unjudged is not None:
        raise UsageError(f"{unjudged}: has no folder qrels; without judgements nothing can be said of quality")
    return [dataset.cut(arguments.other_documents, arguments.seed) for dataset in found]


def check_datasets(
    datasets: list[Dataset], arguments: DataArguments, quiet: bool, complaint: Complaint | None = None
) -> None:
    """Read every file once, and warn of what is odd. Raises UsageError, with `--strict` for unknown ids too."""
    for dataset in datasets:
        check = dataset.check(arguments.strict, complaint)
        if dataset.other_documents is not None and not quiet:
            warn(f"{dataset.name}: {cut_down(dataset, check.documents, arguments.seed)}")
        said = check.oddities()
        if check.identical_ids and arguments.task != "encode":
            said.append(identical(check, arguments))
        for oddity in said if not quiet else ():
            warn(f"{dataset.name}: {oddity}")


def identical(check: Check, arguments: DataArguments) -> str:
    """Say that queries have the ids of documents, and what becomes of these."""
    said = [
        f"queries with the id of a document: {len(check.identical_ids):,} ({some(check.identical_ids)}), "
        f"{check.identical_texts:,} of them with its text"
    ]
    if arguments.task == "mine":
        return f"{said[0]}; it is never a negative of theirs"
    if not arguments.ignore_identical_ids:
        return f"{said[0]}; they may find it (--ignore_identical_ids no, unlike BEIR)"
    said.append("they do not find it (--ignore_identical_ids yes, as in BEIR)")
    if check.own_judgements:
        said.append(f"judgements of a query's own id, which count as not found: {check.own_judgements:,}")
    if not check.identical_texts:
        said.append("two unrelated series of ids? then --ignore_identical_ids no")
    return "; ".join(said)


def cut_down(dataset: Dataset, documents: int, seed: int) -> str:
    """Say what a part of a corpus is, and what its figures are worth."""
    return (
        f"searches {documents:,} documents, the judged ones and {dataset.other_documents:,} others at most (drawn by "
        f"--seed {seed}): nDCG and every other metric are as high or higher than on the whole; compare them on this "
        "part alone"
    )
