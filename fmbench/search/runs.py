"""Run files: what a search found, in the formats that evaluation tools read and write.

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

from fmbench.errors import UsageError, first_line
from fmbench.whole_file import whole_file

from .topk import TopK

RunFormat = Literal["trec", "tsv", "jsonl"]

BLANKS = re.compile(r"[ \t]+")
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


def read_run(path: Path) -> dict[str, list[str]]:
    """Return of each query its documents in the order of their ranks. The ending says the format.

    Raises UsageError for an ending that is none of trec, tsv and jsonl, a line that is no such line, a rank that does
    not follow the one before, and a document or a query that comes twice.
    """
    kind = path.suffix.removeprefix(".")
    if kind not in READERS:
        raise UsageError(f"{path}: a run ends in .trec, .tsv or .jsonl, which says its format")
    found: dict[str, list[str]] = {}
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                try:
                    READERS[kind](line.rstrip("\n"), found)
                except (ValueError, KeyError, TypeError) as error:
                    raise UsageError(f"{path}, line {number}: is no line of a {kind} run: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {first_line(error)}") from None
    if not found:
        raise UsageError(f"{path}: holds no ranking")
    for query, names in found.items():
        if len(set(names)) != len(names):
            twice = next(name for place, name in enumerate(names) if name in names[:place])
            raise UsageError(f"{path}: query {query} has document {twice} twice")
    return found


def read_trec(line: str, found: dict[str, list[str]]) -> None:
    """Take over a line `qid Q0 docid rank score tag`."""
    query, _, name, rank, _, _ = BLANKS.split(line.strip(" \t"))
    take(query, name, int(rank), found)


def read_tsv(line: str, found: dict[str, list[str]]) -> None:
    """Take over a line `qid, pid, rank, score`."""
    query, name, rank, _ = line.split("\t")
    take(query, name, int(rank), found)


def read_json(line: str, found: dict[str, list[str]]) -> None:
    """Take over an object `{"qid": ..., "docid": [...], "score": [...]}`."""
    said = json.loads(line)
    if said["qid"] in found:
        raise ValueError(f"query {said['qid']} comes twice")
    found[said["qid"]] = list(map(str, said["docid"]))


def take(query: str, name: str, rank: int, found: dict[str, list[str]]) -> None:
    """Take over a hit. Raises ValueError for a rank that does not follow; both 0 and 1 may be the first."""
    names = found.setdefault(query, [])
    if rank not in (len(names), len(names) + 1):
        raise ValueError(f"rank {rank} after {len(names)} documents")
    names.append(name)


READERS: dict[str, Callable[[str, dict[str, list[str]]], None]] = {
    "trec": read_trec, "tsv": read_tsv, "jsonl": read_json,
}  # fmt: skip
