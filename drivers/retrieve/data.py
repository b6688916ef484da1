"""The data sets that a command line names, checked before anything slow happens."""

from pathlib import Path
from typing import Any

from fmbench.collection import Dataset
from fmbench.collection.check import Check
from fmbench.collection.files import some
from fmbench.collection.texts import Complaint
from fmbench.console import warn
from fmbench.errors import UsageError
from fmbench.ranking.pages import Titles, read_pages, unquoted
from fmbench.search.runs import RunFormat, fits

from .arguments import RetrieveArguments


def open_datasets(arguments: RetrieveArguments) -> list[Dataset]:
    """Find the files of every data set; only judgements are read, and a corpus that is cut down. Raises UsageError."""
    chosen: Any = {"subset": arguments.query_subset, "min_score": arguments.min_score, "max_score": arguments.max_score}
    if arguments.corpus:
        found = [Dataset.from_files(arguments.corpus, arguments.queries, arguments.qrels, **chosen)]
    else:
        found = [Dataset.from_folder(folder, arguments.split or None, **chosen) for folder in arguments.dataset]
    names = [dataset.name for dataset in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"--dataset: two folders are called {twice}; their results could not be told apart")
    for option, path in (
        ("gold_data_path", arguments.gold_data_path),
        ("predictions_path", arguments.predictions_path),
    ):
        if path is not None and len(found) > 1:
            raise UsageError(f"--{option} {path}: holds the titles of one data set, and {len(found)} are named")
    for dataset in found:
        if arguments.task == "evaluate" and dataset.qrels is None and arguments.gold_data_path is None:
            raise UsageError(f"{dataset.name}: has no folder qrels; without judgements nothing can be said of quality")
    return [dataset.cut(arguments.other_documents, arguments.seed) for dataset in found]


def check_all(datasets: list[Dataset], arguments: RetrieveArguments, quiet: bool) -> None:
    """Read every file once, and warn of what is odd. Raises UsageError for what would fail once all is encoded."""
    check_datasets(datasets, arguments, quiet, lambda name: unfit(name, arguments))
    if arguments.gold_data_path is None:
        return
    gold = read_pages(arguments.gold_data_path)
    for dataset in datasets:
        check_gold(arguments.gold_data_path, gold, dataset)
    warning = quoted_gold(gold, arguments.title_normalisation)
    if warning is not None and not quiet:
        warn(f"{arguments.gold_data_path}: {warning}")


def check_datasets(
    datasets: list[Dataset], arguments: RetrieveArguments, quiet: bool, complaint: Complaint | None = None
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


def identical(check: Check, arguments: RetrieveArguments) -> str:
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


def unfit(name: str, arguments: RetrieveArguments) -> str | None:
    """Say why the files that are to be written cannot hold an id, and what can; None where they can."""
    mined = arguments.task == "mine"
    kind: RunFormat = arguments.run_format
    if mined:
        kind = "jsonl" if arguments.output_qrel_format == "grouped" else "tsv"
    if arguments.output_dir is None or fits(name, kind):
        return None
    if mined:
        return f"the id {name!r} does not fit in a TSV; choose --output_qrel_format grouped"
    others = "tsv|jsonl" if kind == "trec" else "jsonl"
    return f"the id {name!r} does not fit in a {kind} run; choose --run_format {others}"


def check_gold(path: Path, gold: list[Titles], dataset: Dataset) -> None:
    """Raise UsageError where a file of gold titles is not of the data set's queries."""
    if len(gold) != dataset.queries.count():
        queries = ", ".join(map(str, dataset.queries.paths))
        raise UsageError(
            f"--gold_data_path {path}: has {len(gold):,} lines for {dataset.queries.count():,} queries; it must have "
            f"one line a judged query, in the order of {queries}"
        )


def quoted_gold(gold: list[Titles], normalisation: str) -> str | None:
    """Say that gold titles have quotes at their ends, which retrieved ones have lost; None where that is no matter."""
    quoted = sum(title != unquoted(title) for titles in gold for title in titles)
    if not quoted or "quotes" in map(str.strip, normalisation.split(",")):
        return None
    return (
        f"gold titles with a double quote at an end, which retrieved titles lose: {quoted:,}; "
        "--title_normalisation quotes compares without"
    )
