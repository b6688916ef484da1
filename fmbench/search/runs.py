"""Run files: what a search found, in the formats that evaluation tools read.

`trec` is `qid Q0 docid rank score tag`, with blanks between; `tsv` is `qid, pid, rank, score`, with tabs and without
a header; `jsonl` is one object a query, `{"qid": ..., "docid": [...], "score": [...]}`. Ranks count from 1. A score is
written with as many digits as tell it from every other float32 number.

Ids are written as they are: an encoded id would match nothing in the qrels. An id with a blank is no field of a TREC
run, nor one with a tab or a line break of a TSV, nor one with a NUL of either; such an id is refused. JSON lines hold
every id, and queries without results too.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from fmbench.errors import UsageError
from fmbench.whole_file import whole_file

from .topk import TopK

RunFormat = Literal["trec", "tsv", "jsonl"]

FORBIDDEN = {"trec": re.compile(r"[ \t\n\v\f\r\0]"), "tsv": re.compile(r"[\t\n\r\0]"), "jsonl": None}


def write_run(path: Path, found: TopK, kind: RunFormat, tag: str = "fmbench") -> None:
    """Write a run, whole or not at all. Raises UsageError for an id that the format cannot hold."""
    check_ids(path, found, kind)
    with whole_file(path) as stream:
        stream.writelines(WRITERS[kind](found, tag))


def check_ids(path: Path, found: TopK, kind: RunFormat) -> None:
    """Raise UsageError for the first id that a format cannot hold."""
    if FORBIDDEN[kind] is None:
        return
    others = "tsv or jsonl" if kind == "trec" else "jsonl"
    for query_id, ids in zip(found.query_ids, found.ids, strict=True):
        for what, name in (("query", query_id), *(("document", name) for name in ids)):
            if not fits(name, kind):
                raise UsageError(f"{path}: {what} id {name!r} does not fit in a {kind} run; write {others}")


def fits(name: str, kind: RunFormat) -> bool:
    """Return whether a run of a format can hold an id."""
    forbidden = FORBIDDEN[kind]
    return forbidden is None or bool(name and not forbidden.search(name) and is_text(name))


def is_text(name: str) -> bool:
    """Return whether a file can hold a text: half a surrogate pair is none."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def trec_lines(found: TopK, tag: str) -> Iterator[str]:
    """Yield the lines of a TREC run."""
    for query_id, name, rank, score in rows(found):
        yield f"{query_id} Q0 {name} {rank} {score} {tag}\n"


def tsv_lines(found: TopK, tag: str) -> Iterator[str]:
    """Yield the lines of a TSV run."""
    for query_id, name, rank, score in rows(found):
        yield f"{query_id}\t{name}\t{rank}\t{score}\n"


def json_lines(found: TopK, tag: str) -> Iterator[str]:
    """Yield the lines of a grouped run."""
    for query_id, ids, scores in zip(found.query_ids, found.ids, found.scores, strict=True):
        numbers = [float(text) for text in map(str, scores)]  # of the shortest decimals
        yield json.dumps({"qid": query_id, "docid": ids, "score": numbers}) + "\n"


WRITERS: dict[str, Callable[[TopK, str], Iterator[str]]] = {"trec": trec_lines, "tsv": tsv_lines, "jsonl": json_lines}


def rows(found: TopK) -> Iterator[tuple[str, str, int, str]]:
    """Yield query id, document id, rank and score of every hit."""
    for query_id, ids, scores in zip(found.query_ids, found.ids, found.scores, strict=True):
        for rank, (name, score) in enumerate(zip(ids, map(str, scores), strict=True), 1):
            yield query_id, name, rank, score
