"""`fmbench fidelity swap A B`: this code searches A's index, to tell index drift from search drift."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from fmbench.collection.qrels import Qrels
from fmbench.console import reserved_stdout, run_main, warn
from fmbench.encoder import EncoderPlan
from fmbench.errors import UsageError
from fmbench.facts import LATER
from fmbench.log import LogWriter
from fmbench.markdown import plain
from fmbench.ranking.order import Run

from .arguments import (
    CaptureArguments,
    add_capture,
    add_format,
    add_subject_arguments,
    build_parser,
    check_subject,
    parse,
)
from .comparison import check_comparable, model_changes
from .drift import drift
from .indexes import KINDS, NAMES, ResidualIndex, ranked_in
from .reader import ArtifactReader
from .records import finite
from .report import section
from .session import Session
from .tables import RankingDrift, ranking_table

PROGRAM = "fmbench fidelity swap"
EPILOG = """\
how it works:
  A and B are captures with the probes `index` and `search`; run this by the build that made B. It searches A's index
  with B's code. From A's ranking to that one only the search changed; from that one to B's only the index.

example:
  fmbench fidelity swap before after --platform cpu --model_name models/minilm --dataset data/scifact
"""
PROBES = ("index", "search")
SAME = ("packages", "dtype", "platform", "device", "compile", "options", "head", *LATER)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return run_main(PROGRAM, lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Search A's index, and print the table."""
    parser = build_parser(PROGRAM, "Search A's index with this code, and say what drifted: index or search.", EPILOG)
    add_capture(parser, "a", "folder of a capture with the probes `index` and `search`")
    add_capture(parser, "b", "folder of the capture that this build made")
    add_subject_arguments(parser)
    add_format(parser)
    arguments = parse(parser, argv, check_subject)
    if arguments.a is None or arguments.b is None:
        raise UsageError("name the captures A and B")
    a, b = (ArtifactReader(folder, PROBES) for folder in (arguments.a, arguments.b))
    check_comparable(a, b)
    with reserved_stdout() as stdout:
        drifts = swapped(a, b, arguments)
        stdout.write(as_json(drifts) if arguments.format == "json" else as_markdown(drifts, (a, b)))
    return 0


def swapped(a: ArtifactReader, b: ArtifactReader, arguments: CaptureArguments) -> list[RankingDrift]:
    """Return the three drifts of each kind of index."""
    subject = arguments.subject()
    if subject.digest != b.manifest.texts:
        raise UsageError(f"the texts are not those of {b.folder}; name the same --texts, or --dataset and its options")
    if arguments.seed != b.manifest.seed:
        raise UsageError(f"--seed {arguments.seed}: {b.folder} was captured with --seed {b.manifest.seed}")
    session = Session(arguments, EncoderPlan.of(arguments, arguments.recipe), subject, LogWriter(sys.stderr), "swap")
    warn_of_another_build(session, b)
    names = (a.folder.name, b.folder.name)
    drifts = []
    for kind in KINDS:
        label = f"search/{kind}.index"
        found = ranked_in(session.context, kind, index_in(a, kind))
        own_a, own_b = (reader.run(reader.find(label)) for reader in (a, b))
        drifts += swap_drifts(
            names, label, own_a, found, own_b, b.qrels(), queries=b.manifest.queries, seed=b.manifest.seed
        )
    return drifts


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


def as_markdown(drifts: Sequence[RankingDrift], sides: tuple[ArtifactReader, ArtifactReader]) -> str:
    """Return the table of rankings."""
    a, b = (plain(side.folder.name) for side in sides)
    return f"### Fidelity: the search of {b} on the index of {a}\n\n" + section("Rankings", ranking_table(drifts))


def as_json(drifts: Sequence[RankingDrift]) -> str:
    """Return a JSON list."""
    return json.dumps([finite(asdict(drift)) for drift in drifts], indent=2, allow_nan=False) + "\n"


def swap_drifts(
    names: tuple[str, str], ranking: str, own_a: Run, swapped: Run, own_b: Run,
    qrels: Qrels | None = None, queries: int | None = None, seed: int = 0,
) -> list[RankingDrift]:  # fmt: skip
    """Return three lines for the table of rankings: the whole change from A to B, and its two parts.

    `swapped` is what B's code finds in A's index. From `own_a` to it only the code of the search changed; from it to
    `own_b` only the index. The two changes of a metric add up to the whole one; numbers of different ids do not.
    """
    a, b = names
    between = f"{b} on the index of {a}"
    steps = (
        (a, b, f"{ranking}: index and search", own_a, own_b),
        (a, between, f"{ranking}: search drift", own_a, swapped),
        (between, b, f"{ranking}: index drift", swapped, own_b),
    )
    return [
        RankingDrift(left, right, what, drift(before, after, qrels, queries=queries, seed=seed))
        for left, right, what, before, after in steps
    ]
