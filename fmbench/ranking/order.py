"""The one order of a ranking, and the ranks at which it is judged."""

from collections.abc import Mapping, Sequence

from fmbench.errors import UsageError

Cutoffs = tuple[int, ...]
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


def cutoffs(values: Sequence[int]) -> Cutoffs:
    """Return the cutoffs in ascending order, each once. Raises UsageError where one is below 1, or there is none."""
    if not values:
        raise UsageError("no cutoff k is given")
    if min(values) < 1:
        raise UsageError(f"a cutoff k is a rank, 1 or more; {min(values)} is none")
    return tuple(sorted(set(values)))


def refuse_beyond(values: Sequence[int], depth: int) -> None:
    """Raise UsageError where a cutoff lies beyond the retrieved depth.

    Nothing is known of ranks that were never retrieved: counted as wrong, they would make precision fall with 1/k.
    """
    beyond = [value for value in values if value > depth]
    if beyond:
        raise UsageError(
            f"k {', '.join(map(str, beyond))} lies beyond the retrieved depth of {depth}: retrieve "
            f"{max(beyond)} documents, or ask for k up to {depth}"
        )
