"""The files of a task: rankings, metrics, negatives, in one folder a data set."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fmbench.claim import one_writer
from fmbench.collection import Dataset, Qrels
from fmbench.console import note
from fmbench.distributed.environment import Launch
from fmbench.errors import UsageError, first_line
from fmbench.search import TopK, write_run
from fmbench.whole_file import whole_file

from .arguments import RetrieveArguments


@contextlib.contextmanager
def output_folder(arguments: RetrieveArguments, launch: Launch) -> Iterator[None]:
    """Make the output folder now, before anything slow, and keep it from other runs; it goes where nothing came of it.

    Raises UsageError where it cannot be made, another run writes to it, or it is not empty.
    """
    folder = arguments.output_dir if launch.rank == 0 else None
    with one_writer(folder, "--output_dir"):
        if folder is not None:
            check_empty(arguments)
        yield


def check_empty(arguments: RetrieveArguments) -> None:
    """Raise UsageError where the output folder holds something that nobody said may be written to."""
    folder, there = arguments.output_dir, None
    if folder is None:
        return
    try:
        there = next(folder.iterdir(), None)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"--output_dir {folder}: {first_line(error)}") from None
    if there is not None and not arguments.overwrite_output_dir:
        raise UsageError(f"--output_dir {folder}: holds {there.name} already; --overwrite_output_dir writes into it")


def check_files(arguments: RetrieveArguments) -> None:
    """Raise UsageError for pairs that cannot be read, and where titles are to be written and cannot be."""
    if arguments.special_docids is not None:
        Qrels.load([arguments.special_docids])
    path = arguments.predictions_path
    if path is None:
        return
    if path.is_dir():
        raise UsageError(f"--predictions_path {path}: is a folder; name a file in it")
    if arguments.gold_data_path is not None and path.resolve() == arguments.gold_data_path.resolve():
        raise UsageError(f"--predictions_path {path}: is the file of --gold_data_path; name another")
    if not path.resolve().parent.is_dir():
        raise UsageError(f"--predictions_path {path}: there is no folder {path.resolve().parent}; make it first")


def folder_of(arguments: RetrieveArguments, dataset: Dataset) -> Path:
    """Return the folder of a data set, and make it."""
    if arguments.output_dir is None:
        raise UsageError("nowhere to write to: --output_dir DIR")
    folder = arguments.output_dir / dataset.name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_rankings(arguments: RetrieveArguments, dataset: Dataset, top: TopK, vectors: str = "") -> None:
    """Write a run file, and say where it is; `vectors` says how they were compressed."""
    name = f"run-{vectors}" if vectors else "run"
    path = folder_of(arguments, dataset) / f"{name}.{arguments.run_format}"
    write_run(path, top, arguments.run_format)
    say_written("rankings", [path])


def write_json(path: Path, content: Any) -> None:
    """Write an object as JSON."""
    with whole_file(path) as stream:
        json.dump(content, stream, indent=1, allow_nan=False, ensure_ascii=False)
        stream.write("\n")


def say_written(what: str, paths: Sequence[Path]) -> None:
    """Say which files were written."""
    note(f"{what}: {', '.join(map(str, paths))}")
