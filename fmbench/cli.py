"""`fmbench COMMAND ...`: one name for every command. A command is an entry point in the group fmbench.commands."""

import sys
from collections.abc import Sequence

from fmbench import __version__, plugins
from fmbench.console import run_main, warn
from fmbench.errors import UsageError, nearest

GROUP = "fmbench.commands"

# Shown by --help, which imports no command.
SUMMARIES = {
    "backends": "list the platforms: usable here or why not, and what installs them",
    "choose": "race all set-ups of a model on this machine, and say which one to run",
    "compare": "compare logs shape by shape: which differences are real",
    "distill": "train a small query encoder beside a large passage encoder, and say what it is worth",
    "doctor": "check this machine and installation, and say what to fix",
    "driver": "measure how fast a model runs on a platform (also installed as `driver`)",
    "fidelity": "compare what a model computed: bitwise, by tolerance, and what it did to rankings",
    "load": "measure a service of embeddings under load, and whether its vectors are still right",
    "models": "list the models that --weights random builds without a download",
    "process": "turn the driver's log into JSON or another format (also installed as `process`)",
    "quality": "score similarity, classification, clustering and MTEB's tasks, with intervals",
    "results": "keep logs with their results, find them again, ask them questions in SQL",
    "retrieve": "encode, search, evaluate, mine: does a model still retrieve, and how fast?",
    "serve": "serve a model on any platform over HTTP: a reference for load tests",
    "show": "print results as a table, or the medians of groups of them",
    "sweep": "run many command lines that one file describes, resume them, keep them in one store",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    return run_main("fmbench", lambda: dispatch(sys.argv[1:] if argv is None else list(argv)))


def dispatch(argv: Sequence[str]) -> int:
    """Find the command and hand it the rest of the command line."""
    commands, warnings = plugins.discover(GROUP)
    for text in warnings:
        warn(text)
    if not argv or argv[0] in ("-h", "--help"):
        sys.stdout.write(help_text(commands))
        return 0 if argv else UsageError.exit_code
    name, *rest = argv
    if name == "--version":
        sys.stdout.write(f"fmbench {__version__}\n")
        return 0
    if name not in commands:
        raise UsageError(f"unknown command {name!r}{nearest(name, commands)} (commands: {', '.join(commands)})")
    return int(commands[name].load()(rest))


def help_text(commands: dict[str, plugins.Plugin]) -> str:
    """Return what `fmbench --help` prints."""
    width = max(map(len, commands), default=0)
    rows = [f"  {name:{width}}  {SUMMARIES.get(name, plugin.distribution)}" for name, plugin in commands.items()]
    return "\n".join([
        "usage: fmbench COMMAND ...",
        "",
        "How fast, how faithful, how good: one benchmark for embedding models on any accelerator.",
        "",
        "commands:",
        *rows,
        "",
        "`fmbench COMMAND --help` says more; `fmbench --version` prints the version.",
        "",
    ])  # fmt: skip
