"""`fmbench fidelity bisect A`: the first module that computes something else than it did, on the same input."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fmbench import session
from fmbench.capture.manifest import ArtifactError
from fmbench.capture.reader import ArtifactReader
from fmbench.console import run_main, warn
from fmbench.encoder import Encoder, EncoderPlan
from fmbench.errors import UsageError

from . import colbert_ai, index_bisect
from .arguments import add_capture, add_subject_arguments, build_parser, check_subject, parse
from .comparison import in_order, model_changes
from .difference import Difference, Verdict, between
from .layers import INPUTS, label, leaves, watch
from .plaid import PlaidIndex, is_index
from .records import WHOLE, difference_record, fid, write_facts
from .session import Session, fingerprint, opaque

if TYPE_CHECKING:
    import torch

PROBE = "modules"
Where = Literal["module", "before", "missing", "extra"]


@dataclass(frozen=True, slots=True)
class Found:
    """One call that is not as in A.

    `where`: the module itself, on A's input; `before`, the code that made its input from A's outputs, such as a
    residual sum or the attention's products; `missing`, a call that only A makes, or makes with other tensors; or
    `extra`, a call that A does not make.
    """

    call: str
    kind: str  # the module's class
    where: Where
    difference: Difference | None = None

    @property
    def verdict(self) -> Verdict:
        """What to call it."""
        return self.difference.verdict if self.difference else "missing"


class Substitution:
    """A capture whose tensors take the place of a model's own.

    What is found is in the order of the calls. Because each call gets A's input, a difference is that call's own, not
    an earlier one's. Where the model has another type than A's, A's tensors are rounded to it first.
    Raises ArtifactError for a capture without the probe `modules`.
    """

    def __init__(self, reader: ArtifactReader, model: "torch.nn.Module") -> None:
        if PROBE not in reader.manifest.probes:
            raise ArtifactError(f"{reader.folder}: was captured without the probe {PROBE}; add it to --probes")
        self._reader = reader
        artifacts = reader.manifest.artifacts
        self._labels = {artifact.label: None for artifact in artifacts if artifact.probe == PROBE}  # in order
        self._model = model
        self._kinds = {name: type(module).__name__ for name, module in leaves(model).items()}
        self._recast = dtypes_of(model) != reader.manifest.fingerprint.get("dtype")
        self._calls = dict.fromkeys(name.split("/")[1] for name in self._labels if name.count("/") == 2)  # in order
        self._made: list[str] = []  # by this model, in order
        self._seen: set[str] = set()  # with the tensors that A has
        self.found: list[Found] = []

    @property
    def calls(self) -> int:
        """How many calls both made."""
        return len(self._seen)

    def inputs(self) -> "dict[str, torch.Tensor]":
        """Return the batch that A ran on, on the host."""
        before = f"{PROBE}/{INPUTS}"
        names = [name for name in self._labels if name.startswith(before)]
        return {name.removeprefix(before): self._reader.tensor(self._reader.find(name)) for name in names}

    def run(self, placed: "dict[str, torch.Tensor]") -> list[Found]:
        """Run the model on A's batch, placed, and return every call that is not as in A."""
        import torch

        with torch.no_grad(), watch(self._model, self._enter, self._leave):
            self._model(**placed)
        self.found += [Found(call, "", "missing") for call in self._calls if call not in self._seen]
        places = {call: place for place, call in enumerate(in_order(self._calls, self._made))}
        self.found.sort(key=lambda item: places[item.call])
        return self.found

    def _enter(self, call: str, tensors: "list[torch.Tensor]") -> "list[torch.Tensor]":
        self._made.append(call)
        stored = self._stored(call, "input", tensors)
        if stored is None:
            if call not in self._calls:
                self.found.append(Found(call, self._kind(call), "extra"))
            return tensors
        self._seen.add(call)
        return [self._take(call, "before", old.to(mine.dtype), mine) for old, mine in zip(stored, tensors, strict=True)]

    def _leave(self, call: str, tensors: "list[torch.Tensor]") -> "list[torch.Tensor]":
        stored = self._stored(call, "output", tensors)
        if stored is None:
            return tensors
        if self._recast:  # A's output as the other type can say it: what is beyond that is not the module's doing
            stored = [old.to(mine.dtype) for old, mine in zip(stored, tensors, strict=True)]
        return [self._take(call, "module", old, mine) for old, mine in zip(stored, tensors, strict=True)]

    def _stored(self, call: str, side: str, tensors: "list[torch.Tensor]") -> "list[torch.Tensor] | None":
        """Return A's tensors of a call, or None where it made no such call."""
        names = [f"{PROBE}/{label(call, side, place)}" for place in range(len(tensors))]
        if any(name not in self._labels for name in names):
            return None
        found = [self._reader.tensor(self._reader.find(name)) for name in names]
        return [old.reshape(mine.shape) if mine.dim() == 0 else old for old, mine in zip(found, tensors, strict=True)]

    def _take(self, call: str, where: Where, old: "torch.Tensor", mine: "torch.Tensor") -> "torch.Tensor":
        """Note whether B's tensor is not A's, and return A's, where and as B wants it; B's where shapes differ."""
        found = between(old, mine)
        if found.verdict != "equal":
            earlier = any(known.call == call and known.where == where for known in self.found)
            self.found += [] if earlier else [Found(call, self._kind(call), where, found)]
        return mine if found.verdict == "shape" else old.to(mine.device, mine.dtype)

    def _kind(self, call: str) -> str:
        return self._kinds[call.partition("#")[0]]


