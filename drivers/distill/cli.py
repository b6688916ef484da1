"""`fmbench distill STEP ...`: a small query encoder beside a large passage encoder."""

import sys
from collections.abc import Sequence

from fmbench.console import run_main
from fmbench.errors import UsageError, nearest

PROGRAM = "fmbench distill"

STEPS = {
    "teacher": "encode training queries, and texts that stand in for queries, with the passage model",
    "align": "train a student to put a query where the teacher puts it",
    "contrast": "train it on, to prefer a query's own passage to hard negatives",
    "evaluate": "quality kept and latency won, against the teacher in one run",
    "frontier": "one table and one plot of many students: quality kept against speed-up",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one step and return its exit code."""
    return run_main(PROGRAM, lambda: dispatch(sys.argv[1:] if argv is None else list(argv)))


def dispatch(argv: Sequence[str]) -> int:
    """Find the step and hand it the rest of the command line."""
    if not argv or argv[0] in ("-h", "--help"):
        sys.stdout.write(help_text())
        return 0 if argv else UsageError.exit_code
    step, *rest = argv
    if step not in STEPS:
        raise UsageError(f"unknown step {step!r}{nearest(step, STEPS)} (steps: {', '.join(STEPS)})")
    if step == "frontier":
        from .frontier import run as draw

        return draw(rest, f"{PROGRAM} {step}")
    from .arguments import parse_arguments
    from .steps import run

    return run(parse_arguments(step, rest, f"{PROGRAM} {step}"))


def help_text() -> str:
    """Return what `fmbench distill --help` prints."""
    width = max(map(len, STEPS))
    rows = [f"  {name:{width}}  {summary}" for name, summary in STEPS.items()]
    return "\n".join([
        "usage: fmbench distill STEP ...",
        "",
        "A small query encoder beside a large passage encoder: queries cost less, and the index stays as it is.",
        "",
        "steps:",
        *rows,
        "",
        "`fmbench distill STEP --help` says more.",
        "",
    ])  # fmt: skip
