"""The ranks at which a ranking is judged."""

from collections.abc import Sequence

from fmbench.errors import UsageError

Cutoffs = tuple[int, ...]


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