def dtypes_of(model: "torch.nn.Module") -> str:
    """Return the types of a model's weights, as a fingerprint says them."""
    return ",".join(sorted({str(parameter.dtype).removeprefix("torch.") for parameter in model.parameters()}))


PROGRAM = "fmbench fidelity bisect"
EPILOG = """\
how it works:
  A is a capture with the probe `modules`, made by the old build. Run this by the new one, on the same weights. Each
  leaf module gets the input that it had in A, and what it makes of it is compared with A's output, which then takes
  the place of its own. So every difference is the module's own, and not one that an earlier module handed on. Code
  between modules (residual sums, the attention's products) is named by the module that it feeds.
  With --index, A has the probe `index`: it is built again, once with nothing of A, then with A's embeddings (the probes
  `token_vectors` and `normalised`), its sample of them, and its centroids in place of this run's. Where all later parts
  are then equal, the cause lies upstream of what was put in, else downstream.
  Or A is a PLAID index, which this environment's colbert-ai makes again (--model_name is its checkpoint), once with
  nothing of A and once with A's codec: its centroids, buckets and average residual.
  The log goes to standard output, and what `fmbench show` makes of it to stderr.

examples:
  fmbench fidelity capture --platform cpu --model_name models/minilm --texts texts.txt --probes modules --out before
  (upgrade torch)
  fmbench fidelity bisect before --platform cpu --model_name models/minilm
  fmbench fidelity bisect before --index --platform cpu --model_name models/minilm --texts texts.txt
  fmbench fidelity bisect index-2.4 --platform cpu --model_name models/colbert --dataset data/scifact
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return run_main(PROGRAM, lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Substitute, and say what was found."""
    parser = build_parser(PROGRAM, "Name the first module whose output differs from a capture's, input alike.", EPILOG)
    add_capture(parser, "a", "folder of a capture with the probe `modules`, or with `index`, or of a PLAID index")
    parser.add_argument("--index", action="store_true", help="the steps of building an index, not the modules")
    add_subject_arguments(parser)
    arguments = parse(parser, argv)
    if arguments.a is None:
        raise UsageError("name the capture A")
    if is_index(arguments.a):
        check_subject(arguments)
        with session.open_with_tables("fidelity", arguments) as opened:
            colbert_ai.bisect(PlaidIndex(arguments.a), arguments, opened)
        return 0
    reader = ArtifactReader(arguments.a)
    plan = EncoderPlan.of(arguments, arguments.recipe, late=True)
    if arguments.index:
        check_subject(arguments)
        subject = arguments.subject()
        index_bisect.check(reader, subject, arguments.seed)
        with session.open_with_tables("fidelity", arguments) as opened:
            context = Session(arguments, plan, subject, opened, "bisect").context
            index_bisect.bisect_index(context, reader, opened.log, reader.folder.resolve().name)
        return 0
    if arguments.texts is not None or arguments.dataset is not None:
        raise UsageError("--texts and --dataset go with --index; modules run on the texts that A holds")
    hidden = opaque(plan)
    if hidden is not None:
        raise UsageError("; ".join(hidden))
    with session.open_with_tables("fidelity", arguments) as opened:
        bisect(opened, reader, plan)
    return 0


def bisect(run: session.Session, reader: ArtifactReader, plan: EncoderPlan) -> None:
    """Run the model under substitution; say which calls are not as in A, and how many were compared."""
    run.begin()
    log = run.log
    encoder = Encoder(plan)
    names = (reader.folder.resolve().name, None)
    write_facts(log, names[0], reader)
    run.describe({"task": "bisect", **fingerprint(encoder)})
    changes = model_changes(reader.manifest, encoder.facts)
    if changes:
        warn(f"this is not the model of A: {'; '.join(changes)}; what follows from that is among what is found")
    substitution = Substitution(reader, encoder.module)
    log.write(fid(WHOLE, WHOLE, "incomplete", names, {}))
    found = substitution.run(plan.platform.place(substitution.inputs()))
    for item in found:
        difference = difference_record(item.difference) if item.difference else {}
        log.write(fid("call", item.call, item.verdict, names, {"where": item.where, "module": item.kind, **difference}))
    first, alone, before = (
        next((item for item in found if item.where in where), None)
        for where in (("module",), ("missing", "extra"), ("before",))
    )
    said = {
        "calls": substitution.calls,
        "unequal": sum(item.where == "module" for item in found),
        "first": first and first.call,
        "first_verdict": first and first.verdict,
        "first_module": first and first.kind,
        "alone": alone and alone.call,
        "alone_where": alone and alone.where,
        "before": before and before.call,
    }
    log.write(fid(WHOLE, WHOLE, "different" if found else "equal", names, said))
