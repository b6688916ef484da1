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
from typing import Any, Literal

import numpy as np

from fmbench.collection.files import full_lines_of
from fmbench.errors import UsageError
from fmbench.whole_file import whole_file

from .topk import UNKNOWN, Hit, TopK, best

RunFormat = Literal["trec", "tsv", "jsonl"]

BLANK = re.compile(r"[ \t\n\v\f\r]")
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


def read_run(path: Path) -> TopK:
    """Read a run of any of the formats, recognised by its first line, and put it into the total order.

    Scores are rounded to float32, as trec_eval does; ranks are not looked at. Raises UsageError for a file that
    cannot be read, and for a line that is none of a run, with its number.
    """
    hits: dict[str, dict[str, float]] = {}
    for number, query_id, pairs in parsed(path):
        mine = hits.setdefault(query_id, {})
        for name, score in pairs:
            if name in mine:
                raise UsageError(f"{path}:{number}: document {name!r} stands twice under query {query_id!r}")
            mine[name] = score
    ranked: list[list[Hit]] = [
        best([(score, name, UNKNOWN) for name, score in mine.items()], len(mine)) for mine in hits.values()
    ]
    return TopK.of(hits, ranked)


Parsed = tuple[str, list[tuple[str, float]]]  # a query's id; document ids with scores


def parsed(path: Path) -> Iterator[tuple[int, str, list[tuple[str, float]]]]:
    """Yield (line number, query id, documents with scores) of every line that is not empty."""
    parse: Callable[[str], Parsed] | None = None
    for number, line in full_lines_of(path):
        parse = parse or parser(line)
        try:
            query_id, pairs = parse(line)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UsageError(f"{path}:{number}: is no line of a run (trec, tsv or jsonl): {line[:80]!r}") from None
        yield number, query_id, pairs


def parser(line: str) -> Callable[[str], Parsed]:
    """Return what reads lines like this one."""
    if line.startswith("{"):
        return parse_json
    return parse_tsv if line.count("\t") == 3 else parse_trec


def parse_json(line: str) -> Parsed:
    """Read a line of a grouped run."""
    row = json.loads(line)
    names, scores = row["docid"], row["score"]
    texts = [row["qid"], *names]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in texts):
        raise TypeError("ids are texts")
    return row["qid"], [(name, number(score)) for name, score in zip(names, scores, strict=True)]


def parse_tsv(line: str) -> Parsed:
    """Read a line of a TSV run."""
    query_id, name, rank, score = line.split("\t")
    int(rank)  # of four columns in another order this is no number
    return query_id, [(name, number(score))]


def parse_trec(line: str) -> Parsed:
    """Read a line of a TREC run."""
    query_id, _, name, _, score, _ = (field for field in BLANK.split(line) if field)
    return query_id, [(name, number(score))]


def number(value: Any) -> float:
    """Return a score rounded to float32. Raises ValueError for what is no finite number."""
    with np.errstate(over="ignore"):
        score = float(np.float32(value)) + 0.0  # one zero, not two
    if not np.isfinite(score):
        raise ValueError("not finite")
    return score
