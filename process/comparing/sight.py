"""What a comparison could not have shown: the regressions that its noise would hide."""

from fmbench.figures import significant

from .comparison import Comparison
from .verdicts import SIGNIFICANT, Change


def unseen(comparison: Comparison, threshold: float) -> list[str]:
    """Return in words where a regression beyond the threshold could hide, and how large one would have been seen."""
    found: list[str] = []
    for what, changes in (("shapes", comparison.changes), ("speeds", comparison.speeds)):
        undecided = [change for change in changes if change.p_holm is not None and change.p_holm >= SIGNIFICANT]
        noisy = sorted(seen for change in undecided if (seen := change.detectable) is not None and seen > threshold)
        if noisy:
            found.append(
                f"{what} too noisy to show a regression of {100 * threshold:g}%: {len(noisy)} of {len(changes)}; the "
                f"smallest that would be called one in 4 of 5 such comparisons: {span(noisy)}"
            )
        few: list[Change] = [change for change in undecided if change.detectable is None]
        if few:
            share = f"{len(few)} of {len(changes)}"
            found.append(f"{what} of too few {few[0].compared} to show any regression, however large: {share}")
    return found


def span(shares: list[float]) -> str:
    """Return the least and the largest of sorted shares in per cent."""
    return " to ".join(dict.fromkeys(f"{significant(100 * share, digits=2)}%" for share in (shares[0], shares[-1])))
