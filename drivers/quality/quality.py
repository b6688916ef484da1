"""`fmbench quality`: encode the texts of tasks on a platform, and score the vectors."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmbench import lines, session
from fmbench.checks import Checked, check_encoder
from fmbench.console import note, run_main, warn
from fmbench.encoder import Encoder, EncoderPlan, Role
from fmbench.errors import FmbenchError, PlatformError, one_line
from fmbench.session import Session, facts_of, run_facts

from .arguments import PROGRAM, QualityArguments, parse_arguments, variants
from .tasks import Task, read_tasks

if TYPE_CHECKING:
    import numpy as np

    from .scoring import Scored

TIMED = "nothing"
FIRST = "A"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return run_main(PROGRAM, lambda: run(sys.argv[1:] if argv is None else argv))


def check(argv: Sequence[str]) -> Checked:
    """Return what a command line amounts to. Raises UsageError and PlatformError."""
    arguments = parse_arguments(argv)
    items = [path for task in local_tasks(arguments.tasks) for path in task.files]
    return replace(check_encoder(arguments, arguments.recipe), inputs=(Path(arguments.tasks), *items))


def run(argv: Sequence[str]) -> int:
    """Check all that can be checked quickly, then score every task with every variant."""
    arguments = parse_arguments(argv)
    need_scorers()
    tasks = local_tasks(arguments.tasks)
    names = [] if tasks else [name.strip() for name in arguments.tasks.split(",")]
    every = variants(argv, arguments)
    plans = {name: EncoderPlan.of(one, one.recipe) for name, one in every.items()}
    with session.open_with_tables("quality", arguments) as opened:
        opened.begin()
        opened.log.banner("RUNTIME")
        opened.log.write(lines.JsonLine("ENV", {
            "task": "quality", **run_facts(arguments, (), TIMED),
            "variants": dict(zip(every, ("", *arguments.vs), strict=True)),
        }))  # fmt: skip
        scoring = Scoring(opened, arguments, tasks, names)
        for name, plan in plans.items():
            scoring.variant(name, plan)
        opened.end()
    return 1 if scoring.failed else 0


def local_tasks(said: str) -> list[Task]:
    """Return the tasks of a file or folder; none where MTEB's are named. Raises UsageError."""
    path = Path(said)
    looks = path.suffix in (".yaml", ".yml") or "/" in said or path.is_dir()
    return read_tasks(path) if looks else []


def need_scorers() -> None:
    """Raise UsageError where the libraries that score are not installed."""
    from fmbench.mteb import need_mteb

    need_mteb()  # scipy and scikit-learn come with it


@dataclass
class Scoring:
    """The scores of all tasks, variant by variant; those of the first one are what the others are held against."""

    opened: Session
    arguments: QualityArguments
    tasks: Sequence[Task]
    names: Sequence[str]  # of MTEB
    failed: int = 0
    _first: "dict[str, Scored]" = field(default_factory=dict)
    _first_mteb: dict[str, float] = field(default_factory=dict)

    def variant(self, name: str, plan: EncoderPlan) -> None:
        """Set one variant up, print its facts, and score every task."""
        log, clock = self.opened.log, self.opened.clock
        start = clock.now()
        encoder = Encoder(plan)
        log.write(lines.JsonLine("PHASE", {"name": "load", "seconds": round((clock.now() - start) / 1e9, 6),
                                           "variant": name}))  # fmt: skip
        log.write(lines.JsonLine("ENV", {"variant": name, **facts_of(encoder), "similarity": encoder.similarity}))
        log.banner("QUALITY", name)
        if self.names:
            self._of_mteb(name, encoder)
        for task in self.tasks:
            note(f"{name}: {task.name}, {len(task.items):,} items")
            self._score(name, task, encoder)

    def _score(self, name: str, task: Task, encoder: Encoder) -> None:
        from . import scoring

        start, texts = self.opened.clock.now(), Texts(encoder)
        said: dict[str, Any] = {"task": task.name, "type": task.type, "metric": scoring.METRICS[task.type]}
        said |= {"variant": name, "start": lines.format_time(start), "items": len(task.items)}
        try:
            found = scoring.score_task(task, texts.encode, encoder.similarity or "cosine", self.arguments.seed)
        except FmbenchError as error:
            self._failed(said, one_line(error))
            return
        said |= {"texts": texts.count, "score": found.score, "interval": scoring.interval(found, self.arguments.seed)}
        said |= {"resamples": scoring.RESAMPLES, "seed": self.arguments.seed}
        first = self._first.setdefault(task.name, found)
        if name != FIRST and first is not found:
            change, interval = scoring.change(first, found, self.arguments.seed)
            said |= {"against": FIRST, "change": change, "change_interval": interval}
        said["seconds"] = round((self.opened.clock.now() - start) / 1e9, 6)
        self.opened.log.write(lines.JsonLine("QUA", said))

    def _failed(self, said: dict[str, Any], why: str) -> None:
        self.failed += 1
        warn(f"{said['task']}: {why}")
        self.opened.log.write(lines.JsonLine("QUA", {**said, "failure": why}))

    def _of_mteb(self, name: str, encoder: Encoder) -> None:
        """Score MTEB's tasks by its own code, which tells no items: there is no interval."""
        from fmbench.mteb import MtebModel, find_tasks

        model = MtebModel(encoder)
        for task in find_tasks(self.names):
            start = self.opened.clock.now()
            said: dict[str, Any] = {"task": task.metadata.name, "type": task.metadata.type, "variant": name}
            said |= {"metric": task.metadata.main_score, "start": lines.format_time(start)}
            try:
                result = model.result(task)
            except Exception as error:  # a task downloads, and may raise anything
                self._failed(said, f"{one_line(error)} (MTEB's tasks come from the hub)")
                continue
            if self.arguments.out_mteb is not None:
                write_result(result, self.arguments.out_mteb / name)
            score = float(result.get_score())
            first = self._first_mteb.setdefault(task.metadata.name, score)
            said |= {"score": score, "interval": None, "seed": self.arguments.seed}
            said |= {"against": FIRST, "change": score - first, "change_interval": None} if name != FIRST else {}
            said["seconds"] = round((self.opened.clock.now() - start) / 1e9, 6)
            self.opened.log.write(lines.JsonLine("QUA", said))


@dataclass
class Texts:
    """An encoder that counts what it is given. Texts of no role have the folder's default prompt, as MTEB has it."""

    encoder: Encoder
    count: int = 0

    def encode(self, texts: Sequence[str], role: str | None) -> "np.ndarray":
        """Return one vector a text."""
        self.count += len(texts)
        if role is None:
            return self.encoder.with_prompt(self.encoder.default_prompt).encode(texts)
        known: Role = "query" if role == "query" else "passage"
        return self.encoder.encode(texts, known)


def write_result(result: Any, folder: Path) -> None:
    """Write a result as MTEB's own files have it. Raises PlatformError where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        result.to_disk(folder / f"{result.task_name}.json")
    except OSError as error:
        raise PlatformError(f"--out_mteb {folder}: {one_line(error)}") from None
