"""`fmbench fidelity swap A B`: this code searches A's index, to tell index drift from search drift."""

import sys
from collections.abc import Sequence
from pathlib import Path

from fmbench import session
from fmbench.capture.reader import ArtifactReader
from fmbench.console import run_main, warn
from fmbench.encoder import EncoderPlan
from fmbench.errors import UsageError
from fmbench.facts import LATER
from fmbench.session import LogWriter

from . import colbert_ai
from .arguments import add_capture, add_subject_arguments, build_parser, check_subject, one, parse
from .comparison import check_comparable, model_changes
from .drift import swap_drifts
from .indexes import KINDS, NAMES, ResidualIndex, rank_in
from .plaid import is_index
from .records import names_of, write_facts, write_parts
from .session import Session

PROGRAM = "fmbench fidelity swap"
EPILOG = """\
how it works:
  A and B are captures with the probes `index` and `search`; run this by the build that made B. It searches A's index
  with B's code. From A's ranking to that one only the search changed; from that one to B's only the index.
  Or they are PLAID indexes, which this environment's colbert-ai searches (--model_name is its checkpoint). What A's own
  build finds in A comes from a file that the same command, without B, writes there.
  The log goes to standard output, and what `fmbench show` makes of it to stderr.

examples:
  fmbench fidelity swap before after --platform cpu --model_name models/minilm --dataset data/scifact
  fmbench fidelity swap index-2.4 --ranking 2.4.tsv --platform cpu --model_name models/colbert --dataset data/scifact
  fmbench fidelity swap index-2.4 index-2.5 --ranking 2.4.tsv --platform cpu --model_name models/colbert \\
      --dataset data/scifact
"""
PROBES = ("index", "search")
SAME = ("packages", "dtype", "platform", "device", "compile", "options", "head", *LATER)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return run_main(PROGRAM, lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Search A's index, and say what drifted."""
    parser = build_parser(PROGRAM, "Search A's index with this code, and say what drifted: index or search.", EPILOG)
    add_capture(parser, "a", "folder of a capture with the probes `index` and `search`, or of a PLAID index")
    add_capture(parser, "b", "folder of the capture, or index, that this build made", nargs="?")
    one(
        parser, "--ranking", type=Path, metavar="FILE",
        help="of PLAID indexes: what A's own build finds in A; it writes the file where B is left out",
    )  # fmt: skip
    add_subject_arguments(parser)
    arguments = parse(parser, argv, check_subject)
    if arguments.a is not None and is_index(arguments.a):
        with session.open_with_tables("fidelity", arguments) as opened:
            colbert_ai.swap(arguments, opened)
        return 0
    if arguments.a is None or arguments.b is None:
        raise UsageError("name the captures A and B")
    a, b = (ArtifactReader(folder, PROBES) for folder in (arguments.a, arguments.b))
    check_comparable(a, b)
    subject = arguments.subject()
    if subject.digest != b.manifest.texts:
        raise UsageError(f"the texts are not those of {b.folder}; name the same --texts, or --dataset and its options")
    if arguments.seed != b.manifest.seed:
        raise UsageError(f"--seed {arguments.seed}: {b.folder} was captured with --seed {b.manifest.seed}")
    with session.open_with_tables("fidelity", arguments) as opened:
        this = Session(arguments, EncoderPlan.of(arguments, arguments.recipe, late=True), subject, opened, "swap")
        warn_of_another_build(this, b)
        write_drifts(this, a, b, names_of(arguments.a, arguments.b), opened.log)
    return 0


def write_drifts(
    session: Session, a: ArtifactReader, b: ArtifactReader, names: tuple[str, str], log: LogWriter
) -> None:
    """Say the three drifts of each kind of index."""
    for name, reader in zip(names, (a, b), strict=True):
        write_facts(log, name, reader)
    for kind in KINDS:
        label = f"search/{kind}.index"
        found = rank_in(session.context, kind, index_in(a, kind))
        own_a, own_b = (reader.run(reader.find(label)) for reader in (a, b))
        drifts = swap_drifts(own_a, found, own_b, b.qrels(), queries=b.manifest.queries, seed=b.manifest.seed)
        write_parts(log, label, drifts, names)


def warn_of_another_build(session: Session, b: ArtifactReader) -> None:
    """Say what is not as when B was captured: the search would not be B's."""
    then, now = b.manifest.fingerprint, session.fingerprint
    other = [name for name in SAME if name in then and now.get(name) != then[name]]
    reasons = [f"{', '.join(other)} differ"] if other else []
    reasons += model_changes(b.manifest, session.fingerprint)
    if reasons:
        warn(f"this is not what made {b.folder}: {'; '.join(reasons)}; search drift is between A and this build")


def index_in(reader: ArtifactReader, kind: str) -> ResidualIndex:
    """Return a capture's index, its checksums checked; the sample is only for building."""
    names = [name for name in NAMES if name != "sample"]
    return ResidualIndex({name: reader.tensor(reader.find(f"index/{kind}.{name}")) for name in names})
