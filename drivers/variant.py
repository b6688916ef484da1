"""One way to run a model: planned from a command line, and then ready, with the call that is timed."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from fmbench import backend, lines, model, positions, torch_settings
from fmbench.backend import Backend, Forward
from fmbench.command_line import CommandLine
from fmbench.console import note
from fmbench.cost import Cost, cost_of
from fmbench.errors import UsageError, first_line
from fmbench.facts import differences
from fmbench.measure import Shape
from fmbench.options import SpeedArguments
from fmbench.secrets import masked_text
from fmbench.session import Session
from fmbench.source import Source, locate
from fmbench.variants import Say, override

NO_CLASS = "none"  # of a platform that builds no model
TOLD = ("model:dtype", "model:torch_dtype", "model:attn_implementation")  # options that the facts of a model tell
TELLING = (
    "platform", "device", "model", "model_class", "weights", "dtype", "attention", "threads", "gradients", "compile",
)  # fmt: skip
LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class VariantPlan:
    """A of an ordinary run; A, B, ... where --vs compares: a command line that is checked, and found its model."""

    index: int
    overrides: str
    arguments: SpeedArguments
    platform: Backend
    source: Source | None
    alone: bool

    @property
    def label(self) -> str:
        """A, B, ..."""
        return LABELS[self.index]

    @property
    def marks(self) -> dict[str, str]:
        """What a line of this variant says of it: nothing in an ordinary run."""
        return {} if self.alone else {"variant": self.label}

    def configuration(self) -> dict[str, Any]:
        """Return what random weights are drawn from, but for what the facts of a model tell."""
        config = self.source.config if self.source is not None else {}
        return {key: value for key, value in config.items() if f"model:{key}" not in TOLD}

    def settings(self) -> set[tuple[str, str]]:
        """Return the options whose effect no fact tells."""
        named = ((name.removesuffix("@"), value) for name, value in self.arguments.given if ":" in name)
        return {(name, value) for name, value in named if name not in TOLD}

    def check_memory(self) -> None:
        """Raise UsageError where a further variant's weights do not fit beside those that are loaded."""
        if self.source is None or self.index == 0:
            return
        try:
            lack = model.lack_of_memory(self.source, self.arguments, self.platform, " beside those of A")
        except Exception as error:
            raise UsageError(f"--vs {self.overrides!r}: {first_line(error)}") from error
        if lack is not None:
            raise UsageError(f"--vs {self.overrides!r}: {lack}; compare two runs instead")


@dataclass(frozen=True, kw_only=True)
class Variant(VariantPlan):
    """A variant that can be timed: `forward` is the call, `activate` makes its torch settings hold."""

    forward: Forward
    activate: Callable[[], None]
    facts: Mapping[str, Any]
    model: Any = None
    twin: str | None = None  # an earlier variant that is the same configuration

    @property
    def model_class(self) -> str:
        """What a result calls the class: as typed, else the one that was built."""
        typed = "model_class" in dict(self.arguments.given)
        return self.arguments.model_class if typed else str(self.facts.get("model_class", NO_CLASS))

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

    def beside(self, earlier: Sequence["Variant"]) -> "Variant":
        """Return this variant knowing its twin: where an earlier one is the same configuration, the user is told."""
        twin = next((other.label for other in earlier if self.computes_as(other)), None)
        if twin is not None:
            known = ", ".join(f"{key} {self.facts[key]}" for key in TELLING if self.facts.get(key) is not None)
            named = f"{self.label} ({masked_text(self.overrides)})"
            note(f"{named} is the same configuration as {twin}: {known}")
        return dataclasses.replace(self, twin=twin)

    def cost(self, shape: Shape) -> Cost | None:
        """Return the work of a forward pass, or None where it cannot be counted."""
        if self.model is None:
            return None
        try:
            return cost_of(self.model, shape.input_size, shape.batch_size)
        except Exception:  # a model that cannot run on storage-less tensors: the count is an extra
            return None


def plan(command: CommandLine, arguments: SpeedArguments, program: str, say: Say = note) -> list[VariantPlan]:
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
            platform.check_weights(given, source.dtype)
            source.check_lengths(given.input_sizes, source.claimed_length)
        variants.append(VariantPlan(index, overrides, given, platform, source, alone=len(every) == 1))
    return variants


def set_up(plans: Sequence[VariantPlan]) -> tuple[list[VariantPlan], torch_settings.Settings]:
    """Set the platforms up and import the libraries. Return the plans, evaluated, and the settings; those of A hold."""
    for plan in plans:
        plan.platform.setup(plan.arguments)
    evaluated = [dataclasses.replace(plan, arguments=plan.arguments.evaluated()) for plan in plans]
    for plan in evaluated:
        torch_settings.check_compile(plan.arguments.options["compile"])
        if plan.source is not None:
            model.import_class(plan.arguments.model_class, plan.source)
    settings = torch_settings.Settings([(plan.arguments.options, plan.arguments.threads) for plan in evaluated])
    settings.activate(0)
    return evaluated, settings


def load(plan: VariantPlan, settings: torch_settings.Settings, known: Mapping[str, Any], run: Session) -> Variant:
    """Load and prepare the model, and print what that took. `known` are the facts of the platform.

    Raises UsageError for input sizes beyond the positions that the model turns out to have.
    """
    settings.activate(plan.index)
    start, loaded, limit = run.clock.now(), None, None
    if plan.source is not None:
        loaded = model.load(plan.source, plan.arguments)
        asked = run.clock.now()
        limit = positions.maximum_length(loaded)
        plan.source.check_lengths(plan.arguments.input_sizes, limit)
        start += run.clock.now() - asked  # a question of ours, no part of setting up
    forward = plan.platform.prepare(loaded, plan.arguments)
    seconds = (run.clock.now() - start) / 1e9
    if plan.index == 0:
        run.log.write(lines.Setup(seconds))
    run.log.write(lines.JsonLine("PHASE", {"name": "load", "seconds": round(seconds, 6), **plan.marks}))
    if plan.source is not None:
        found = model.facts(loaded, plan.source, plan.arguments, limit)
    else:
        found = {"model": plan.arguments.model_name, "weights": None}
    activate = partial(settings.activate, plan.index)
    return Variant(**vars(plan), forward=forward, activate=activate, facts={**known, **found}, model=loaded)
