"""What a cell writes, and whose it is that stands there: a sweep replaces what its own runs wrote, and nothing else."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fmbench.checks import Checked
from fmbench.errors import FmbenchError
from fmbench.identity import digest_of_input

from .cell import Cell
from .kept import Run

WRITTEN = ("out", "output_dir", "teacher_dir")  # arguments that name what a command writes
LATE = 5.0  # seconds that a command may go on after its sweep was last seen


@dataclass(frozen=True)
class Outputs:
    """The files and folders that a cell writes, beside its `runs` that a store has, the newest last.

    `cut` is when a run of it was last seen whose sweep was killed, in seconds since the epoch.
    """

    cell: Cell
    checked: Checked
    runs: Sequence[Run]
    cut: float | None = None

    @property
    def paths(self) -> list[Path]:
        """Where it writes, as it says."""
        return written_by(self.cell, self.checked)

    @property
    def words(self) -> list[str]:
        """The words by which its command replaces what stands there, but for those that it has itself."""
        return [word for word in self.checked.again if not self.cell.values.get(word.removeprefix("--"))]

    @property
    def replaces(self) -> bool:
        """Whether its own words say that anything there may be replaced."""
        return bool(self.checked.again) and not self.words

    @property
    def refusal(self) -> str | None:
        """What its command says of what stands there; None where it takes that without more words."""
        try:
            self.checked.check_free()
        except FmbenchError as error:
            return str(error)
        return None

    @property
    def is_free(self) -> bool:
        """Whether nothing stands there, or what its command takes for nothing: what a run left that did not end."""
        return self.refusal is None if self.words else not any(map(is_there, self.paths))

    @property
    def is_cut(self) -> bool:
        """Whether a run was killed with its sweep while it wrote what stands there: nothing has changed since."""
        last = (moment for path in filter(is_there, self.paths) for moment, _ in changes(path))
        return self.cut is not None and all(moment <= self.cut + LATE for moment in last)

    @property
    def again(self) -> list[str]:
        """The words that its command needs now, to replace what the cell wrote before."""
        return self.words if self.refusal and not self.taken else []

    @property
    def other(self) -> str | None:
        """What is there that is not the cell's: something else than its newest good run wrote."""
        found = next((path for path, run in self._kept if str(path) in run.outputs and not is_of(run, path)), None)
        return None if found is None else f"{found}: holds something else than {self._fix}"

    @property
    def taken(self) -> str | None:
        """Why the cell may not run: its command would refuse what is there, or replace what is not the cell's."""
        refusal = self.refusal
        if refusal and (not self.words or (newest_good(self.runs) is None and not self.is_cut)):
            return refusal
        if self.is_cut:
            return None
        found = next((path for path, run in self._kept if str(path) not in run.outputs), None)
        unknown = f"{found}: may be somebody else's: an earlier fmbench ran it, and kept nothing of what {self._fix}"
        return self.other if found is None else unknown

    @property
    def _kept(self) -> list[tuple[Path, Run]]:
        """What is there and nobody said may be replaced, with the run that should have written it."""
        good = newest_good(self.runs)
        if good is None or self.replaces or self.is_free:
            return []
        return [(path, good) for path in filter(is_there, self.paths)]

    @property
    def _fix(self) -> str:
        return f"the cell of line {self.cell.line} wrote there; move it away, or name another"


def written_by(cell: Cell, checked: Checked | None) -> list[Path]:
    """Return the files and folders that a cell writes, as it says: those that it names and does not read."""
    read = {path.absolute() for path in checked.inputs} if checked else set()
    named = [Path(str(cell.values[name])) for name in WRITTEN if name in cell.values]
    return [path for path in named if path.absolute() not in read]


def digests(paths: Iterable[Path]) -> dict[str, str | None]:
    """Return what files and folders hold, by path; None for one that is not there."""
    return {str(path): digest_of_input(path) for path in paths}


def newest_good(runs: Sequence[Run]) -> Run | None:
    """Return the newest run whose command ended well."""
    return next((run for run in reversed(runs) if run.whole), None)


def is_of(run: Run, path: Path) -> bool:
    """Whether what stands there is what a run wrote; where all was last changed while it ran, nothing is read."""
    digest, end = run.outputs[str(path)], run.start + run.seconds
    if digest is None:
        return False
    if all(moment <= end and (moment >= run.start or is_folder) for moment, is_folder in changes(path)):
        return True
    return digest_of_input(path) == digest


def is_there(path: Path) -> bool:
    """Whether there is a file, or a folder that holds one."""
    return path.is_file() or any(below.is_file() for below in path.rglob("*"))


def changes(path: Path) -> Iterator[tuple[float, bool]]:
    """Yield when a file, or a folder and all below it, last changed, and whether that is a folder.

    That is its inode, in seconds since the epoch, which nobody can set: what is moved there changes then.
    """
    for one in (path, *path.rglob("*")):
        own = one.lstat().st_ctime
        yield max(own, one.stat().st_ctime if one.exists() else own), one.is_dir()
