"""Numbers as a person should see them: no more digits than are known."""

import math
from collections.abc import Sequence


def significant(value: float, uncertainty: float | None = None, digits: int = 3) -> str:
    """Return a number rounded to where its uncertainty begins, else to `digits` significant digits.

    An uncertainty keeps one digit of its own, two where that digit is 1: 70.3516 known to 0.1861 is 70.35. A value
    keeps at least its first digit.
    """
    if not math.isfinite(value):
        return str(value)
    if uncertainty and math.isfinite(uncertainty):
        place = min(leading(uncertainty) - (f"{uncertainty:e}"[0] == "1"), leading(value))
    else:
        place = leading(value, digits) - digits + 1
    rounded = round(value, -place)
    return f"{rounded:.{max(0, -place)}f}"


def leading(value: float, digits: int = 7) -> int:
    """Return the decimal place of the first digit, rounded to `digits` of them: 2 for 345, -1 for 0.3."""
    return int(f"{value:.{digits - 1}e}".partition("e")[2])


def plus_minus(value: float, low: float, high: float) -> str:
    """Return a median with half the width of its interval."""
    half = (high - low) / 2
    if not half:
        return significant(value)
    return f"{significant(value, half)} ± {significant(half, half)}"


def ratio_text(value: float, low: float, high: float) -> str:
    """Return a ratio with both ends of its interval, which seldom lie as far from it; of one that is exact, itself."""
    return f"{value:.2f}" if low == high else f"{value:.2f} ({span((low, high), '.2f')})"


def decimal(value: float, uncertainty: float) -> str:
    """Return a number near 1 with as many decimals as its uncertainty leaves, two at least and four at most."""
    if not (uncertainty and math.isfinite(uncertainty) and math.isfinite(value)):
        return significant(value)
    place = leading(uncertainty) - (f"{uncertainty:e}"[0] == "1")
    return f"{value:.{min(4, max(2, -place))}f}"


def share_text(share: float | None) -> str:
    """Return a share in per cent; what is not all of them is never rounded to 100%."""
    if share is None:
        return ""
    return f"{min(100 * share, 99.99):.2f}%" if share < 1 else "100%"


def cosine_text(cosine: float | None) -> str:
    """Return a cosine; of one that is near 1, what it lacks."""
    if cosine is None or cosine == 1:
        return "" if cosine is None else "1"
    return f"1 - {1 - cosine:.1e}" if cosine > 0.999 else f"{cosine:.6f}"


def formatted(value: float | None, form: str) -> str:
    """Return a figure, or nothing."""
    return "" if value is None else format(value, form)


def span(interval: Sequence[float] | None, form: str) -> str:
    """Return an interval, or nothing."""
    return "" if interval is None else f"{interval[0]:{form}} to {interval[1]:{form}}"
