"""One way to run a model: its arguments, its platform, and, once set up, the call that is timed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fmbench import backend, lines, model, positions, torch_settings
from fmbench.backend import Backend, Forward
from fmbench.clock import Clock
from fmbench.command_line import CommandLine
from fmbench.console import note
from fmbench.cost import Cost, cost_of
from fmbench.errors import UsageError, first_line
from fmbench.facts import differences
from fmbench.measure import Shape, nothing
from fmbench.options import SpeedArguments
from fmbench.overrides import Say, override
from fmbench.secrets import masked_text
from fmbench.session import LogWriter
from fmbench.source import Source, locate

NO_CLASS = "none"  # of a platform that builds no model
TOLD = ("model:dtype", "model:torch_dtype", "model:attn_implementation")  # options that the facts of a model tell
TELLING = (
    "platform", "device", "model", "model_class", "weights", "dtype", "attention", "threads", "gradients", "compile",
)  # fmt: skip
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
    twin: str | None = None  # an earlier variant that is the same configuration
    activate: Callable[[], None] = nothing

    @property
    def label(self) -> str:
        """A, B, ..."""
        return LABELS[self.index]

    @property
    def marks(self) -> dict[str, str]:
        """What a line of this variant says of it: nothing in an ordinary run."""
        return {} if self.alone else {"variant": self.label}

    @property
    def model_class(self) -> str:
        """What a result calls the class: as typed, else the one that was built."""
        typed = "model_class" in dict(self.arguments.given)
        return self.arguments.model_class if typed else str(self.facts.get("model_class", NO_CLASS))

    def find_twin(self, variants: Sequence["Variant"]) -> None:
        """Say so where an earlier variant, loaded as this one is, is the same configuration."""
        for earlier in variants[: self.index]:
            if self.computes_as(earlier):
                self.twin = earlier.label
                known = ", ".join(f"{key} {self.facts[key]}" for key in TELLING if self.facts.get(key) is not None)
                named = f"{self.label} ({masked_text(self.overrides) or 'the same command'})"
                note(f"{named} is the same configuration as {earlier.label}: {known}")
                return

    def computes_as(self, other: "Variant") -> bool:
        """Whether this is the configuration of another variant: no fact differs, and no option that no fact tells."""
        drawn = self.arguments.weights == other.arguments.weights == "random"
        if drawn and self.configuration() != other.configuration():
            return False
        untold = (
            {"options", "model_digest", "model_parts"} if drawn else {"options"}
        )  # random weights follow from the rest
        mine, theirs = ({key: value for key, value in one.facts.items() if key not in untold} for one in (self, other))
        return not differences(mine, theirs) and self.settings() == other.settings()

    def configuration(self) -> dict[str, Any]:
        """Return what random weights are drawn from, but for what the facts of a model tell."""
        config = self.source.config if self.source is not None else {}
        return {key: value for key, value in config.items() if f"model:{key}" not in TOLD}

    def settings(self) -> set[tuple[str, str]]:
        """Return the options whose effect no fact tells."""
        named = ((name.removesuffix("@"), value) for name, value in self.arguments.given if ":" in name)
        return {(name, value) for name, value in named if name not in TOLD}

    def cost(self, shape: Shape) -> Cost | None:
        """Return the work of a forward pass, or None where it cannot be counted."""
        if self.model is None:
            return None
        try:
            return cost_of(self.model, shape.input_size, shape.batch_size)
        except Exception:  # a model that cannot run on storage-less tensors: the count is an extra
            return None

    def load(self, log: LogWriter, clock: Clock) -> None:
        """Load and prepare the model, and print what that took and what it is.

        Raises UsageError for input sizes beyond the positions that the model turns out to have.
        """
        self.activate()
        start, limit = clock.now(), None
        if self.source is not None:
            self.model = model.load(self.source, self.arguments)
            loaded = clock.now()
            limit = positions.maximum_length(self.model)
            self.source.check_lengths(self.arguments.input_sizes, limit)
            start += clock.now() - loaded  # a question of ours, no part of setting up
        self.forward = self.platform.prepare(self.model, self.arguments)
        seconds = (clock.now() - start) / 1e9
        if self.index == 0:
            log.write(lines.Setup(seconds))
        log.write(lines.Phase({"name": "load", "seconds": round(seconds, 6), **self.marks}))
        if self.source is not None:
            self.facts |= model.facts(self.model, self.source, self.arguments, limit)
        else:
            self.facts |= {"model": self.arguments.model_name, "weights": None}


def plan(command: CommandLine, arguments: SpeedArguments, program: str, say: Say = note) -> list[Variant]:
    """Return the variants of a command line, each checked as far as that is quick; `say` is told what falls away.

    Raises UsageError and PlatformError before anything slow happens.
    """
    if len(arguments.vs) >= len(LABELS):
        raise UsageError(f"--vs: at most {len(LABELS) - 1} variants beside the first")
    others = ((overrides, override(command, overrides, program, say)) for overrides in arguments.vs)
    every = [("", arguments), *others]
    variants = []
    for index, (overrides, given) in enumerate(every):
        platform = backend.find(given.platform)
        platform.check(given)
        source = locate(given) if platform.builds_model else None
        if source is not None:
            source.check_lengths(given.input_sizes, source.claimed_length)
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
            model.import_class(variant.arguments.model_class, variant.source)
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
