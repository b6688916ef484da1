"""`fmbench retrieve TASK ...`: does a model still retrieve, and how fast, on this platform?"""

import sys
from collections.abc import Sequence

from fmbench.console import run_main
from fmbench.errors import UsageError, nearest

PROGRAM = "fmbench retrieve"

TASKS = {
    "encode": "encode a corpus and its queries into an embedding cache",
    "search": "find the k nearest documents of every query, exactly",
    "evaluate": "quality of the rankings (nDCG, MAP, recall, ...) and speed, in one record",
    "mine": "hard negatives for training",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one task and return its exit code."""
    return run_main(PROGRAM, lambda: dispatch(sys.argv[1:] if argv is None else list(argv)))


def dispatch(argv: Sequence[str]) -> int:
    """Find the task and hand it the rest of the command line."""
    if not argv or argv[0] in ("-h", "--help"):
        sys.stdout.write(help_text())
        return 0 if argv else UsageError.exit_code
    task, *rest = argv
    if task not in TASKS:
        raise UsageError(f"unknown task {task!r}{nearest(task, TASKS)} (tasks: {', '.join(TASKS)})")
    from .arguments import parse_arguments
    from .tasks import run

    return run(parse_arguments(task, rest, f"{PROGRAM} {task}"))


def help_text() -> str:
    """Return what `fmbench retrieve --help` prints."""
    width = max(map(len, TASKS))
    rows = [f"  {name:{width}}  {summary}" for name, summary in TASKS.items()]
    return "\n".join([
        "usage: fmbench retrieve TASK ...",
        "",
        "Does a model still retrieve, and how fast, on one platform?",
        "",
        "tasks:",
        *rows,
        "",
        "`fmbench retrieve TASK --help` says more.",
        "",
    ])  # fmt: skip
