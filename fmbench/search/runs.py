"""Run files: what a search found, in the formats that evaluation tools read and write.

`trec` is `qid Q0 docid rank score tag`, with blanks between; `tsv` is `qid, pid, rank, score`, with tabs and without
a header; `jsonl` is one object a query, `{"qid": ..., "docid": [...], "score": [...]}`. Ranks count from 1. A score is
written with as many digits as tell it from every other float32 number.

Ids are written as they are: an encoded id would match nothing in the qrels. An id with a blank is no field of a TREC
run, nor one with a tab or a line break of a TSV, nor one with a NUL of either; such an id is refused. JSON lines hold
every id, and queries without results too.
"""

import json
import math
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


Hit = tuple[str, int, float]  # a document, its rank and its score


def read_run(path: Path) -> dict[str, list[str]]:
    """Return of each query its documents in the order of their ranks. The ending says the format.

    Raises UsageError, with file and line, for an ending that is none of trec, tsv and jsonl, a line that is no such
    line, and for what `Ranking.take` refuses.
    """
    kind = path.suffix.removeprefix(".")
    if kind not in READERS:
        raise UsageError(f"{path}: a run ends in .trec, .tsv or .jsonl, which says its format")
    found: dict[str, Ranking] = {}
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                read_line(line.rstrip("\n"), kind, f"{path}, line {number}", found)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {first_line(error)}") from None
    if not found:
        raise UsageError(f"{path}: holds no ranking")
    return {query: list(ranking.names) for query, ranking in found.items()}


def read_line(line: str, kind: str, where: str, found: "dict[str, Ranking]") -> None:
    """Take over one line of a run. Raises UsageError that begins with `where`."""
    try:
        query, hits = READERS[kind](line)
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{where}: is no line of a {kind} run, which is {FORMS[kind]}") from None
    if kind == "jsonl" and query in found:
        raise UsageError(f"{where}: query {query} comes twice")
    ranking = found.setdefault(query, Ranking())
    try:
        for hit in hits:
            ranking.take(*hit)
    except ValueError as error:
        raise UsageError(f"{where}: query {query}: {error}") from None


class Ranking:
    """The documents of one query, as they are taken."""

    def __init__(self) -> None:
        self.names: dict[str, None] = {}
        self._next: int | None = None
        self._score = math.inf

    def take(self, name: str, rank: int, score: float) -> None:
        """Take over the next hit; 0 or 1 is the first rank.

        Raises ValueError for a document that comes twice, a rank that does not follow, a score that is no finite
        number, and one that is above the rank before: programs that go by scores would read another ranking.
        """
        if name in self.names:
            raise ValueError(f"document {name} comes twice")
        if rank != self._next and (self.names or rank not in (0, 1)):
            wanted = "0 or 1" if self._next is None else self._next
            raise ValueError(f"rank {rank} where {wanted} is next")
        if not math.isfinite(score):
            raise ValueError(f"score {score} of document {name} is not a finite number")
        if score > self._score:
            raise ValueError(f"rank {rank} has score {score:g}, above {self._score:g} of the rank before; one of rank "
                             "and score is wrong")  # fmt: skip
        self.names[name] = None
        self._next, self._score = rank + 1, score


def read_trec(line: str) -> tuple[str, list[Hit]]:
    """Return the query of a line `qid Q0 docid rank score tag`, and its hit."""
    query, _, name, rank, score, _ = BLANKS.split(line.strip(" \t"))
    return query, [(name, int(rank), float(score))]


def read_tsv(line: str) -> tuple[str, list[Hit]]:
    """Return the query of a line `qid, pid, rank, score`, and its hit."""
    query, name, rank, score = line.split("\t")
    return query, [(name, int(rank), float(score))]


def read_json(line: str) -> tuple[str, list[Hit]]:
    """Return the query of an object `{"qid": ..., "docid": [...], "score": [...]}`, and its hits."""
    said = json.loads(line)
    names, scores = said["docid"], said["score"]
    if not isinstance(names, list) or not isinstance(scores, list) or len(names) != len(scores):
        raise ValueError("docid and score are not two lists of one length")
    pairs = zip(map(str, names), map(float, scores), strict=True)
    return str(said["qid"]), [(name, rank, score) for rank, (name, score) in enumerate(pairs, 1)]


FORMS = {
    "trec": "qid Q0 docid rank score tag", "tsv": "qid, docid, rank and score with tabs between, and no header",
    "jsonl": '{"qid": ..., "docid": [...], "score": [...]} with two lists of one length',
}  # fmt: skip
READERS: dict[str, Callable[[str], tuple[str, list[Hit]]]] = {
    "trec": read_trec, "tsv": read_tsv, "jsonl": read_json,
}  # fmt: skip
