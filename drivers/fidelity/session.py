"""A model that is set up for probes, and the log that says what it is."""

from typing import Any

from fmbench import lines
from fmbench.console import note
from fmbench.encoder import Encoder, EncoderPlan
from fmbench.encoder.late import LateEncoder
from fmbench.session import Session as Run
from fmbench.session import facts_of, run_facts

from .arguments import CaptureArguments, Subject
from .context import Context
from .late_interaction import SeededHead, head_digest, late_of, seeded_head

TIMED = "nothing"
BUDGET = 1024  # tokens a batch: one for all platforms, because kernels are chosen by shape


class Session:
    """One run: the context that probes work with, and the fingerprint."""

    def __init__(self, arguments: CaptureArguments, plan: EncoderPlan, subject: Subject, run: Run, task: str):
        """Load the model, and print what every log begins with. Raises UsageError and PlatformError."""
        log, clock = run.log, run.clock
        run.begin()
        log.banner("RUNTIME")
        start = clock.now()
        self.context = context_of(arguments, plan, subject)
        log.write(lines.Setup((clock.now() - start) / 1e9))
        self.fingerprint = fingerprint_of(self.context)
        run.describe({"task": task, "texts": subject.digest, **self.fingerprint})


def context_of(arguments: CaptureArguments, plan: EncoderPlan, subject: Subject) -> Context:
    """Load the model. Raises UsageError and PlatformError."""
    if plan.folder.late is not None:
        note("a late-interaction model pools nothing: one vector a text is the mean of its hidden states here")
    encoder = LateEncoder(plan, late_of(plan.folder, arguments.colbert) or seeded_head(arguments.seed))
    encoder.module.eval()
    budget = arguments.recipe.tokens_per_batch
    return Context(encoder, subject, arguments.seed, budget if isinstance(budget, int) else BUDGET)


def fingerprint_of(context: Context) -> dict[str, Any]:
    """Return what decides a capture besides texts and probes."""
    late = context.encoder.late
    seeded = isinstance(late, SeededHead)
    said = fingerprint(context.encoder)
    if seeded:  # the head is this command's, and no part of how the model is used
        said.pop("late_interaction", None)
    return {
        **said,
        "head": late.head_key() if seeded else "checkpoint",
        "head_digest": head_digest(None if seeded else late),
        "tokens_per_batch": context.budget,
    }


def fingerprint(encoder: Encoder, timed: str = TIMED) -> dict[str, Any]:
    """Return the facts of a run: what holds for all its variants, and what decides this one's figures."""
    arguments, platform = encoder.arguments, encoder.platform
    shared = run_facts(arguments, platform.distributions, timed)
    return {**shared, **facts_of(encoder), **platform.ask_model_facts()}


def opaque(plan: EncoderPlan) -> tuple[str, str] | None:
    """Return why nobody sees inside the model, and what to do about it; None where no compiler runs it."""
    if plan.platform.always_compiles:
        return (
            f"--platform {plan.platform.name} compiles, and the model's layers cannot be seen",
            "take another platform",
        )
    if plan.arguments.compile:
        return "the model runs compiled, and its layers cannot be seen", "run without --compile"
    return None
