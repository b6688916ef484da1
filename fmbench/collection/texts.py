"""A corpus, or a set of queries: files of texts that are streamed."""

import hashlib
import itertools
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fmbench.errors import UsageError

from .document import Document
from .files import RowError, full_lines_of, refuse_no_file, some
from .rows import IDS, column_names, json_document, quoted_fields

CHUNK = 2**20
TSV_IDS = {
    *IDS,
    "corpus_id",
    "doc-id",
    "doc_id",
    "doc_no",
    "docno",
    "document-id",
    "document_id",
    "id",
    "identifier",
    "pid",
    "query id",
    "topic",
    "topic-id",
    "topic_id",
}
# Words that a first line may consist of and be a header all the same: one that is not understood.
OTHER_WORDS = {
    "answer", "answers", "body", "content", "contents", "description", "doc", "doc-text", "doc_text", "document",
    "headline", "label", "num", "number", "passage", "query", "query text", "question", "score", "sentence", "text",
    "title", "url",
}  # fmt: skip
Parse = Callable[[str], Document]
Split = Callable[[str], list[str]]
Complaint = Callable[[str], str | None]  # what is wrong with an id, if anything


@dataclass(frozen=True, slots=True)
class Survey:
    """What one pass over texts found: their ids, how many are empty (no title either), how many in CSV's quotes."""

    ids: set[str]
    empty: int
    quoted: int


class Texts:
    """One or many files of texts, in the order given; may be iterated again and again.

    A file holds JSON lines (an id under exactly one of `_id`, `qid`, `query_id`, `query-id`, `docid`, `passage_id`,
    `passage-id`, `corpus-id`; `text`; `title` or none) or TSV. Under a header, which names id, text and perhaps title
    in any order, fields are quoted as in CSV (DPR's psgs_w100.tsv), and other columns are left out. Without one there
    are two columns, id and text, and no quoting (MS MARCO's collection.tsv); of three, some programs mean id, title,
    text (RocketQA) and others id, text, title (ColBERT). `ids`: only these are of interest.
    """

    def __init__(self, paths: Sequence[Path], *, ids: Collection[str] | None = None) -> None:
        self.paths = tuple(paths)
        self.ids = None if ids is None else frozenset(ids)
        self._count: int | None = None
        self._digest: str | None = None
        for path in self.paths:
            refuse_no_file(path)

    def __iter__(self) -> Iterator[Document]:
        """Yield the documents in order. Raises UsageError for a bad line, with file and number."""
        return (document for _, _, document in self.located())

    def located(self) -> Iterator[tuple[Path, int, Document]]:
        """Yield the documents with their files and line numbers."""
        for path in self.paths:
            for number, document in documents_of(path):
                if self.ids is None or document.id in self.ids:
                    yield path, number, document

    def survey(self, complaint: Complaint | None = None) -> Survey:
        """Read everything once.

        Raises UsageError where an id occurs twice, in one file or in several, and for one that is complained of.
        """
        ids: set[str] = set()
        empty = quoted = 0
        repeated: dict[str, tuple[Path, int]] = {}
        for path, number, document in self.located():
            if document.id in ids:
                repeated.setdefault(document.id, (path, number))
            if complaint is not None and (wrong := complaint(document.id)):
                raise UsageError(f"{path}, line {number}: {wrong}")
            ids.add(document.id)
            empty += not document.passage
            quoted += in_quotes(document.text) or in_quotes(document.title)
        if repeated:
            path, number = next(iter(repeated.values()))
            raise UsageError(
                f"{path}, line {number}: the id was there before; ids that occur twice: {some(list(repeated))}"
            )
        self._count = len(ids)
        return Survey(ids, empty, quoted)

    def count(self) -> int:
        """Return how many texts there are. The first call reads everything, and refuses what `survey` refuses."""
        if self._count is None:
            self.survey()
        return self._count or 0

    def digest(self) -> str:
        """Return the SHA-256 over the files' bytes in order, and over the ids of interest; not over any name."""
        if self._digest is None:
            total = hashlib.sha256()
            for path in self.paths:
                total.update(digest_of(path))
            if self.ids is not None:
                total.update(json.dumps(sorted(self.ids)).encode())
            self._digest = total.hexdigest()
        return self._digest


def digest_of(path: Path) -> bytes:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.digest()


def documents_of(path: Path) -> Iterator[tuple[int, Document]]:
    """Yield the documents of a file with their line numbers. Raises UsageError for a line that is none."""
    lines = full_lines_of(path)
    first = next(lines, None)
    if first is None:
        return
    number, line = first
    try:
        if line.lstrip()[0] in "{[":
            parse: Parse = json_document
        else:
            header = header_of(line)
            parse = header or columns_of(line)
            first = None if header else first
        for number, line in itertools.chain([first] if first else [], lines):
            yield number, parse(line)
    except RowError as error:
        raise UsageError(f"{path}, line {number}: {error}") from None


def in_quotes(text: str) -> bool:
    """Say whether a text looks like a field of CSV: in double quotes, with doubled ones inside."""
    return len(text) > 2 and text[0] == text[-1] == '"' and '""' in text[1:-1]


def header_of(line: str) -> Parse | None:
    """Return how lines below a TSV header are read, or None where the line is no header.

    A header is what names an id, or has nothing but names of columns. Raises RowError for one that is not understood.
    """
    if line.startswith("#"):
        raise RowError("begins with #, as comments and headers do: take it out, or name the columns (id<TAB>text)")
    names = column_names(line.split("\t"))
    ids = [place for place, name in enumerate(names) if name in TSV_IDS]
    if not ids and not OTHER_WORDS.issuperset(names):
        return None
    if len(ids) != 1 or names.count("text") != 1 or names.count("title") > 1:
        raise RowError(
            f"is a header of {', '.join(names)[:80]}; it must have text, one of {', '.join(sorted(TSV_IDS))}, and may "
            "have title (if it is no header, put id<TAB>text above it)"
        )
    title = names.index("title") if "title" in names else None
    return tsv_parser(quoted_fields, len(names), ids[0], names.index("text"), title)


def columns_of(line: str) -> Parse:
    """Return how the lines of a TSV without header are read. Raises RowError."""
    count = len(line.split("\t"))
    if count != 2:
        raise RowError(
            f"is no JSON object and has {count} column{'s' * (count > 1)}; a TSV without a header has two, id and "
            "text: put a header above any others, such as id<TAB>title<TAB>text"
        )
    if line.startswith('"'):
        raise RowError("has an id in quotes, which only a TSV with a header has: put id<TAB>text above it")
    return tsv_parser(lambda row: row.split("\t"), count, 0, 1, None)


def tsv_parser(split: Split, count: int, identifier: int, text: int, title: int | None) -> Parse:
    """Return a function that reads a line with its columns at these places."""

    def parse(line: str) -> Document:
        fields = split(line)
        if len(fields) != count:
            raise RowError(f"has {len(fields)} columns where the first line has {count}")
        if not fields[identifier]:
            raise RowError("an id is empty")
        return Document(fields[identifier], fields[text], fields[title] if title is not None else "")

    return parse
