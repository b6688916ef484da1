"""The speed driver: times the forward pass of one model on one platform, over input and batch sizes."""

import gc
import json
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fmbench import facts, lines, model, roofline, session
from fmbench.checks import Checked
from fmbench.command_line import CommandLine
from fmbench.console import note, run_main, say
from fmbench.errors import UsageError, first_line
from fmbench.history import History
from fmbench.identity import identify
from fmbench.measure import Shape, TokenGenerator, interrupt_deferred
from fmbench.options import build_parser, parse_arguments
from fmbench.precision import of_weights
from fmbench.session import LogWriter, Session, given, note_precision, platform_facts, run_facts
from fmbench.source import Source
from fmbench.stopping import Rule
from fmbench.torch_settings import CompilationWatch, Settings, spin_briefly
from fmbench.variants import override

from .bench import Bench
from .isolate import CEILING_VARIABLE, CHILD_VARIABLE, PRECISION_VARIABLE, measure_in_children, trace_path
from .overview import overview
from .recall import recall
from .variant import Variant, VariantPlan, load, plan, set_up

PROGRAM = "driver"
NULL_VOCABULARY = 32_768  # what the inputs of a platform without a model are drawn from


def main(argv: Sequence[str] | None = None) -> int:
    """Run the driver and return its exit code."""
    return run_main(PROGRAM, lambda: drive(sys.argv[1:] if argv is None else argv))


def drive(argv: Sequence[str]) -> int:
    """Check everything that can be checked quickly, then measure every shape."""
    parser = build_parser(PROGRAM)
    command = recall(argv, parser)
    arguments = parse_arguments(command.words, PROGRAM)
    others = (override(command, overrides, PROGRAM, lambda text: None) for overrides in arguments.vs)
    if any(other.platform != arguments.platform for other in others):
        spin_briefly()  # what one library's threads burn, another's would need; before platforms are checked
    plans = plan(command, arguments, PROGRAM, say=(lambda text: None) if CHILD_VARIABLE in os.environ else note)
    check_profile(arguments.profile, arguments.resume)
    history = History(arguments.resume) if arguments.resume else None
    if history is not None:
        history.check_arguments(given(arguments), parser.defaults)
    shapes = [shape for shape in arguments.shapes if history is None or not history.has(shape, arguments.repeat)]
    if history is not None:
        note(f"{arguments.resume} holds {len(arguments.shapes) - len(shapes)} of {len(arguments.shapes)} shapes")
    if not shapes:
        if history is not None:
            check_model(history, plans[0])
        return 0
    with session.open("embed", arguments, history) as run:
        run.begin()
        try:
            if arguments.isolate:
                return measure_in_children(command, plans, shapes, run)
            return measure_all(plans, shapes, run)
        finally:
            show_overview(run.log, command)


def check(argv: Sequence[str]) -> Checked:
    """Return what a command line amounts to. Raises UsageError and PlatformError."""
    command = CommandLine.parse(argv, build_parser(PROGRAM).flags)
    arguments = parse_arguments(command.words, PROGRAM)
    first = plan(command, arguments, PROGRAM, say=lambda text: None)[0]
    check_profile(arguments.profile, arguments.resume)
    return Checked(first.platform, arguments, partial(model_facts, first), resume="resume")


def model_facts(variant: VariantPlan) -> dict[str, Any]:
    """Return the facts of a model that none is loaded for; none where the platform builds none. Imports torch."""
    if variant.source is None:
        return {}
    return {**identify(variant.source, variant.arguments.evaluated()).facts(), **published(variant.source)}


def check_model(history: History, variant: VariantPlan) -> None:
    """Raise UsageError where a log that has every shape has them of another model: none is loaded to find that out."""
    if variant.source is not None:
        history.check_facts({**model_facts(variant), "variables": facts.variables()})


def published(source: Source) -> dict[str, Any]:
    """Return the facts that a configuration settles before a model is loaded."""
    keys = {"dtype": ("dtype", "torch_dtype"), "attention": ("attn_implementation", "_attn_implementation")}
    named = {fact: next(filter(None, map(source.config.get, names)), None) for fact, names in keys.items()}
    said = {fact: value for fact, value in named.items() if isinstance(value, str) and value != "auto"}
    return {fact: value.removeprefix("torch.") for fact, value in said.items()}


def measure_all(plans: Sequence[VariantPlan], shapes: Sequence[tuple[int, int]], run: Session) -> int:
    """Measure every shape in this process; return 1 where one failed, else 0."""
    variants = set_up_models(run, *set_up_runtime(run, plans))
    generator = inputs(variants)
    settle_memory()
    arguments = variants[0].arguments
    rule = Rule(arguments.reps, arguments.precision, arguments.max_seconds)
    watch = watch_compilation(variants)
    bench = Bench(variants, generator, run.log, run.clock, rule, arguments.seed, watch, check=run.check)
    bench.precisions = json.loads(os.environ.get(PRECISION_VARIABLE, "{}"))
    if arguments.ceiling:
        bench.ceilings = measure_ceilings(run.log, variants)
    done = []
    for size in shapes:
        shape = Shape(*size)
        done.append(bench.run(shape))
        if arguments.profile and done[-1]:
            bench.trace(shape, trace_path(arguments.profile, size, alone=len(shapes) == 1))
    run.end()
    return 0 if all(done) else 1


