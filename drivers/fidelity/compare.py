"""`fmbench fidelity compare A B`: what differs, from which artifact on, and what that did to the rankings."""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from fmbench import backend, lines, session
from fmbench.capture.reader import ArtifactReader
from fmbench.checks import Checked
from fmbench.console import Progress, run_main, warn
from fmbench.errors import UsageError
from fmbench.facts import unsaid
from fmbench.options import Arguments
from fmbench.parsing import Parser, words
from fmbench.session import LogWriter

from .comparison import Comparison, Row, check_comparable, failures
from .plaid import PlaidIndex, is_index
from .plaid import write_comparison as write_index_comparison
from .records import names_of, write_comparison, write_facts

PROGRAM = "fmbench fidelity compare"
EPILOG = """\
what is compared:
  Two folders that `fmbench fidelity capture` wrote, of the same probes and texts, artifact by artifact in execution
  order. The first one that differs is on top: what comes after it may differ for its sake alone. Where one of them
  lacks probes (a compiler shows no layers), --probes names those to compare.

  equal      the same type, shape and bits
  close      |a - b| <= atol + rtol |b| for every element; by type (float32 1e-6 and 1e-5, bfloat16 1e-3 and 1e-2,
             float16 1e-4 and 1e-3, of two types the narrower one's; integers exactly), or --atol and --rtol.
             The rule is relative to B alone. A ranking is close where only its scores changed
  different  beyond that
  shape      of two shapes
  missing    in one of the two captures

  NaN is equal to NaN in the same place. Every file is checked against its sha256.

  Two folders that colbert-ai's indexer wrote (PLAID) are compared file by file: which have the same shapes, which the
  same values, by the tolerances above and by those of torch.allclose.

exit codes:
  0 done, 1 what --fail-on names was found, 2 the command line or a capture is wrong, or the two are not comparable

what is printed:
  A log of FMWORK FID lines on standard output, one an artifact, and what `fmbench show` makes of it on stderr.
  `process` turns the log into JSON, Markdown and other formats.

examples:
  fmbench fidelity compare torch-2.12 torch-2.13 > drift.log
  fmbench fidelity compare float32 bfloat16 --html drift.html | process --path - --format markdown
  fmbench fidelity compare before after --fail-on ranking
  fmbench fidelity compare cpu openvino --probes pooled,search
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return run_main(PROGRAM, lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Compare what the command line names; return 1 where --fail-on says so."""
    arguments = build_parser().parse_known(argv)
    indexes = [is_index(folder) for folder in (arguments.a, arguments.b)]
    if any(indexes):
        return run_indexes(arguments, indexes)
    a, b = (ArtifactReader(folder, arguments.probes) for folder in (arguments.a, arguments.b))
    for reader in (a, b):
        if not reader.manifest.complete:
            warn(f"{reader.folder}: the capture did not end; it holds {', '.join(reader.manifest.probes)}")
    check_comparable(a, b)
    names = names_of(arguments.a, arguments.b)
    with session.open_with_tables("fidelity") as opened:
        opened.begin()
        log = opened.log
        log.write(lines.JsonLine("ENV", {"task": "compare"}))
        for name, reader in zip(names, (a, b), strict=True):
            write_facts(log, name, reader)
        found = compare_sides(log, a, b, names, arguments)
        for one, other in ((a, b), (b, a)):
            unknown = unsaid(one.manifest.fingerprint, other.manifest.fingerprint)
            if unknown:
                warn(f"{one.folder}: an earlier version made it, which did not say {', '.join(unknown)}: not compared")
        code = 0
        if arguments.html is not None:
            code = log.tell("process", "--format", "html", "--out", str(arguments.html), "--path")
    return code or guard(found.rows, arguments.fail_on)


def run_indexes(arguments: argparse.Namespace, indexes: Sequence[bool]) -> int:
    """Compare two PLAID indexes; return 1 where --fail-on says so. Raises UsageError where one side is none."""
    folders = (arguments.a, arguments.b)
    other = next((folder for folder, index in zip(folders, indexes, strict=True) if not index), None)
    if other is not None:
        raise UsageError(f"{other}: is no PLAID index, as the other side is; compare two of a kind")
    if arguments.probes or arguments.html is not None or arguments.fail_on == "ranking":
        raise UsageError("of two PLAID indexes files are compared: leave out --probes, --html and --fail-on ranking")
    a, b = (PlaidIndex(folder) for folder in folders)
    progress = Progress()
    with session.open_with_tables("fidelity") as opened:
        opened.begin()
        opened.log.write(lines.JsonLine("ENV", {"task": "compare"}))
        rows = write_index_comparison(
            opened.log, a, b, names_of(*folders), arguments.atol, arguments.rtol,
            lambda row: progress.show(f"{row.artifact.label} {row.verdict}"),
        )  # fmt: skip
        progress.clear()
    return guard(rows, arguments.fail_on)


def check(argv: Sequence[str]) -> Checked:
    """Return what a command line amounts to; its captures may be yet to come. Raises UsageError."""
    found = build_parser().parse_known(argv)
    host = backend.find("cpu")
    return Checked(host, Arguments(platform=host.name, model_name=found.b.name), inputs=(found.a, found.b))


def compare_sides(
    log: LogWriter, a: ArtifactReader, b: ArtifactReader, names: tuple[str, str], arguments: argparse.Namespace
) -> Comparison:
    """Compare two captures, and show on a terminal how far that is."""
    progress, total = Progress(), len(a.manifest.artifacts)
    seen: list[Row] = []

    def show(row: Row) -> None:
        seen.append(row)
        progress.show(f"{len(seen)} of {total}: {row.artifact.label} {row.verdict}")

    try:
        return write_comparison(log, a, b, names, arguments.atol, arguments.rtol, show)
    finally:
        progress.clear()


def guard(rows: Sequence[Row], what: str | None) -> int:
    """Return 1 where --fail-on names what was found, and say so; else 0."""
    failed = failures(rows, what) if what else []
    if failed:
        others = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
        warn(f"--fail-on {what}: {failed[0].artifact.label} is {failed[0].verdict}{others}")
    if what == "ranking" and all(row.artifact.kind != "ranking" for row in rows):
        raise UsageError("--fail-on ranking: the captures hold no ranking (probe `search`)")
    return int(bool(failed))


def build_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(
        prog=PROGRAM,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Compare two captures, artifact by artifact, and say what changed first.",
        epilog=EPILOG,
    )
    parser.add_argument("a", metavar="A", type=Path, help="folder of a capture, or of a PLAID index")
    parser.add_argument("b", metavar="B", type=Path, help="folder of the capture, or index, that came after")
    parser.add_argument(
        "--probes", type=words, metavar="NAME,...", help="compare these alone, where a capture lacks others"
    )
    parser.add_argument("--atol", type=amount, metavar="NUMBER", help="absolute tolerance, for every type")
    parser.add_argument("--rtol", type=amount, metavar="NUMBER", help="tolerance relative to |b|, for every type")
    parser.add_argument(
        "--fail-on", choices=("different", "close", "ranking"),
        help="exit with 1 where an artifact is not close, is not equal, or where a ranking changed",
    )  # fmt: skip
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with drift by layer as well")
    return parser


def amount(text: str) -> float:
    """Read a number that is not negative."""
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not zero or more")
    return number
