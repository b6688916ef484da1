"""What columns are called: in full, as in the CSV format, or by their last part where that is one column's only."""

from collections import Counter
from collections.abc import Iterable, Sequence

from fmbench.errors import UsageError, nearest

FACTS = "environment."


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Return the facts of runs by their short names, such as `platform`; a name that a column has already is none.

    SQL knows no capitals, so `cpu` is environment.cpu, and no fact further down may be called CPU.
    """
    names = list(names)
    taken = {name.lower() for name in names}
    found: dict[str, str] = {}
    facts = [name for name in names if name.startswith(FACTS)]
    for level in sorted({name.count(".") for name in facts}):
        here = [name for name in facts if name.count(".") == level]
        count = Counter(last_part(name).lower() for name in here)
        for name in here:
            word = last_part(name)
            if count[word.lower()] == 1 and word.lower() not in taken:
                found[word] = name
        taken |= set(count)
    return found


def last_part(name: str) -> str:
    """Return what is behind the last dot."""
    return name.rpartition(".")[2]


def resolve(key: str, names: Sequence[str]) -> str:
    """Return the column that a key names: all of it, or its last part where that is one column's only.

    Facts of runs come before other columns. Raises UsageError for a key that is nobody's, or several columns'.
    """
    if key in names:
        return key
    if key in (short := short_names(names)):
        return short[key]
    ending = [name for name in names if last_part(name) == key]
    preferred = [name for name in ending if name.startswith(FACTS)] or ending
    if len(preferred) == 1:
        return preferred[0]
    if preferred:
        raise UsageError(f"--by {key}: which one: {', '.join(preferred)}?")
    words = {*map(last_part, names), *names}
    raise UsageError(f"--by {key}: no result has such a key{nearest(key, sorted(words))}")
