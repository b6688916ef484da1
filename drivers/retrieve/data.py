"""The data sets that a command line names, checked before anything slow happens."""

from fmbench.collection import Dataset
from fmbench.console import warn
from fmbench.errors import UsageError

from .arguments import RetrieveArguments


def open_datasets(arguments: RetrieveArguments) -> list[Dataset]:
    """Read and check every data set, and warn of what is odd. Raises UsageError."""
    chosen = {"subset": arguments.query_subset, "min_score": arguments.min_score, "max_score": arguments.max_score}
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
        for oddity in dataset.check(arguments.strict).oddities():
            warn(f"{dataset.name}: {oddity}")
    return found
