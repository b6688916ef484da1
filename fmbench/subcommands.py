"""Commands of a command, as in `fmbench retrieve encode`: each is imported when it is asked for."""

import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fmbench.console import run_main
from fmbench.errors import UsageError, nearest


@dataclass(frozen=True)
class Subcommand:
    """What it does in one line, and `module:function` that takes the rest of the command line, as a plug-in's is."""

    summary: str
    target: str

    def run(self, argv: Sequence[str]) -> int:
        """Import the function and call it."""
        module, _, function = self.target.partition(":")
        return int(getattr(importlib.import_module(module), function)(argv))


@dataclass(frozen=True)
class Subcommands:
    """The commands of a program."""

    program: str
    description: str
    commands: Mapping[str, Subcommand]

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Run one command and return its exit code."""
        words = sys.argv[1:] if argv is None else list(argv)
        named = [word for word in words[:1] if word in self.commands]
        return run_main(" ".join([self.program, *named]), lambda: self.dispatch(words))

    def dispatch(self, argv: Sequence[str]) -> int:
        """Find the command and hand it the rest of the command line. Raises UsageError for one that is unknown."""
        if argv and argv[0] in ("-h", "--help"):
            sys.stdout.write(self.help_text())
            raise SystemExit(0)
        known = ", ".join(self.commands)
        if not argv:
            raise UsageError(f"name a command: {known} (see {self.program} --help)")
        name, *rest = argv
        if name not in self.commands:
            raise UsageError(f"unknown command {name!r}{nearest(name, self.commands)} (commands: {known})")
        return self.commands[name].run(rest)

    def help_text(self) -> str:
        """Return what `--help` prints."""
        width = max(map(len, self.commands))
        rows = [f"  {name:{width}}  {command.summary}" for name, command in self.commands.items()]
        return "\n".join([
            f"usage: {self.program} COMMAND ...",
            "",
            self.description,
            "",
            "commands:",
            *rows,
            "",
            f"`{self.program} COMMAND --help` says more.",
            "",
        ])  # fmt: skip