def settle_memory() -> None:
    """Collect what loading left, and keep the rest out of later collections: there are a million objects of it."""
    with interrupt_deferred():
        gc.collect()
    gc.freeze()


def show_overview(log: LogWriter, command: CommandLine) -> None:
    """Tell a person what came out; a child of --isolate leaves that to its parent."""
    text = overview(log.outcomes, command, PROGRAM, log.simulated).rstrip()
    if text and CHILD_VARIABLE not in os.environ:
        say(text)


def set_up_runtime(
    run: Session, plans: Sequence[VariantPlan]
) -> tuple[list[VariantPlan], Settings, list[Mapping[str, Any]]]:
    """Import the libraries, do what the command line asks of torch, and print the fingerprint of A.

    Return the plans with their command lines evaluated, the settings, and the facts of each one's platform.
    """
    run.log.banner("RUNTIME")
    start = run.clock.now()
    plans, settings = set_up(plans)
    run.log.write(lines.JsonLine("PHASE", {"name": "import", "seconds": round((run.clock.now() - start) / 1e9, 6)}))
    known: list[Mapping[str, Any]] = []
    for planned in plans:
        settings.activate(planned.index)
        known.append(platform_facts(planned.platform, planned.arguments))
    settings.activate(0)
    if known[0]["gradients"] and plans[0].platform.builds_model:
        note(
            "gradients are on, as torch starts, and cost 3 to 13% where this was measured (docs/benchmarks.md); "
            "--torch.call:set_grad_enabled@ False measures inference"
        )
    distributions = tuple(name for planned in plans for name in planned.platform.distributions)
    run.describe({**run_facts(plans[0].arguments, distributions, timed="forward"), **known[0]})
    return plans, settings, known


def set_up_models(
    run: Session, plans: Sequence[VariantPlan], settings: Settings, known: Sequence[Mapping[str, Any]]
) -> list[Variant]:
    """Load every variant's model, and print what is known of it."""
    variants: list[Variant] = []
    for planned, found in zip(plans, known, strict=True):
        run.log.banner(*("MODEL", planned.label) if planned.index else ("MODEL",))
        planned.check_memory()
        variant = load(planned, settings, found, run)
        if variant.source is not None:
            note_precision(variant.platform, variant.facts)
        variants.append(variant)
        # What only A's platform says must not be taken for B's.
        not_mine = dict.fromkeys(variants[0].facts.keys() - variant.facts.keys())
        run.log.write(lines.JsonLine("ENV", {**not_mine, **variant.facts, **(variant.marks if variant.index else {})}))
    for variant in variants:
        run.check(variant.facts, variant.label)
    return [variant.beside(variants[: variant.index]) for variant in variants]


def inputs(variants: Sequence[Variant]) -> TokenGenerator:
    """Return random tokens that suit every variant's model."""
    known = [model.special_ids(variant.source) for variant in variants if variant.source is not None]
    special = {token for ids, _ in known for token in ids}
    vocabulary = min((size for _, size in known), default=NULL_VOCABULARY)
    return TokenGenerator(vocabulary, special, variants[0].arguments.seed)


def watch_compilation(variants: Sequence[Variant]) -> CompilationWatch | None:
    """Return what sees the compiler run, where a variant compiles."""
    if not any(variant.facts["compile"] for variant in variants):
        return None
    watch = CompilationWatch()
    watch.install()
    return watch


def measure_ceilings(log: LogWriter, variants: Sequence[Variant]) -> dict[str, roofline.Ceiling]:
    """Measure the limits of every variant's device in its dtype and threads, and print them."""
    found: dict[str, roofline.Ceiling] = {}
    for variant in variants:
        reason = None if variant.platform.runs_torch else "torch's own operations do not reach this platform"
        if reason is None:
            variant.activate()
            dtype = variant.platform.computes_in(of_weights(variant.facts))
            handed = json.loads(os.environ.get(CEILING_VARIABLE, "{}")).get(variant.label)
            try:
                known = roofline.Ceiling(**handed) if handed else None
                found[variant.label] = known or roofline.measure_ceiling(variant.platform, dtype)
            except Exception as error:  # a dtype that a device does not multiply, memory that is not there
                reason = f"{type(error).__name__}: {first_line(error)}"
        marks = variant.marks if variant.index else {}
        log.write(lines.JsonLine("CEIL", {**roofline.rounded(found[variant.label]), **marks} if reason is None else
                             {"reason": reason, **marks}))  # fmt: skip
    return found


def check_profile(path: Path | None, log: Path | None) -> None:
    """Raise UsageError for a trace that could not be written, or would take the place of what is no trace."""
    if path is None:
        return
    if log is not None and path.resolve() == log.resolve():
        raise UsageError(f"--profile {path}: is the log that --resume goes on with; name another file")
    if path.is_dir() or not path.name:
        raise UsageError(f"--profile {path}: name a file, not a folder")
    if path.exists() and not path.is_file():
        raise UsageError(f"--profile {path}: is no file that could be written anew; name another one")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--profile {path}: the folder does not exist")
    if not os.access(path.absolute().parent, os.W_OK):
        raise UsageError(f"--profile {path}: the folder cannot be written to")


if __name__ == "__main__":
    sys.exit(main())
