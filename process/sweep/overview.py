"""What a sweep says of itself: before it starts, while it goes on, and at the end."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from fmbench.figures import significant
from fmbench.markdown import harmless
from fmbench.secrets import masked_text
from fmbench.table import table

from ..reading.row import Result
from ..workload import workload_of
from .kept import Kept
from .plan import Task

MINUTE, HOUR = 60, 3600
SHOWN = 4  # facts


def time_text(seconds: float) -> str:
    """Return a time as people say it."""
    for unit, name in ((HOUR, "h"), (MINUTE, "min")):
        if seconds >= unit:
            return f"{significant(seconds / unit, digits=2)} {name}"
    return f"{significant(seconds, digits=2)} s"


def seconds_of(task: Task, kept: Kept) -> float | None:
    """Return how long a run of a cell takes: of one that failed, and of which nothing else is known, the last one."""
    failed = task.runs[-1].seconds if task.runs and not task.runs[-1].whole else None
    usual = kept.seconds(task.cell, task.platform)
    return failed if usual is None or (failed is not None and not task.left) else usual


def time_left(tasks: Iterable[tuple[Task, int, float]], kept: Kept) -> str:
    """Return about how long tasks take, one after the other, as far as the store knows.

    Of each: how many runs are left, that which is running too, and for how many seconds it has.
    """
    known, unknown = 0.0, 0
    for task, left, spent in tasks:
        seconds = seconds_of(task, kept)
        known, unknown = (
            (known, unknown + left) if seconds is None else (known + max(0.0, left * seconds - spent), unknown)
        )
    if not known:
        return ""
    runs = "1 run" if unknown == 1 else f"{unknown} runs"
    return (
        f"at least {time_text(known)}, and {runs} of which nothing is known" if unknown else f"about {time_text(known)}"
    )


def cells_of(tasks: Sequence[Task]) -> str:
    """Return how many cells there are."""
    return "1 cell" if len(tasks) == 1 else f"{len(tasks)} cells"


def runs_left(tasks: Iterable[Task]) -> str:
    """Return how many runs are left, of how many that are wanted."""
    able = [task for task in tasks if not task.refused]
    return f"{sum(task.left for task in able)} of {sum(task.wanted for task in able)} runs left"


def state_of(task: Task, running: Collection[str] = ()) -> str:
    """Return what is the matter with a cell, in a word or a reason."""
    if task.cell.id in running:
        return "running"
    if task.refused:
        return f"refused: {task.refused}"
    if task.left:
        times = "" if task.left == 1 else f" {task.left} times"
        reasons = {
            f"differs in {few(task.changed)}": task.changed, "its folder is gone": task.gone,
            "what it reads is written anew": task.stale,
        }  # fmt: skip
        why = next((reason for reason, holds in reasons.items() if holds), None)
        return f"to run{times}{f' again: {why}' if why else ''}"
    return "failed" if task.failed else "done"


def few(names: Sequence[str]) -> str:
    """Return the first of some names."""
    return ", ".join([*names[:SHOWN], *(["..."] if len(names) > SHOWN else [])])


def plan_table(tasks: Sequence[Task], kept: Kept, running: Collection[str] = ()) -> str:
    """Return a line a cell: its name, its command, what it needs, how long it should take, what is the matter."""
    rows = []
    for task in tasks:
        seconds = seconds_of(task, kept)
        needs = ", ".join(f"{name} {count:g}" for name, count in task.needs.items())
        told = ["" if seconds is None else time_text(seconds), state_of(task, running)]
        rows.append(
            [harmless(masked_text(cell)) for cell in (task.cell.id, task.cell.run, task.cell.told, needs, *told)]
        )
    return table(["cell", "command", "what varies", "needs", "time", "state"], rows)


def counts(tasks: Sequence[Task], kept: Kept, running: Sequence[str] = ()) -> str:
    """Return how many cells are in which state, and the time left."""
    states = [state_of(task, running).partition(":")[0].partition(" ")[0] for task in tasks]
    named = {"done": "done", "running": "running", "failed": "failed", "to": "left", "refused": "refused"}
    said = [f"{states.count(state)} {name}" for state, name in named.items() if state in states]
    runs = f"; {runs_left(tasks)}" if any(task.wanted > 1 for task in tasks) else ""
    left = time_left(((task, task.left, 0) for task in tasks), kept) if "to" in states or "running" in states else ""
    left += ", what runs counted in full" if left and "running" in states else ""
    return f"{cells_of(tasks)}: {', '.join(said)}{runs}{f'; time left: {left}' if left else ''}"


def refusals(tasks: Iterable[Task]) -> list[str]:
    """Return a line for each cell that is refused: its name, why, and its id."""
    refused = [task for task in tasks if task.refused]
    return [harmless(masked_text(f"{task.cell.name}: {task.refused} (cell {task.cell.id})")) for task in refused]


def failures(results: Iterable[Result], broken: Mapping[str, str]) -> list[str]:
    """Return a line for each result that is an error: what failed, why, and its entry.

    `broken` are the names of cells by entry.
    """
    found = []
    for result in results:
        row = result.row
        if row["status"] == "ERR" and result.source in broken:
            error = row["error"] or {}
            said = broken[result.source], workload_of(row).label(row), error.get("type"), error.get("message")
            found.append(harmless(f"{': '.join(map(str, said))} ({result.source})"))
    return found
