"""The turns of a ladder on disk, so that the same command goes on where it stopped."""

import fcntl
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from fmbench.encoder import Role
from fmbench.errors import FmbenchError, UsageError, first_line
from fmbench.facts import differences, said_of
from fmbench.whole_file import whole_file, write_whole

from .rungs import Rung, Turn

ABOUT = "ladder.json"  # what the turns are of
SHOWN = 4


class KeptTurns:
    """A folder with a file a turn, whole or not there: each variant's vectors, how long they took, and what failed."""

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        """Make the folder, or take an earlier run's.

        `about` is what decides the vectors and the durations: facts by variant, in order. Raises UsageError where the
        folder holds anything else, or another run is at it.
        """
        self.folder = folder
        said = json.loads(json.dumps(about))
        path = folder / ABOUT
        try:
            if folder.exists() and not path.is_file() and any(folder.iterdir()):
                raise UsageError(f"--out {folder}: holds something else than a ladder; name a new folder")
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = claim(folder)
            if path.is_file():
                self._check(json.loads(path.read_text(encoding="utf-8")), said)
                return
        except (OSError, ValueError) as error:
            raise UsageError(f"--out {folder}: {first_line(error)}") from None
        with whole_file(path) as stream:
            json.dump(said, stream)

    def _check(self, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Raise UsageError that names what differs."""
        if list(then) != list(now):
            raise UsageError(f"--out {self.folder}: holds the variants {', '.join(then)}; name them, or a new folder")
        differing = [
            f"{name}: {said_of(key, *pair)}"
            for name in then
            if then[name] is not None and now[name] is not None
            for key, pair in differences(then[name], now[name]).items()
        ]
        if differing:
            more = f"; and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
            raise UsageError(
                f"--out {self.folder}: made under another fingerprint ({'; '.join(differing[:SHOWN])}{more}); "
                "name a new folder"
            )

    def keep(self, number: int, rungs: Sequence[Rung], role: Role) -> None:
        """Keep a turn that every variant has taken, or failed at. Raises FmbenchError for a full disk."""
        import numpy as np

        arrays: dict[str, Any] = {str(place): rung.parts[role][-1] for place, rung in enumerate(rungs) if rung.works}
        about = [
            {"failure": rung.failure, "start": rung.start, "nanoseconds": rung.durations[-1] if rung.durations else 0}
            for rung in rungs
        ]
        target = self._path(number)
        content = io.BytesIO()
        np.savez(content, about=np.array(json.dumps(about)), **arrays)
        write_whole(target, content.getvalue())

    def restore(self, rungs: Sequence[Rung], turns: Sequence[Turn]) -> int:
        """Give the variants what they had, and return how many turns that is.

        A variant that failed then is not tried again: it lacks turns. Raises FmbenchError for a file that is damaged.
        """
        for number, turn in enumerate(turns):
            path = self._path(number)
            if not path.is_file():
                return number
            try:
                self._take(path, rungs, turn)
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise FmbenchError(f"{path}: is damaged ({first_line(error)}); delete it") from None
        return len(turns)

    def _take(self, path: Path, rungs: Sequence[Rung], turn: Turn) -> None:
        import numpy as np

        with np.load(path, allow_pickle=False) as found:
            about = json.loads(str(found["about"]))
            for place, (rung, said) in enumerate(zip(rungs, about, strict=True)):
                if said["failure"] is not None:
                    rung.fail(FmbenchError(said["failure"]))
                    continue
                if not rung.works:  # it ran then, and cannot be set up now
                    continue
                vectors = found[str(place)]
                if vectors.ndim != 2 or len(vectors) != len(turn.texts):
                    raise ValueError(f"vectors of shape {vectors.shape} for {len(turn.texts)} texts")
                rung.parts[turn.role].append(vectors)
                if turn.role == "passage":
                    rung.start = said["start"]
                    rung.durations.append(int(said["nanoseconds"]))

    def _path(self, number: int) -> Path:
        return self.folder / f"turn-{number:06}.npz"


def claim(folder: Path) -> IO[str]:
    """Return a stream that holds the folder for this run. Raises UsageError where another run has it."""
    stream = (folder / ".lock").open("a")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        raise UsageError(f"--out {folder}: another run writes to it; wait, or name another folder") from None
    return stream
