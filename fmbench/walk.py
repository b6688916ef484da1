"""Looking into folders that others change meanwhile: what goes while it is looked at was never there.

`Path.glob` and `Path.rglob` fail where a folder goes between being found and being looked into.
"""

import os
from collections.abc import Iterator
from pathlib import Path


def inside(folder: Path) -> list["os.DirEntry[str]"]:
    """Return what a folder holds, by name; nothing where it is gone, or is none. Raises OSError where it is shut."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []


def files_below(folder: Path, depth: int | None = None, links: bool = False) -> Iterator[Path]:
    """Yield all but folders below a folder, at most `depth` levels down; what is hidden, or below that, is left out.

    With `links`, folders that are links are looked into as well. Raises OSError for a folder that is shut.
    """
    for entry in inside(folder):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if (links or not entry.is_symlink()) and depth != 1:
                yield from files_below(Path(entry.path), depth and depth - 1, links)
        else:
            yield Path(entry.path)
