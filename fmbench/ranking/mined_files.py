"""Files of mined negatives, laid out as Trove does; each reads back as qrels."""

import itertools
import json
from collections.abc import Iterable
from pathlib import Path

from fmbench.collection import Dataset, Texts
from fmbench.collection.qrels import Form, Gains, write_qrels
from fmbench.errors import UsageError, first_line
from fmbench.whole_file import whole_file

NAMES: dict[Form, str] = {"tsv": "mined_qrels.tsv", "grouped": "mined_qrels.jsonl"}


def write_mined(
    negatives: Gains, folder: Path, dataset: Dataset, form: Form = "tsv", merge: bool = False
) -> list[Path]:
    """Write negatives and return the files.

    `merge`: one file, `mined_qrels.tsv`. Else one a pair of query file and corpus file that has any, as
    `query_corpus_pair_<i>/mined_qrels.tsv`, with `file_pair_metadata.json` beside it that names the two. Raises
    UsageError for a folder that cannot be made.
    """
    if merge:
        return [written(negatives, folder, form)]
    documents = files_of(dataset.corpus, {document for found in negatives.values() for document in found})
    queries = files_of(dataset.queries, negatives)
    paths = []
    pairs = itertools.product(dataset.queries.paths, dataset.corpus.paths)
    for number, (query_file, corpus_file) in enumerate(pairs):
        chosen = {
            query: kept
            for query, found in negatives.items()
            if queries.get(query) == query_file
            and (kept := {name: score for name, score in found.items() if documents.get(name) == corpus_file})
        }
        if chosen:
            place = folder / f"query_corpus_pair_{number}"
            paths.append(written(chosen, place, form))
            describe(place, query_file, corpus_file)
    return paths


def written(negatives: Gains, folder: Path, form: Form) -> Path:
    """Write one file and return its path."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made ({error.strerror or first_line(error)})") from None
    path = folder / NAMES[form]
    write_qrels(negatives, path, form)
    return path


def describe(folder: Path, query_file: Path, corpus_file: Path) -> None:
    """Write which files the negatives are of."""
    facts = {
        "query_file": str(query_file),
        "query_realpath": str(query_file.resolve()),
        "corpus_file": str(corpus_file),
        "corpus_realpath": str(corpus_file.resolve()),
    }
    with whole_file(folder / "file_pair_metadata.json") as stream:
        json.dump(facts, stream, indent=2)
        stream.write("\n")


def files_of(texts: Texts, ids: Iterable[str]) -> dict[str, Path]:
    """Return which file each of some texts is in, in one pass."""
    wanted = frozenset(ids)
    return {document.id: path for path, _, document in texts.located() if document.id in wanted}
