"""Other sweeps on this machine: each holds a file in the user's cache that says which it is, for as long as it runs."""

import contextlib
import platform
from collections.abc import Iterator
from pathlib import Path

from fmbench.cached import root
from fmbench.console import note
from fmbench.errors import UsageError
from fmbench.leftovers import remove_abandoned
from fmbench.whole_file import part_beside


@contextlib.contextmanager
def announced(file: Path) -> Iterator[None]:
    """Let other sweeps know of this one, and note which run now. Where the cache cannot be written, nobody knows."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, UsageError):
            place().mkdir(parents=True, exist_ok=True)
            own = stack.enter_context(part_beside(place() / "sweep"))
            own.write_text(str(file.absolute()), encoding="utf-8")
            note_others(own)
        yield


def note_others(own: Path | None = None, file: Path | None = None) -> None:
    """Note which sweeps run on this machine now, but for the one that holds `own`, and those of a sweep `file`."""
    told = {"", str(file and file.absolute())}
    for path in sorted(place().glob(".*.part")):
        remove_abandoned(path)  # of a sweep that was killed
        with contextlib.suppress(OSError):  # it is gone
            said = path.read_text(encoding="utf-8")
            if path != own and said not in told:
                told.add(said)
                note(f"another sweep runs on this machine now: {said}; the figures of both may be disturbed")


def place() -> Path:
    """Return where the files of this machine's sweeps are: a home may be that of many machines."""
    return root() / "sweeps" / platform.node()
