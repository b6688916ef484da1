"""One way to run a model: its arguments, its platform, and, once set up, the call that is timed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fmbench import backend, lines, model, torch_settings
from fmbench.backend import Backend, Forward
from fmbench.clock import Clock
from fmbench.cost import Cost, cost_of
from fmbench.errors import UsageError, first_line
from fmbench.log import LogWriter
from fmbench.measure import Shape, nothing
from fmbench.options import SpeedArguments
from fmbench.overrides import override
from fmbench.source import Source, locate

LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass
class Variant:
    """A of an ordinary run; A, B, ... where --vs compares. `activate` makes its torch settings hold."""

    index: int
    overrides: str
    arguments: SpeedArguments
    platform: Backend
    source: Source | None
    alone: bool
    forward: Forward = field(init=False)
    facts: dict[str, Any] = field(default_factory=dict)
    model: Any = None
    activate: Callable[[], None] = nothing

    @property
    def label(self) -> str:
        """A, B, ..."""
        return LABELS[self.index]

    @property
    def marks(self) -> dict[str, str]:
        """What a line of this variant says of it: nothing in an ordinary run."""
        return {} if self.alone else {"variant": self.label}

    def cost(self, shape: Shape) -> Cost | None:
        """Return the work of a forward pass, or None where it cannot be counted."""
        if self.model is None:
            return None
        try:
            return cost_of(self.model, shape.input_size, shape.batch_size)
        except Exception:  # a model that cannot run on storage-less tensors: the count is an extra
            return None

    def load(self, log: LogWriter, clock: Clock) -> None:
        """Load and prepare the model, and print what that took and what it is."""
        self.activate()
        start = clock.now()
        if self.source is not None:
            self.model = model.load(self.source, self.arguments)
        self.forward = self.platform.prepare(self.model, self.arguments)
        seconds = (clock.now() - start) / 1e9
        if self.index == 0:
            log.write(lines.Setup(seconds))
        log.write(lines.Phase({"name": "load", "seconds": round(seconds, 6), **self.marks}))
        if self.source is not None:
            self.facts |= model.facts(self.model, self.source, self.arguments)
        else:
            self.facts |= {"model": self.arguments.model_name, "weights": None}


def plan(argv: Sequence[str], arguments: SpeedArguments, program: str) -> list[Variant]:
    """Return the variants of a command line, each checked as far as that is quick.

    Raises UsageError and PlatformError before anything slow happens.
    """
    if len(arguments.vs) >= len(LABELS):
        raise UsageError(f"--vs: at most {len(LABELS) - 1} variants beside the first")
    if arguments.vs and arguments.isolate:
        raise UsageError(
            "--vs with --isolate or --repeat: variants are compared inside one process; leave one of them out"
        )
    if arguments.vs and arguments.resume:
        raise UsageError("--vs with --resume: a comparison is measured in one run; leave one of them out")
    every = [("", arguments), *((overrides, override(argv, overrides, program)) for overrides in arguments.vs)]
    variants = []
    for index, (overrides, given) in enumerate(every):
        platform = backend.find(given.platform)
        platform.check(given)
        source = locate(given) if platform.builds_model else None
        if source is not None:
            source.check_lengths(given.input_sizes)
        variants.append(Variant(index, overrides, given, platform, source, alone=len(every) == 1))
    return variants


def set_up(variants: Sequence[Variant]) -> None:
    """Set the platforms up, import the libraries, evaluate the command lines and make A's settings hold."""
    for variant in variants:
        variant.platform.setup(variant.arguments)
    for variant in variants:
        variant.arguments = variant.arguments.evaluated()
        torch_settings.check_compile(variant.arguments.options["compile"])
        if variant.source is not None:
            model.import_class(variant.arguments.model_class)
    settings = torch_settings.Settings([(v.arguments.options, v.arguments.threads) for v in variants])
    for variant in variants:
        variant.activate = lambda index=variant.index: settings.activate(index)  # type: ignore[misc]
    variants[0].activate()


def check_memory(variant: Variant) -> None:
    """Raise UsageError where a further variant's weights do not fit beside those that are loaded."""
    if variant.source is None or variant.index == 0:
        return
    free = variant.platform.free_bytes()
    try:
        needed = model.weight_bytes(variant.source, variant.arguments)
    except Exception as error:
        raise UsageError(f"--vs {variant.overrides!r}: {first_line(error)}") from error
    if free is not None and needed > free:
        raise UsageError(
            f"--vs {variant.overrides!r}: its weights take {needed / 1e9:.1f} GB beside those of A, and "
            f"{free / 1e9:.1f} GB are free; compare two runs instead"
        )
