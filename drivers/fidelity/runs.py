"""Rankings as files: query id, document id, rank and score, separated by tabs, best document first."""

from collections.abc import Mapping
from pathlib import Path

from fmbench.ranking.order import Run, ordered

from .manifest import ArtifactError


def run_text(run: Run) -> str:
    """Return the text of a run file: ranks from 1, scores so that reading gives the same number back.

    Raises ValueError for an id that would break its line, and UsageError for a score that is NaN.
    """
    rows = [
        f"{checked(query)}\t{checked(document)}\t{rank}\t{float(scores[document])!r}\n"
        for query, scores in run.items()
        for rank, document in enumerate(ordered(scores), start=1)
    ]
    return "".join(rows)


def parse_run(path: Path, text: str) -> dict[str, dict[str, float]]:
    """Read a run file's text: for each query its documents, best first, with their scores.

    Raises ArtifactError with the line for anything that `run_text` does not write.
    """
    run: dict[str, dict[str, float]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            query, document, rank, score = line.split("\t")
            scores = run.setdefault(query, {})
            if int(rank) != len(scores) + 1 or document in scores:
                raise ValueError
            scores[document] = float(score)
        except ValueError:
            raise ArtifactError(f"{path}:{number}: no line of a ranking: {line[:100]!r}; capture again") from None
    for query, scores in run.items():
        if any_nan(scores) or ordered(scores) != list(scores):
            raise ArtifactError(f"{path}: query {query!r} is not in the order of its scores; capture again")
    return run


def any_nan(scores: Mapping[str, float]) -> bool:
    """Whether a score is no number."""
    return any(score != score for score in scores.values())


def checked(identifier: str) -> str:
    """Return an id. Raises ValueError where it would break the line that it stands in."""
    if not identifier or "\t" in identifier or identifier.splitlines() != [identifier]:
        raise ValueError(f"{identifier!r} cannot stand in a run file")
    return identifier
