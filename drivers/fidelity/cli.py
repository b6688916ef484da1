"""`fmbench fidelity COMMAND ...`: each command is a module, imported when it is asked for."""

import importlib
import sys
from collections.abc import Sequence

from fmbench.console import run_main
from fmbench.errors import UsageError, nearest

PROGRAM = "fmbench fidelity"

# A command is a module of this package with a function `main(argv) -> exit code`.
SUMMARIES = {
    "compare": "compare two captures: what is equal, what is close, and the first artifact that is neither",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    return run_main(PROGRAM, lambda: dispatch(sys.argv[1:] if argv is None else list(argv)))


def dispatch(argv: Sequence[str]) -> int:
    """Find the command and hand it the rest of the command line."""
    if argv and argv[0] in ("-h", "--help"):
        sys.stdout.write(help_text())
        raise SystemExit(0)
    if not argv:
        raise UsageError(f"name a command: {', '.join(SUMMARIES)} (see {PROGRAM} --help)")
    name, *rest = argv
    if name not in SUMMARIES:
        raise UsageError(f"unknown command {name!r}{nearest(name, SUMMARIES)} (commands: {', '.join(SUMMARIES)})")
    module = importlib.import_module(f".{name}", __package__)
    return int(module.main(rest))


def help_text() -> str:
    """Return what `fmbench fidelity --help` prints."""
    width = max(map(len, SUMMARIES))
    return "\n".join([
        f"usage: {PROGRAM} COMMAND ...",
        "",
        "Is it still the same? What a new torch, dtype, kernel or device does to a model's numbers and rankings.",
        "",
        "commands:",
        *(f"  {name:{width}}  {summary}" for name, summary in SUMMARIES.items()),
        "",
        f"`{PROGRAM} COMMAND --help` says more.",
        "",
    ])  # fmt: skip
