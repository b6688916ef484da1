"""`fmbench fidelity matrix`: captures by several versions of a library, each compared with the one before."""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fmbench import lines, session
from fmbench.capture.reader import ArtifactReader
from fmbench.checks import Checked, check_encoder
from fmbench.command_line import CommandLine
from fmbench.console import note, run_main, warn
from fmbench.encoder import EncoderPlan
from fmbench.errors import FmbenchError, UsageError, first_line
from fmbench.parsing import Parser, nonempty
from fmbench.secrets import apart
from fmbench.session import LogWriter
from fmbench.whole_file import whole_file

from .arguments import CaptureArguments, add_probes, add_subject_arguments, build_parser
from .capture import choose_probes, visible_probes, wanted_arguments
from .environments import Environment, Present, least_torch
from .older import ATTENTION, OlderCaptures, refusal
from .records import WHOLE, Names, capture_line, fid, write_comparison, write_facts
from .swap import PROBES as SWAPPED
from .writer import check_free, discard

PROGRAM = "fmbench fidelity matrix"
EPILOG = """\
how it works:
  Each --with is an environment: this one, and on top of it what is named, so that little else differs. pip brings what
  a version depends on, where what is here does not do. One --with may name several: --with 'torch==2.12.1 numpy==2.3'.
  In each environment the capture of the other arguments is made, below --out, and each is compared with the one before
  it; where indexes and rankings were captured, the later version also searches the earlier one's index.

  A torch that is pinned below fmbench's own, from 1.13 on, gets an environment that stands by itself, and one file,
  portable.py, captures in it: the probes that need nothing else, in the same format. Neighbours of different kinds are
  compared by what both have.

  Environments are kept in --environments and used again; so are captures that the same command made below --out, as
  long as texts, judgements, model, software and machine are what they were. A version that cannot be installed, or
  cannot run, is a row that says why; its neighbours are compared with each other.
  The log goes to standard output, and what `fmbench show` makes of it to stderr.

exit codes:
  0 every version was captured and compared, 1 a row of the table is a failure (the others are there), 2 the command
  line is wrong, 3 the platform is not usable here or answers wrongly

example:
  fmbench fidelity matrix --with torch==2.12.1 --with torch==2.13.0 --out upgrade \\
      --platform cpu --model_name models/minilm --dataset data/scifact --documents 500
"""


