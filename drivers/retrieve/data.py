"""The data sets that a command line names, checked before anything slow happens."""

from typing import Any

from fmbench.collection import Dataset
from fmbench.console import warn
from fmbench.errors import UsageError

from .arguments import RetrieveArguments


def open_datasets(arguments: RetrieveArguments) -> list[Dataset]:
    """Find the files of every data set; nothing but the judgements is read yet. Raises UsageError."""
    chosen: Any = {"subset": arguments.query_subset, "min_score": arguments.min_score, "max_score": arguments.max_score}
    if arguments.corpus:
        found = [Dataset.from_files(arguments.corpus, arguments.queries, arguments.qrels, **chosen)]
    else:
        found = [Dataset.from_folder(folder, arguments.split, **chosen) for folder in arguments.dataset]
    names = [dataset.name for dataset in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"--dataset: two folders are called {twice}; their results could not be told apart")
    for dataset in found:
        if arguments.task == "evaluate" and dataset.qrels is None:
            raise UsageError(f"{dataset.name}: has no folder qrels; without judgements nothing can be said of quality")
    return found


def check_datasets(datasets: list[Dataset], strict: bool) -> None:
    """Read every file once, and warn of what is odd. Raises UsageError, with `strict` for unknown ids too."""
    for dataset in datasets:
        for oddity in dataset.check(strict).oddities():
            warn(f"{dataset.name}: {oddity}")
