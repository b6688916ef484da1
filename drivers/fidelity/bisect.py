"""`fmbench fidelity bisect A`: the first module that computes something else than it did, on the same input."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from fmbench.console import reserved_stdout, run_main, warn
from fmbench.encoder import Encoder, EncoderPlan
from fmbench.errors import UsageError
from fmbench.markdown import markdown, plain

from .arguments import CaptureArguments, add_capture, add_format, build_parser, parse
from .comparison import model_changes
from .reader import ArtifactReader
from .records import finite
from .session import opaque
from .substitution import Found, Substitution
from .tables import figures, note

PROGRAM = "fmbench fidelity bisect"
EPILOG = """\
how it works:
  A is a capture with the probe `modules`, made by the old build. Run this by the new one, on the same weights. Each
  leaf module gets the input that it had in A, and what it makes of it is compared with A's output, which then takes
  the place of its own. So every difference is the module's own, and not one that an earlier module handed on. Code
  between modules (residual sums, the attention's products) is named by the module that it feeds.

examples:
  fmbench fidelity capture --platform cpu --model_name models/minilm --texts texts.txt --probes modules --out before
  (upgrade torch)
  fmbench fidelity bisect before --platform cpu --model_name models/minilm
"""
HEADER = ("call", "module", "what differs", "verdict", "equal share", "mean abs diff", "max abs diff", "max ULP",
          "min cosine", "note")  # fmt: skip
WHERE = {
    "module": "its output, on the same input",
    "before": "its input: the code between the modules before it",
    "missing": "only A makes the call, or with other tensors",
    "extra": "A does not make the call",
}
ALONE = {"missing": "of A that is not made here", "extra": "that A does not make"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return run_main(PROGRAM, lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Substitute, and print what was found."""
    parser = build_parser(PROGRAM, "Name the first module whose output differs from a capture's, input alike.", EPILOG)
    add_capture(parser, "a", "folder of a capture with the probe `modules`")
    add_format(parser)
    arguments = parse(parser, argv)
    if arguments.a is None:
        raise UsageError("name the capture A")
    reader = ArtifactReader(arguments.a)
    plan = EncoderPlan.of(arguments, arguments.recipe)
    with reserved_stdout() as stdout:
        found, calls = bisected(reader, plan, arguments)
        stdout.write(as_json(found, calls) if arguments.format == "json" else as_markdown(found, calls, arguments.a))
    return 0


def bisected(reader: ArtifactReader, plan: EncoderPlan, arguments: CaptureArguments) -> tuple[list[Found], int]:
    """Run the model under substitution; return what is not as in A, and how many calls were compared."""
    hidden = opaque(plan)
    if hidden is not None:
        raise UsageError("; ".join(hidden))
    encoder = Encoder(plan)
    changes = model_changes(reader.manifest, encoder.facts)
    if changes:
        warn(f"this is not the model of A: {'; '.join(changes)}; what follows from that is among what is found")
    substitution = Substitution(reader, encoder.module)
    found = substitution.run(plan.platform.place(substitution.inputs()))
    return found, substitution.calls


def headline(found: Sequence[Found], calls: int) -> str:
    """Return the one sentence that says it."""
    alone = next((item for item in found if item.where in ALONE), None)
    first = next((item for item in found if item.where == "module"), None)
    if alone is not None:
        text = f"The models do not make the same calls: the first {ALONE[alone.where]} is {alone.call}."
        return f"{text} {module_sentence(found, first, calls)}"
    if first is None and found:
        return f"No module differs; the first call that has another input is {found[0].call}."
    if first is None:
        return f"All {calls} calls of modules give what they gave in A, bit for bit."
    return module_sentence(found, first, calls)


def module_sentence(found: Sequence[Found], first: Found | None, calls: int) -> str:
    """Return what there is to say of modules that differ on the same input."""
    if first is None:
        return f"No module of the {calls} calls that both make differs."
    others = sum(item.where == "module" for item in found) - 1
    text = f"First module that differs on the same input: {first.call} ({first.kind}, {first.verdict})."
    return f"{text} {others} more of {calls} calls differ." if others else f"{text} All other modules are equal."


def as_markdown(found: Sequence[Found], calls: int, folder: Path) -> str:
    """Return the headline, and a line for each call that is not as in A."""
    parts = [f"### Fidelity: bisected against {plain(str(folder))}\n", f"**{plain(headline(found, calls))}**\n"]
    if found:
        parts.append(markdown(HEADER, [line_of(item) for item in found], (4, 5, 6, 7, 8)))
    return "\n".join(parts)


def line_of(item: Found) -> list[str]:
    """Return the cells of one call."""
    numbers = [*figures(item.difference), note(item.difference)] if item.difference else [""] * 6
    return [item.call, item.kind, WHERE[item.where], item.verdict, *numbers]


def as_json(found: Sequence[Found], calls: int) -> str:
    """Return one JSON object."""
    first = next((item.call for item in found if item.where == "module"), None)
    record = {"first": first, "calls": calls, "found": [finite(asdict(item)) for item in found]}
    return json.dumps(record, indent=2, allow_nan=False) + "\n"
