"""Which candidates were set up here before: what they convert lies in the user's cache, and so does this note."""

import contextlib
from pathlib import Path

from fmbench import cached
from fmbench.digest import digest_of_json

from .candidates import Planned

FOLDER = "set-ups"


def place(planned: Planned) -> Path:
    """Return the file that is there once a candidate of this command line was set up."""
    return cached.root() / FOLDER / digest_of_json(planned.arguments and planned.arguments.given)


def is_known(planned: Planned) -> bool:
    """Whether a candidate was set up before, and should take less long now."""
    return place(planned).exists()


def remember(planned: Planned) -> None:
    """Note that a candidate was set up; where nothing can be written, that only decides the order of a later run."""
    with contextlib.suppress(OSError):
        place(planned).parent.mkdir(parents=True, exist_ok=True)
        place(planned).touch()