@dataclass
class Column:
    """One version: its environment, where its capture is, and why there is none."""

    environment: Environment
    folder: Path
    failure: str | None = None

    @property
    def label(self) -> str:
        """What it is called before people."""
        return self.environment.label

    @property
    def command(self) -> Path:
        """The file that says of which command the capture is; it is written when that has ended."""
        return self.folder.with_name(f"{self.folder.name}.command.json")

    def check(self, command: CommandLine) -> None:
        """Raise UsageError where the folder is taken by anything but an earlier capture of the same command."""
        if not self.command.is_file():
            check_free(self.folder)
        elif self.command.read_text(encoding="utf-8") != said(command):
            raise UsageError(f"{self.folder}: was captured by another command; name another --out, or delete it")

    def discard(self) -> None:
        """Delete the capture that an earlier run made. Raises UsageError where another run is at it."""
        if self.folder.exists():
            discard(self.folder)
        self.command.unlink(missing_ok=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return run_main(PROGRAM, lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Make environments and captures, compare, and say what changed; return 1 where anything failed."""
    if "-h" in argv or "--help" in argv:
        help_parser().parse_known_args(["--help"])
    left, columns, arguments = wanted(argv)
    plan = checked(arguments, columns)
    for column in columns:
        column.check(left)
    subject = arguments.subject()
    with session.open_with_tables("fidelity", arguments) as opened:
        opened.begin()
        opened.log.write(lines.JsonLine("ENV", {"task": "matrix"}))
        present = Present(plan, subject, arguments.colbert)
        matrix = Matrix(left, present, OlderCaptures(arguments, plan, subject), opened.log)
        try:
            for column in columns:
                matrix.take(column)
        except KeyboardInterrupt:
            note(f"{len(matrix.done)} of {len(columns)} versions are done; the same command goes on with the next one")
            raise
    return int(matrix.failed)


def wanted(argv: Sequence[str]) -> tuple[CommandLine, list[Column], CaptureArguments]:
    """Return the command that every version captures by, the versions, and what it amounts to. Raises UsageError."""
    parser, command = own_parser(), CommandLine.parse(argv, help_parser().flags)
    own, left = parser.parse_known(command.only(parser.names).fixed), command.without(parser.names)
    requirements = getattr(own, "with") or []
    if len(requirements) < 2:
        raise UsageError("name two versions at least: --with torch==2.12.1 --with torch==2.13.0")
    columns = planned(own, requirements)
    older = [column.label for column in columns if column.environment.older]
    if older and not left.values(f"model:{ATTENTION}"):
        note(f"{older[0]} is older than fmbench's own torch: every version computes with --model:{ATTENTION} eager")
        left = left.with_(CommandLine.parse([f"--model:{ATTENTION}", "eager"], ()))
    return left, columns, wanted_arguments([*left.words, f"--out={own.out}"])


def check(argv: Sequence[str]) -> Checked:
    """Return what a command line amounts to. Raises UsageError and PlatformError."""
    _, _, arguments = wanted(argv)
    texts = (path for path in (arguments.texts, arguments.dataset) if path is not None)
    return replace(check_encoder(arguments, arguments.recipe), inputs=(*texts,))


@dataclass
class Matrix:
    """Captures by several versions, one after the other, and what each changed against the one before that works."""

    command: CommandLine  # that every version captures by
    present: Present
    older: OlderCaptures
    log: LogWriter
    done: list[Column] = field(default_factory=list)
    failed: bool = False

    def take(self, column: Column) -> None:
        """Capture with one version, and compare it with the one before that works."""
        self.fill(column)
        self.tell(column)
        self.done.append(column)

    def tell(self, column: Column) -> None:
        """Write what a version captured, and what it changed."""
        if column.failure is not None:
            self.fail("capture", f"capture/{column.label}", (None, column.label), column.failure)
            return
        reader = ArtifactReader(column.folder)
        write_facts(self.log, column.label, reader)
        self.log.write(capture_line(column.label, reader.manifest, (None, column.label)))
        before = next((other for other in reversed(self.done) if other.failure is None), None)
        if before is not None:
            note(f"{column.label}: is compared with {before.label}")
            self.compare(before, column, reader)

    def fill(self, column: Column) -> None:
        """Make a version's environment and its capture, or keep why not."""
        environment = column.environment
        note(f"{environment.requirement}: prepares its environment")
        try:
            environment.make()
        except FmbenchError as error:
            if isinstance(error, UsageError):
                raise
            column.failure = f"cannot be installed: {first_line(error)}"
            warn(f"{environment.requirement} {column.failure}")
            return
        if column.command.is_file():
            why = self.present.stale(column.folder, environment.versions)
            if why is None:
                note(f"{environment.requirement}: was captured in {column.folder} by the same command, and is kept")
                return
            note(f"{environment.requirement}: is captured again: {why}")
            column.discard()
        done = self.capture(environment, column.folder)
        if done.returncode:
            column.failure = f"cannot capture: {last_line(done.stderr)}"
            warn(f"{environment.requirement} {column.failure}")
            return
        with whole_file(column.command) as stream:
            stream.write(said(self.command))
        note(f"{environment.requirement}: captured in {column.folder}")

    def capture(self, environment: Environment, folder: Path) -> "subprocess.CompletedProcess[str]":
        """Capture in an environment, by fmbench or, with a torch that is older than its own, by `portable.py`."""
        if environment.older:
            note(f"{environment.requirement}: portable.py captures {', '.join(self.older.probes)}")
            return self.older.capture(environment, folder)
        note(f"{environment.requirement}: captures")
        return environment.run(["fidelity", "capture", *self.command.words, "--out", str(folder)])

    def compare(self, a: Column, b: Column, reader: ArtifactReader) -> None:
        """Compare two neighbours, and let the later one search the earlier one's index.

        Where `portable.py` made one of them, what both have is compared.
        """
        names = (a.label, b.label)
        earlier = ArtifactReader(a.folder)
        if a.environment.older or b.environment.older:
            both = [name for name in earlier.manifest.probes if name in reader.manifest.probes]
            earlier, reader = ArtifactReader(a.folder, both), ArtifactReader(b.folder, both)
        try:
            write_comparison(self.log, earlier, reader, names)
        except FmbenchError as error:
            self.fail(WHOLE, WHOLE, names, first_line(error))
            return
        if all({*SWAPPED} <= side.manifest.probes.keys() for side in (earlier, reader)):
            self.swap(a, b, names)

    def swap(self, a: Column, b: Column, names: Names) -> None:
        """Pass on what `fmbench fidelity swap` says in the later version's environment."""
        words = self.command.without(["probes"]).words
        done = b.environment.run(["fidelity", "swap", str(a.folder), str(b.folder), *words])
        if done.returncode:
            self.fail("swap", "swap", names, f"cannot swap: {last_line(done.stderr)}")
            return
        for line in map(lines.parse_line, done.stdout.splitlines()):
            if lines.is_json(line, "FID"):
                self.log.write(lines.JsonLine("FID", {**line.data, "reference": names[0], "variant": names[1]}))

    def fail(self, kind: str, artifact: str, names: Names, reason: str) -> None:
        """Say what failed: a row of its own, and no version less."""
        self.failed = True
        self.log.write(fid(kind, artifact, "failed", names, {"failure": reason}))


def own_parser() -> Parser:
    """Return the parser of what only this command asks."""
    parser = Parser(prog=PROGRAM, add_help=False, allow_abbrev=False)
    add_own(parser)
    return parser


def help_parser() -> Parser:
    """Return the parser whose help shows everything."""
    parser = build_parser(
        PROGRAM, "Capture with several versions of a library, and compare each with the next.", EPILOG
    )
    add_subject_arguments(parser)
    add_probes(parser.add_argument_group("capture"))
    add_own(parser.add_argument_group("versions"))
    return parser


def add_own(group: "argparse._ActionsContainer") -> None:
    """Add versions, where they come from, and where everything goes."""
    group.add_argument(
        "--with", action="append", type=nonempty, metavar="REQ", help="a requirement, or several; repeatable, in order"
    )
    group.add_argument("--out", type=Path, required=True, metavar="DIR", help="captures go below it")
    group.add_argument(
        "--environments", type=Path, default=Path("~/.cache/fmbench/environments"), metavar="DIR",
        help="where environments are kept (default: ~/.cache/fmbench/environments)",
    )  # fmt: skip
    group.add_argument("--index-url", type=nonempty, metavar="URL", help="where the installer looks")
    group.add_argument("--find-links", type=nonempty, metavar="DIR|URL", help="where else the installer looks")


def planned(own: argparse.Namespace, requirements: Sequence[str]) -> list[Column]:
    """Return the versions in the order given. Raises UsageError for one that is there twice, or is no requirement."""
    options: list[str] = []
    for name in ("index_url", "find_links"):
        if getattr(own, name) is not None:
            options += [f"--{name.replace('_', '-')}", getattr(own, name)]
    cache = own.environments.expanduser()
    columns: list[Column] = []
    for requirement in requirements:
        environment = Environment(requirement, tuple(options), cache)
        if not environment.words or any(environment.name == column.environment.name for column in columns):
            raise UsageError(f"--with {requirement}: given twice")
        columns.append(Column(environment, own.out / environment.name))
    return columns


def checked(arguments: CaptureArguments, columns: Sequence[Column]) -> EncoderPlan:
    """Refuse here what every environment would refuse. Raises UsageError and PlatformError.

    A probe that is not known here may come with a package that is not installed here.
    """
    if arguments.out is not None and arguments.out.exists() and not arguments.out.is_dir():
        raise UsageError(f"--out {arguments.out}: is a file; name a folder")
    plan = EncoderPlan.of(arguments, arguments.recipe, late=True)
    if not any(column.environment.brings for column in columns):
        visible_probes(plan, choose_probes(arguments), arguments.probes is not None)
    older = [column.label for column in columns if column.environment.older]
    unable = refusal(arguments, plan) if older else None
    if unable is not None:
        raise UsageError(f"{unable}: not with {older[0]}, which is older than fmbench's own torch ({least_torch()})")
    return plan


def said(command: CommandLine) -> str:
    """Return a command as JSON, its secrets sealed."""
    return json.dumps(command.masked(apart).words)


def last_line(text: str) -> str:
    """Return the last line that a program said."""
    rows = [row.strip() for row in text.splitlines() if row.strip()]
    return rows[-1] if rows else "it said nothing"
