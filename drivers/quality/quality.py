"""`fmbench quality`: encode the texts of tasks on a platform, and score the vectors."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from fmbench import lines, session
from fmbench.checks import Checked, check_encoder
from fmbench.claim import one_writer
from fmbench.console import note, run_main, warn
from fmbench.encoder import Encoder, EncoderPlan
from fmbench.errors import FmbenchError, PlatformError, UsageError, one_line
from fmbench.session import Session, facts_of, run_facts
from fmbench.tasks import LocalTask, Named, TaskScore, prepare, read_named
from fmbench.torch_settings import spin_briefly

from .arguments import PROGRAM, QualityArguments, parse_arguments, variants

TIMED = "nothing"
FIRST = "A"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return run_main(PROGRAM, lambda: run(sys.argv[1:] if argv is None else argv))


def check(argv: Sequence[str]) -> Checked:
    """Return what a command line amounts to. Raises UsageError and PlatformError."""
    arguments = parse_arguments(argv)
    tasks = read_named(arguments.tasks)
    items = [path for task in tasks for path in task.files]
    free = partial(check_results, arguments.out_mteb, variants(argv, arguments), tasks)
    return replace(check_encoder(arguments, arguments.recipe), inputs=(Path(arguments.tasks), *items), check_free=free)


def run(argv: Sequence[str]) -> int:
    """Check all that can be checked quickly, then score every task with every variant."""
    arguments = parse_arguments(argv)
    spin_briefly()  # before what scores imports torch
    tasks = read_named(arguments.tasks)
    every = variants(argv, arguments)
    with one_writer(arguments.out_mteb, "--out_mteb"):
        check_results(arguments.out_mteb, every, tasks)
        return score(arguments, every, tasks)


def score(arguments: QualityArguments, every: Mapping[str, QualityArguments], tasks: Sequence[Named]) -> int:
    """Score every task with every variant; return 1 where some could not be."""
    plans = {name: EncoderPlan.of(one, one.recipe) for name, one in every.items()}
    shared = run_facts(arguments, (), TIMED)  # before scikit-learn is imported, which sets variables
    prepare(tasks)
    with session.open_with_tables("quality", arguments) as opened:
        opened.begin()
        opened.log.banner("RUNTIME")
        opened.log.write(lines.JsonLine("ENV", {
            "task": "quality", **shared,
            "variants": dict(zip(every, ("", *arguments.vs), strict=True)),
        }))  # fmt: skip
        scoring = Scoring(opened, arguments, tasks)
        for name, plan in plans.items():
            scoring.variant(name, plan)
        opened.end()
    return 1 if scoring.failed else 0


@dataclass
class Scoring:
    """The scores of all tasks, variant by variant; those of the first one are what the others are held against."""

    opened: Session
    arguments: QualityArguments
    tasks: Sequence[Named]
    failed: int = 0
    _first: dict[str, TaskScore] = field(default_factory=dict)

    def variant(self, name: str, plan: EncoderPlan) -> None:
        """Set one variant up, print its facts, and score every task."""
        log, clock = self.opened.log, self.opened.clock
        start = clock.now()
        encoder = Encoder(plan)
        log.write(lines.JsonLine("PHASE", {"name": "load", "seconds": round((clock.now() - start) / 1e9, 6),
                                           "variant": name}))  # fmt: skip
        log.write(lines.JsonLine("ENV", {"variant": name, **facts_of(encoder), "similarity": encoder.similarity}))
        log.banner("QUALITY", name)
        for task in self.tasks:
            note(f"{name}: {task.name}")
            start = clock.now()
            said = {**task.facts(), "variant": name, "start": lines.format_time(start), "seed": self.arguments.seed}
            try:
                found = task.score(encoder, self.arguments.seed)
            except FmbenchError as error:
                self.failed += 1
                warn(f"{task.name}: {one_line(error)}")
                said["failure"] = one_line(error)
            else:
                said |= self._figures(name, found)
                said["seconds"] = round((clock.now() - start) / 1e9, 6)
            log.write(lines.JsonLine("QUA", said))
        if late := encoder.platform.ask_model_facts():
            log.write(lines.JsonLine("ENV", {"variant": name, **late}))

    def _figures(self, name: str, found: TaskScore) -> dict[str, Any]:
        """Return what is said of a score, and of its change against the first variant's where that has one."""
        from fmbench.tasks.scoring import change, interval

        if found.result is not None and self.arguments.out_mteb is not None:
            write_result(found.result, self.arguments.out_mteb / name)
        seed, first = self.arguments.seed, self._first.get(found.task)
        said: dict[str, Any] = {"score": found.value, "interval": None, "texts": found.texts}
        if found.scored is not None:
            said["interval"], said["resamples"] = interval(found.scored, seed)
        if name == FIRST:
            self._first[found.task] = found
        elif first is not None:
            difference, doubt = found.value - first.value, None
            if found.scored is not None and first.scored is not None:
                difference, doubt = change(first.scored, found.scored, seed)
            said |= {"against": FIRST, "change": difference, "change_interval": doubt}
        return said


def check_results(folder: Path | None, variants: Iterable[str], tasks: Sequence[Named]) -> None:
    """Raise UsageError for tasks that MTEB's format has no results of, and where the folder has some already."""
    own = [task.name for task in tasks if isinstance(task, LocalTask)]
    if folder is not None and own:
        raise UsageError(f"--out_mteb {folder}: MTEB's result files are of its own tasks, which {', '.join(own)} "
                         f"{'is' if len(own) == 1 else 'are'} not; leave it out: the log has every score")  # fmt: skip
    for name in (f"{variant}/{task.name}.json" for variant in variants for task in tasks):
        if folder is not None and (folder / name).exists():
            raise UsageError(f"--out_mteb {folder}: holds {name} already; name another folder")


def write_result(result: Any, folder: Path) -> None:
    """Write a result as MTEB's own files have it. Raises PlatformError where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        result.to_disk(folder / f"{result.task_name}.json")
    except OSError as error:
        raise PlatformError(f"--out_mteb {folder}: {one_line(error)}") from None
