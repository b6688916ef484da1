"""What is installed: entry points, looked up once, and the distribution that fmbench itself is.

Its name is the index's or a fork's to choose, so nothing else says it.
"""

import importlib.metadata
import sys
from functools import cache
from typing import Any

OWN = "fmbench.doctor:main"  # what one of our entry points names


def entry_points(group: str) -> importlib.metadata.EntryPoints:
    """Return the entry points of a group."""
    found: importlib.metadata.EntryPoints = everything(tuple(sys.path)).select(group=group)
    return found


@cache
def everything(_: tuple[str, ...]) -> Any:
    """Return all entry points while Python looks in these places: looking takes as long as many command lines.

    Python 3.11 has them by group, later ones in one list; both select.
    """
    return importlib.metadata.entry_points()


@cache
def name() -> str:
    """Return what fmbench is installed as; the name of the import where it is not installed."""
    found = [one.dist.name for one in entry_points("fmbench.commands") if one.value == OWN and one.dist]
    return found[0] if found else "fmbench"


def to_install(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install '{name()}[{extra}]'"
