"""Which documents are relevant to which queries, and how much."""

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

from fmbench.errors import UsageError
from fmbench.whole_file import whole_file

from .judgements import judgements_of

Gains = Mapping[str, Mapping[str, float]]
Form = Literal["tsv", "grouped"]
Transform = float | Literal["floor", "ceil"]
ROUND: Mapping[str, Callable[[float], float]] = {"floor": math.floor, "ceil": math.ceil}
HEADER = "query-id\tcorpus-id\tscore"
STEPS = 20  # gains are whole numbers, or steps such as a half
LEAST = 2  # fewer say nothing


@dataclass(frozen=True, slots=True)
class Qrels:
    """The gain of documents for queries: `gains[query id][document id]`, fractions kept.

    `repeated`: how many judgements the files hold twice.
    """

    gains: dict[str, dict[str, float]]
    repeated: int = 0

    @classmethod
    def load(cls, paths: Sequence[Path], stacked: bool = False) -> "Qrels":
        """Read one or many files. Raises UsageError for a bad line, and for a pair that has two different gains.

        `stacked`: of a pair that several files judge, the last one's gain counts.
        """
        gains: dict[str, dict[str, float]] = {}
        repeated = 0
        for path in paths:
            own: set[tuple[str, str]] = set()
            for number, (query, document, gain) in judgements_of(path):
                known = gains.setdefault(query, {}).setdefault(document, gain)
                if stacked and (query, document) not in own:
                    own.add((query, document))
                    gains[query][document] = gain
                elif known != gain:
                    raise UsageError(
                        f"{path}, line {number}: query {query!r} and document {document!r} have gain {gain:g} here "
                        f"and {known:g} before"
                    )
                repeated += 1
        return cls(gains, repeated - sum(map(len, gains.values())))

    @property
    def judgements(self) -> int:
        """How many pairs are judged."""
        return sum(map(len, self.gains.values()))

    def between(self, least: float | None = None, below: float | None = None) -> "Qrels":
        """Return the judgements with a gain of at least `least` and below `below`; queries left without go."""
        kept = {
            query: {
                document: gain
                for document, gain in documents.items()
                if (least is None or gain >= least) and (below is None or gain < below)
            }
            for query, documents in self.gains.items()
        }
        return Qrels({query: documents for query, documents in kept.items() if documents}, self.repeated)

    def transformed(self, transform: Transform | None) -> "Qrels":
        """Return the judgements with each gain rounded down or up, or with one gain for all."""
        if transform is None:
            return self
        change = ROUND[transform] if isinstance(transform, str) else lambda gain: transform
        gains = {query: {name: float(change(gain)) for name, gain in own.items()} for query, own in self.gains.items()}
        return Qrels(gains, self.repeated)

    def only(self, queries: Collection[str]) -> "Qrels":
        """Return the judgements of some queries."""
        return Qrels({query: found for query, found in self.gains.items() if query in queries}, self.repeated)

    def run_in_disguise(self) -> str | None:
        """Return what makes these look like a run rather than judgements, in the order of the file; None where nothing.

        A run has the same columns: its scores, or its ranks, would be gains, and one ranking be judged by another.
        """
        gains = [gain for documents in self.gains.values() for gain in documents.values()]
        fine = sum(gain * STEPS != round(gain * STEPS) for gain in gains)
        if len(gains) > LEAST and 2 * fine > len(gains):
            return "scores with many digits"
        long = [list(documents.values()) for documents in self.gains.values() if len(documents) > LEAST]
        ranked = long and all(values == list(range(1, len(values) + 1)) for values in long)
        return "the ranks 1, 2, 3, ... of every query" if ranked else None

    def documents(self) -> dict[str, set[str]]:
        """Return, for every query, the documents that are judged."""
        return {query: set(documents) for query, documents in self.gains.items()}

    def relevant(self, threshold: float = 1.0) -> dict[str, set[str]]:
        """Return, for every query, the documents with a gain of at least `threshold`; perhaps none."""
        return {
            query: {document for document, gain in documents.items() if gain >= threshold}
            for query, documents in self.gains.items()
        }


def write_qrels(gains: Gains, target: Path, form: Form = "tsv") -> None:
    """Write gains so that `Qrels.load` reads the same back: a TSV with header, or one JSON line a query.

    Raises UsageError for an id that a TSV cannot hold.
    """
    with whole_file(target) as stream:
        (write_grouped if form == "grouped" else write_tsv)(gains, stream)


def write_tsv(gains: Gains, stream: TextIO) -> None:
    """Write one line a judgement."""
    stream.write(f"{HEADER}\n")
    for query, documents in gains.items():
        for document, gain in documents.items():
            stream.write(f"{tsv_field(query)}\t{tsv_field(document)}\t{float(gain)!r}\n")


def tsv_field(identifier: str) -> str:
    """Return an id, in CSV's quotes where it begins with one. Raises UsageError where a line could not hold it."""
    if any(character in identifier for character in "\t\n\r\0"):
        raise UsageError(
            f"the id {identifier!r} holds a tab, a line break or a NUL, which a TSV cannot hold: choose grouped"
        )
    return '"' + identifier.replace('"', '""') + '"' if identifier.startswith('"') else identifier


def write_grouped(gains: Gains, stream: TextIO) -> None:
    """Write one JSON object a query: `qid`, `docid`, `score`."""
    for query, documents in gains.items():
        row = {"qid": query, "docid": list(documents), "score": [float(gain) for gain in documents.values()]}
        stream.write(json.dumps(row) + "\n")
