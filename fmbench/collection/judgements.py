"""Files of judgements (qrels), recognised by their content."""

import csv
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fmbench.errors import UsageError

from .files import RowError, full_lines_of
from .rows import DOCUMENT_IDS, QUERY_IDS, column_names, id_of, json_object, quoted_fields

SAMPLE = 12  # lines that decide on the separator
QUERY_NAMES = {*QUERY_IDS}
DOCUMENT_NAMES = {*DOCUMENT_IDS, "corpus_id", "doc_id", "pid"}
RANK = "rank"  # a column of runs
GAIN_NAMES = {"score", "gain", "label", "rel", "relevance"}
NAMES = (QUERY_NAMES, DOCUMENT_NAMES, GAIN_NAMES)
Split = Callable[[str], list[str]]


class Judgement(NamedTuple):
    """How relevant a document is to a query."""

    query: str
    document: str
    gain: float


def judgements_of(path: Path) -> Iterator[tuple[int, Judgement]]:
    """Yield the judgements of a file with their line numbers.

    A file holds JSON lines, `{"qid": .., "docid": [..], "score": [..]}` or a judgement each, or columns separated by
    tab, comma or blanks: query, document, gain, or the four of TREC, whose second one is ignored and must be the same
    everywhere (a run has other things there). A header may name the columns in any order, other ones are left out; TSV
    under a header and CSV are quoted as CSV. Raises UsageError for a line that fits none of these.
    """
    lines = full_lines_of(path)
    sample = list(itertools.islice(lines, SAMPLE))
    if not sample:
        return
    number, first = sample[0]
    try:
        if first.lstrip().startswith(("{", "[{")):
            for number, line in itertools.chain(sample, lines):
                yield from ((number, judgement) for judgement in grouped(line))
            return
        columns = columns_of([line for _, line in sample])
        for number, line in itertools.chain(sample[columns.header :], lines):
            yield number, columns.read(line)
    except RowError as error:
        raise UsageError(f"{path}, line {number}: {error}") from None


def grouped(line: str) -> list[Judgement]:
    """Return the judgements of a JSON line: those of one query, or one alone. Raises RowError."""
    row = json_object(line)
    if RANK in row:
        raise RowError("names a rank: is it a run? Judgements have query, document and gain")
    query = id_of(named(row, QUERY_NAMES))
    documents, gains = named(row, DOCUMENT_NAMES), named(row, GAIN_NAMES)
    if not isinstance(documents, list) and not isinstance(gains, list):
        return [Judgement(query, id_of(documents), json_gain(gains))]
    if not isinstance(documents, list) or not isinstance(gains, list) or len(documents) != len(gains):
        raise RowError("docid and score must be two lists of one length, or an id and a number")
    return [Judgement(query, id_of(document), json_gain(gain)) for document, gain in zip(documents, gains, strict=True)]


def named(row: dict[str, object], names: set[str]) -> object:
    """Return the one value of a row that goes by one of some names. Raises RowError."""
    found = [name for name in row if name in names]
    if len(found) != 1:
        raise RowError(f"has {' and '.join(found) or 'none'} of {', '.join(sorted(names))}; it must have one")
    return row[found[0]]


def json_gain(value: object) -> float:
    """Return a gain of a JSON line. Raises RowError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RowError(f"the gain {value!r} is no number")
    return finite(float(value), str(value))


def gain_of(text: str) -> float:
    """Return a gain that is written as text. Raises RowError."""
    try:
        gain = float(text.replace("_", "x"))  # Python would read 1_0 as ten
    except ValueError:
        raise RowError(f"the gain {text!r} is no number") from None
    return finite(gain, text)


def finite(gain: float, text: str) -> float:
    """Return a gain. Raises RowError where it is no finite number."""
    if not math.isfinite(gain):
        raise RowError(f"the gain {text} is not finite")
    return gain


def by_comma(line: str) -> list[str]:
    """Return the fields of a CSV line; quotes protect commas."""
    try:
        return next(csv.reader([line]))
    except csv.Error:
        return [line]


def by_tab(line: str) -> list[str]:
    """Return the fields of a TSV line."""
    return line.split("\t")


SPLITS: tuple[Split, ...] = (by_tab, by_comma, str.split)


@dataclass(frozen=True, slots=True)
class Columns:
    """How a line is cut, and where in it query, document and gain are."""

    split: Split
    count: int
    places: tuple[int, int, int]
    header: bool
    iteration: str | None = None  # what stands in TREC's second column

    def read(self, line: str) -> Judgement:
        """Return the judgement of a line. Raises RowError."""
        fields = self.split(line)
        if len(fields) != self.count:
            raise RowError(f"has {len(fields)} columns where the first line has {self.count}")
        if self.iteration is not None and fields[1] != self.iteration:
            raise RowError(
                f"has {fields[1]!r} in the second of four columns where the first line has {self.iteration!r}: is it a "
                "run? Name the columns in a header if it holds judgements"
            )
        query, document, gain = (fields[place] for place in self.places)
        return Judgement(id_of(query), id_of(document), gain_of(gain))

    def fits(self, line: str) -> bool:
        """Say whether a line can be read so."""
        try:
            self.read(line)
        except RowError:
            return False
        return True


def columns_of(sample: Sequence[str]) -> Columns:
    """Return the columns that most of the first lines have. Raises RowError where that is none."""
    possible = [columns for split in SPLITS if (columns := columns_by(split, sample[0])) is not None]
    if not possible:
        hint = "; is it a run?" if len(sample[0].split()) == 6 else ""
        raise RowError(
            "is no judgement: query, document and gain, separated by tab, comma or blanks, the four columns of TREC, "
            f"or a JSON object{hint}"
        )
    best = max(possible, key=lambda columns: sum(map(columns.fits, sample)))
    names = column_names(best.split(sample[0]))
    if not best.header and not best.fits(sample[0]) and any(known.intersection(names) for known in NAMES):
        sets = ", ".join("|".join(sorted(known)) for known in NAMES)
        raise RowError(f"is a header of {', '.join(names)[:80]}; it must have one of each: {sets}")
    return best


def columns_by(split: Split, first: str) -> Columns | None:
    """Return the columns that one separator makes of the first line, or None where there are not three or four."""
    fields = split(first)
    names = column_names(fields)
    if RANK in names:
        raise RowError("is a header that names a rank: is it a run? Judgements have query, document and gain")
    places = [[place for place, name in enumerate(names) if name in known] for known in NAMES]
    if all(len(found) == 1 for found in places):
        split = quoted_fields if split is by_tab else split
        return Columns(split, len(names), (places[0][0], places[1][0], places[2][0]), header=True)
    if len(names) == 3:
        return Columns(split, 3, (0, 1, 2), header=False)
    trec = len(names) == 4 and split is not by_comma
    return Columns(split, 4, (0, 2, 3), header=False, iteration=fields[1]) if trec else None
