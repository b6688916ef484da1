"""The one order of a ranking."""

from collections.abc import Mapping

from fmbench.errors import UsageError

Run = Mapping[str, Mapping[str, float]]


def ordered(scores: Mapping[str, float]) -> list[str]:
    """Return document ids by score descending, then by id descending.

    Ids are compared by code points, which is the order of their UTF-8 bytes, trec_eval's. Raises UsageError for a
    score that is no number.
    """
    for document, score in scores.items():
        if score != score:
            raise UsageError(f"the score of document {document!r} is NaN; it has no place in a ranking")
    return sorted(scores, key=lambda document: (scores[document], document), reverse=True)


def depth_of(run: Run) -> int:
    """Return how many documents the longest ranking of a run has."""
    return max(map(len, run.values()), default=0)
