"""`fmbench fidelity capture`: run the probes, and keep every tensor and ranking."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from fmbench import session
from fmbench.capture.manifest import Manifest
from fmbench.checks import Checked, check_encoder
from fmbench.console import Progress, note, run_main, warn
from fmbench.encoder import EncoderPlan
from fmbench.errors import UsageError
from fmbench.session import LogWriter

from .arguments import (
    CaptureArguments,
    Subject,
    add_probes,
    add_subject_arguments,
    build_parser,
    check_subject,
    parse,
)
from .probe import Probe, available, choose, outputs
from .records import capture_line
from .session import Session, opaque
from .writer import ArtifactWriter, check_free, check_own, discard

PROGRAM = "fmbench fidelity capture"
EPILOG = """\
what is captured:
  What each probe computes, in execution order: tokens, hidden states, vectors, an index, rankings, and single
  operations of torch (`fmbench fidelity probes` lists them). The folder can be compared with another one by
  `fmbench fidelity compare`, as long as texts, seed and probes are the same. The same capture twice, on one machine
  and build, is equal to the last bit. A capture that is interrupted is not kept: the same command begins it again.

examples:
  fmbench fidelity capture --platform cpu --model_name models/minilm --dataset data/scifact --documents 500 --out before
  fmbench fidelity capture --platform cpu --model_name models/minilm --texts texts.txt --probes hidden,search \\
      --model:dtype@ torch.bfloat16 --out bfloat16
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return run_main(PROGRAM, lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Check everything that can be checked quickly, then run the probes."""
    arguments = wanted_arguments(argv)
    probes = choose_probes(arguments)
    check_folder(arguments)
    subject = arguments.subject()
    plan = EncoderPlan.of(arguments, arguments.recipe, late=True)
    probes = visible_probes(plan, probes, arguments.probes is not None)
    with session.open_with_tables("fidelity", arguments) as run:
        capture(Session(arguments, plan, subject, run, "capture"), probes, arguments, run.log)
        run.end(plan.platform.ask_model_facts())
    return 0


def check(argv: Sequence[str]) -> Checked:
    """Return what a command line amounts to. Raises UsageError and PlatformError."""
    arguments = wanted_arguments(argv)
    choose_probes(arguments)
    source = arguments.texts or arguments.dataset
    if source is None or not source.exists():
        arguments.subject()  # which says so
    checked = check_encoder(arguments, arguments.recipe)
    return replace(checked, model=lambda: {**checked.model(), "texts": arguments.subject().digest},
                   again=("--replace",), check_free=partial(check_folder, arguments))  # fmt: skip


def wanted_arguments(argv: Sequence[str]) -> CaptureArguments:
    """Read the command line without importing torch. Raises UsageError."""
    parser = build_parser(PROGRAM, "Keep what a model computes on a platform, from tokens to rankings.", EPILOG)
    add_subject_arguments(parser)
    group = parser.add_argument_group("capture")
    group.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    group.add_argument("--replace", action="store_true", help="an earlier capture in the folder is deleted first")
    add_probes(group)
    return parse(parser, argv, check_subject)


def choose_probes(arguments: CaptureArguments) -> list[Probe]:
    """Return the probes of the command line; one that cannot be imported is a warning. Raises UsageError."""
    probes, _, warnings = available()
    for text in warnings:
        warn(text)
    return choose(probes, arguments.probes)


def visible_probes(plan: EncoderPlan, probes: Sequence[Probe], asked: bool) -> list[Probe]:
    """Return the probes that can see what they look at.

    Behind a compiler a model has no layers: probes of them are left out with a warning, or refused where asked for.
    """
    hidden = opaque(plan)
    if hidden is None:
        return list(probes)
    blind = [probe.name for probe in probes if probe.layers]
    if blind and asked:
        why, fix = hidden
        raise UsageError(f"--probes {','.join(blind)}: {why}; leave them out, or {fix}")
    if blind:
        warn(f"left out, because a compiled model's layers cannot be seen: {', '.join(blind)}")
    return [probe for probe in probes if probe.name not in blind]


def capture(session: Session, probes: Sequence[Probe], arguments: CaptureArguments, log: LogWriter) -> None:
    """Run probes and write the folder; after each probe, say what it holds so far."""
    import torch

    subject, name = session.context.subject, folder_of(arguments).resolve().name
    progress = Progress()
    if arguments.replace and arguments.out is not None and arguments.out.exists():
        discard(arguments.out)
    with ArtifactWriter(folder_of(arguments), manifest_of(session, probes, subject)) as writer, torch.no_grad():
        writer.name_texts(subject.passages, subject.queries)
        if subject.gains:
            writer.judge({query: dict(found) for query, found in subject.gains.items()})
        for probe in probes:
            torch.manual_seed(session.context.seed)
            for artifact, output in outputs(probe, session.context):
                progress.show(f"{probe.name}/{artifact}")
                if isinstance(output, Mapping):
                    writer.rank(probe.name, artifact, output)
                else:
                    writer.append(probe.name, artifact, output)
            log.write(capture_line(name, writer.keep(probe.name)))
        log.write(capture_line(name, writer.close()))
    progress.clear()
    note(f"captured {', '.join(probe.name for probe in probes)} in {arguments.out}")


def check_folder(arguments: CaptureArguments) -> None:
    """Raise UsageError where the folder holds what may not be replaced, before anything is computed or deleted."""
    (check_own if arguments.replace else check_free)(folder_of(arguments))


def folder_of(arguments: CaptureArguments) -> Path:
    """Return where the capture goes. Raises UsageError where the command line does not say."""
    if arguments.out is None:
        raise UsageError("name a new folder with --out DIR")
    return arguments.out


def manifest_of(session: Session, probes: Sequence[Probe], subject: Subject) -> Manifest:
    """Return what is known before anything is computed."""
    return Manifest(
        fingerprint=session.fingerprint,
        model=str(session.fingerprint["model_digest"]),
        texts=subject.digest,
        text_count=len(subject.passages) + len(subject.queries),
        seed=session.context.seed,
        probes={probe.name: dict(probe.options) for probe in probes},
        queries=len(subject.queries),
    )
