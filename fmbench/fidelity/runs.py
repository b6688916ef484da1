"""Rankings as files: query id, document id, rank and score, separated by tabs, best document first."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from .manifest import ArtifactError

Run = dict[str, list[tuple[str, float]]]  # query id -> (document id, score), best first
Gains = dict[str, dict[str, float]]  # query id -> document id -> gain


def run_text(run: Mapping[str, Sequence[tuple[str, float]]]) -> str:
    """Return the text of a run file: ranks from 1, scores so that reading gives the same number back."""
    rows = [
        f"{checked(query)}\t{checked(document)}\t{rank}\t{float(score)!r}\n"
        for query, documents in run.items()
        for rank, (document, score) in enumerate(documents, start=1)
    ]
    return "".join(rows)


def parse_run(path: Path, text: str) -> Run:
    """Read a run file's text. Raises ArtifactError with the line for anything that `run_text` does not write."""
    run: Run = {}
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            query, document, rank, score = line.split("\t")
            documents = run.setdefault(query, [])
            if int(rank) != len(documents) + 1 or math.isnan(float(score)):
                raise ValueError
            documents.append((document, float(score)))
        except ValueError:
            raise ArtifactError(f"{path}:{number}: no line of a ranking: {line[:100]!r}") from None
    return run


def gains_text(gains: Mapping[str, Mapping[str, float]]) -> str:
    """Return judgements as text: query id, document id and gain."""
    return "".join(
        f"{checked(query)}\t{checked(document)}\t{float(gain)!r}\n"
        for query, documents in gains.items()
        for document, gain in documents.items()
    )


def parse_gains(path: Path, text: str) -> Gains:
    """Read the text of judgements. Raises ArtifactError with the line for anything that `gains_text` does not write."""
    gains: Gains = {}
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            query, document, gain = line.split("\t")
            gains.setdefault(query, {})[document] = float(gain)
        except ValueError:
            raise ArtifactError(f"{path}:{number}: no judgement: {line[:100]!r}") from None
    return gains


def checked(identifier: str) -> str:
    """Return an id. Raises ValueError where it would break the line that it stands in."""
    if not identifier or "\t" in identifier or identifier.splitlines() != [identifier]:
        raise ValueError(f"{identifier!r} cannot stand in a run file")
    return identifier
