"""What `--tasks` names, how good an encoder's vectors are for it, and what another configuration keeps of that."""

import contextlib
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmbench.console import Progress, note, warn
from fmbench.digest import digest_of_json
from fmbench.encoder import CHUNK, Encoder, Role
from fmbench.errors import FmbenchError, UsageError, one_line
from fmbench.source import why_no_hub

from .local import Task, oddities, read_tasks

if TYPE_CHECKING:
    import numpy as np

    from fmbench.resampling import Interval

    from .scoring import Scored


@dataclass(frozen=True)
class TaskScore:
    """How good an encoder's vectors are for a task. `scored` is None, and `result` is there, where MTEB scored it."""

    task: str
    value: float
    scored: "Scored | None" = None
    texts: int | None = None
    result: Any = None


@dataclass(frozen=True)
class LocalTask:
    """A task of the user's files."""

    task: Task

    @property
    def name(self) -> str:
        """What it is called."""
        return self.task.name

    @property
    def files(self) -> Sequence[Path]:
        """What it is read from, beside the file that names it."""
        return self.task.files

    def facts(self) -> dict[str, Any]:
        """Return what kind of task it is, as a QUA line says it."""
        from .scoring import METRICS

        kind, items = self.task.type, self.task.items
        digest = digest_of_json([items, self.task.train])
        return {"task": self.name, "type": kind, "metric": METRICS[kind], "items": len(items), "digest": digest}

    def score(self, encoder: Encoder, seed: int) -> TaskScore:
        """Return the score of an encoder's vectors. Raises what the encoder raises, and FmbenchError for no score."""
        from .scoring import score_task

        texts = Texts(encoder, self.name, sum(1 for _ in self.task.texts()))
        try:
            with plain_warnings(self.name):
                scored = score_task(self.task, texts.encode, encoder.similarity or "cosine", seed)
        finally:
            texts.progress.clear()
        if not math.isfinite(scored.score):
            raise FmbenchError(f"the score of {scored.items} items is not defined")
        return TaskScore(self.name, scored.score, scored, texts.count)


@dataclass(frozen=True)
class MtebTask:
    """A task of MTEB's, by its own code, which tells no items."""

    name: str
    files: Sequence[Path] = ()  # of the hub

    def facts(self) -> dict[str, Any]:
        """Return what kind of task it is, as a QUA line says it. Raises UsageError for what is no task of texts."""
        from fmbench.mteb import find_task

        metadata = find_task(self.name).metadata
        digest = metadata.dataset.get("revision")
        return {"task": metadata.name, "type": metadata.type, "metric": metadata.main_score, "digest": digest}

    def score(self, encoder: Encoder, seed: int) -> TaskScore:
        """Return the score of an encoder's vectors. Raises FmbenchError for whatever MTEB raises."""
        from fmbench.mteb import MtebModel, find_task

        silent = why_no_hub()
        if silent is not None:
            note(f"{self.name}: {silent}; MTEB looks for a copy kept here, which may take it minutes")
        try:
            result = MtebModel(encoder).result(find_task(self.name))  # a new one: MTEB's draw other examples again
        except Exception as error:  # a task downloads, and may raise anything
            why = f"{silent}, and tasks of your own files need no hub" if silent else "MTEB's tasks come from the hub"
            raise FmbenchError(f"{why}: {one_line(error)}") from error
        return TaskScore(self.name, float(result.get_score()), result=result)


@dataclass
class Texts:
    """An encoder that says how far it is. Texts of no role have the folder's default prompt, as MTEB has it."""

    encoder: Encoder
    task: str
    total: int
    count: int = 0
    progress: Progress = field(default_factory=Progress)

    def encode(self, texts: Sequence[str], role: str | None) -> "np.ndarray":
        """Return one vector a text."""
        import numpy as np

        encoder = self.encoder.with_prompt(self.encoder.default_prompt) if role is None else self.encoder
        known: Role = "query" if role == "query" else "passage"
        chunks = [texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK)]
        found = []
        for vectors in encoder.encode_chunks(chunks, known):
            found.append(vectors)
            self.count += len(vectors)
            self.progress.count(self.count, self.total, f"{self.task}: {self.count:,} of {self.total:,} texts")
        return np.concatenate(found)


Named = LocalTask | MtebTask


def read_named(said: str) -> list[Named]:
    """Return the tasks of a file or folder, else those of MTEB that are named. Raises UsageError."""
    path = Path(said)
    if path.suffix in (".yaml", ".yml") or "/" in said or path.is_dir():
        return [LocalTask(task) for task in read_tasks(path)]
    names = [name.strip() for name in said.split(",")]
    twice = next((name for name in names if names.count(name) > 1 or not name), None)
    if twice is not None:
        why = f"{twice} is named twice" if twice else "a name is empty"
        raise UsageError(f"--tasks {said}: {why}")
    return [MtebTask(name) for name in names]


@contextlib.contextmanager
def plain_warnings(task: str) -> Iterator[None]:
    """Say what libraries warn of in one line each, where they would show their source."""
    with warnings.catch_warnings(record=True) as caught:
        yield
    for text in dict.fromkeys(one_line(one.message) for one in caught if isinstance(one.message, Warning)):
        warn(f"{task}: {text}")


def prepare(tasks: Sequence[Named]) -> None:
    """Warn of what is odd about tasks of files.

    Raises UsageError where the libraries that score are not installed, and for what is no task of MTEB's.
    """
    from fmbench.mteb import need_mteb

    need_mteb()  # scipy and scikit-learn come with it
    for task in tasks:
        task.facts()
        for oddity in oddities(task.task) if isinstance(task, LocalTask) else ():
            warn(f"{task.name}: {oddity}")


@dataclass(frozen=True, slots=True)
class KeptTasks:
    """What is kept of the scores of tasks: the mean share with its 95% interval, and the task that keeps least.

    All is None where a score that shares are of is not above 0. `told`: whether the tasks tell their items.
    """

    share: float | None = None
    interval: "Interval | None" = None
    worst: str | None = None
    worst_share: float | None = None
    told: bool = True

    @property
    def evidence(self) -> "float | Interval | None":
        """What a verdict is of: the interval; the share itself where MTEB tells no items."""
        return self.interval if self.told else self.share


def compare_tasks(a: Sequence[TaskScore], b: Sequence[TaskScore], seed: int = 0) -> KeptTasks:
    """Return what B keeps of A's scores of the same tasks; the interval is of the same resamples of the same items.

    MTEB tells no items: then there is no interval.
    """
    if any(one.value <= 0 for one in a):
        return KeptTasks()
    shares = {one.task: other.value / one.value for one, other in zip(a, b, strict=True)}
    worst = min(shares, key=lambda name: shares[name])
    pairs = [(one.scored, other.scored) for one, other in zip(a, b, strict=True) if one.scored and other.scored]
    from .scoring import share_interval

    found = share_interval(pairs, seed) if pairs else None
    return KeptTasks(sum(shares.values()) / len(shares), found, worst, shares[worst], bool(pairs))
