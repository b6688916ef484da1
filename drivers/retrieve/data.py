"""The data sets that a command line names, checked before anything slow happens."""

from pathlib import Path

from fmbench.collection import Dataset
from fmbench.collection.arguments import check_datasets, named_datasets
from fmbench.console import warn
from fmbench.errors import UsageError
from fmbench.ranking.pages import Titles, read_pages, unquoted
from fmbench.search.runs import RunFormat, fits

from .arguments import RetrieveArguments


def open_datasets(arguments: RetrieveArguments) -> list[Dataset]:
    """Find the files of every data set, as `named_datasets` does. Raises UsageError."""
    for option, path in (
        ("gold_data_path", arguments.gold_data_path),
        ("predictions_path", arguments.predictions_path),
    ):
        if path is not None and len(arguments.dataset) > 1:
            raise UsageError(
                f"--{option} {path}: holds the titles of one data set, and {len(arguments.dataset)} are named"
            )
    return named_datasets(arguments, judged=arguments.task == "evaluate" and arguments.gold_data_path is None)


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
