"""The variants of `--vs`: the command line of each, what each is called, and which of them is the fastest."""

import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from fmbench import backend
from fmbench.command_line import CommandLine, Expression
from fmbench.console import note
from fmbench.errors import FmbenchError, UsageError
from fmbench.expressions import literal
from fmbench.figures import decimal, significant
from fmbench.options import SpeedArguments, build_parser, parse_arguments
from fmbench.parsing import Parser
from fmbench.secrets import masked_text
from fmbench.summary import contended

# Said by its value alone: no other option has such values.
PLAIN = ("--model:dtype", "--platform")
SAME = "the same command"

Pair = Mapping[str, Any]  # what a PAIR line says


def settings(overrides: str) -> dict[str, str | None]:
    """Return overrides as values by option, sorted: two texts that say the same are equal.

    `--threads=2` is `--threads 2`, and of an option that stands there twice the last counts, as on a command line. The
    text of a foreign log that no shell would read stays one word.
    """
    try:
        command = CommandLine.parse(shlex.split(overrides), flags())
    except (ValueError, UsageError):
        return {overrides: None}
    return dict(sorted({one.option: one.value for one in command.arguments}.items()))


@cache
def flags() -> set[str]:
    """Return the driver's options that take no value."""
    return build_parser("driver").flags


def short_name(overrides: str) -> str:
    """Return what overrides are called in a table: `bfloat16`, `--threads 1`, `openvino, --threads 1`."""
    found = settings(overrides)
    named = sorted(found, key=lambda name: plain_name(name) not in PLAIN)
    return ", ".join(said(name, found[name]) for name in named) or SAME


def plain_name(option: str) -> str:
    """Return an option without the sign that its value is an expression."""
    return option.removesuffix("@")


def said(option: str, value: str | None) -> str:
    """Return one option with its value, in short."""
    if value is None:
        return option
    return value.removeprefix("torch.") if plain_name(option) in PLAIN else f"{option} {shlex.quote(value)}"


def label(variant: str | None, overrides: str | None) -> str:
    """Return a variant as tables show it: `A`, `B (bfloat16)`; nothing outside of a run that compares."""
    if variant is None:
        return ""
    return variant if overrides is None else f"{variant} ({short_name(overrides)})"


def speed(pair: Pair) -> tuple[float, float, float] | None:
    """Return how many times the speed of A a variant has, with its interval; None where there is no ratio."""
    if not pair.get("ratio") or not pair.get("interval") or not all(bound > 0 for bound in pair["interval"]):
        return None
    low, high = pair["interval"]
    return 1 / pair["ratio"], 1 / high, 1 / low


def against(pair: Pair) -> str:
    """Return one variant against A: `2.94 times A (2.90 to 2.98)`, and the verdict where that is not a clear one."""
    found = speed(pair)
    verdict, reason = pair.get("verdict"), pair.get("reason")
    if found is None:
        return f"no answer: {verdict or reason or 'no verdict'}"
    notes = [verdict or reason or "no verdict"] if reason or verdict not in ("faster", "slower") else []
    notes += [str(reason)] if verdict and reason else []
    if notes and verdict and pair.get("detectable"):
        notes.append(f"what can be seen: {significant(100 * pair['detectable'], digits=2)}%")
    notes += [f"the same configuration as {pair['same_as']}"] if pair.get("same_as") else []
    text = times(found, pair.get("a") or "A")
    return f"{text}: {'; '.join(notes)}" if notes else text


def times(found: tuple[float, float, float], base: str = "A") -> str:
    """Return a ratio of speeds with its interval, no more digits than that has: `2.94 times A (2.90 to 2.98)`."""
    value, low, high = (decimal(number, (found[2] - found[1]) / 2) for number in found)
    return f"{value} times {base} ({low} to {high})"


def fastest(shapes: Iterable[Sequence[Pair]], reasons: Iterable[object] = ()) -> str:
    """Return one sentence on which variant is the fastest; nothing where no pair of variants could be judged.

    `shapes` are the PAIR lines of each shape, `reasons` those of the doubts in it. A is the fastest where all variants
    are slower beyond doubt.
    """
    judged = [pairs for pairs in shapes if any(pair.get("verdict") for pair in pairs)]
    if not judged:
        return ""
    best = [winner_of(pairs) for pairs in judged]
    names = [name_of(won[0]) if won else "" if alike(pairs) else "A" for won, pairs in zip(best, judged, strict=True)]
    name = max(filter(None, dict.fromkeys(names)), key=names.count, default="")
    wins = [won for won, other in zip(best, names, strict=True) if other == name]
    head = "fastest" if name else "not told apart"
    head += "" if len(best) == 1 else f" in {len(wins)} of {len(best)} shapes"
    if any(contended(reason) for reason in reasons):
        head += ", on a busy machine"
    if not wins[0]:
        others = dict.fromkeys(pair for pairs in judged for pair in alike(pairs)) if not name else ()
        return f"{head}: {' and '.join(('A', *others))}; no variant is faster"
    speeds = sorted(found for pairs in wins if (found := speed(pairs[0])) is not None)
    if len(speeds) > 1:
        return f"{head}: {name}, {significant(speeds[0][0])} to {significant(speeds[-1][0])} times A"
    rivals = [name_of(pair) for pair in wins[0][1:]] if len(best) == 1 else []
    doubt = f"; {' and '.join(rivals)} may be as fast" if rivals else ""
    return f"{head}: {name}, {times(speeds[0])}{doubt}"


def alike(pairs: Sequence[Pair]) -> list[str]:
    """Return which variants of a shape are not told apart from A."""
    return [name_of(pair) for pair in pairs if speed(pair) and pair.get("verdict") not in ("faster", "slower")]


def winner_of(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the fastest variant of a shape, then those that may be as fast; none where none is faster than A."""
    found = [(speeds, pair) for pair in pairs if pair.get("verdict") == "faster" and (speeds := speed(pair))]
    found.sort(key=lambda item: -item[0][0])
    return [pair for speeds, pair in found if speeds[2] >= found[0][0][1]]


def name_of(pair: Pair) -> str:
    """Return what the variant of a pair is called."""
    return label(pair["b"], pair.get("overrides") or "")


# Both variants run on the same inputs, in one run: these hold for all of them.
SHARED = (
    "input_sizes", "batch_sizes", "reps", "seed", "profile", "precision", "max_seconds", "vs", "ceiling", "isolate",
    "resume", "disclose", "pin",
)  # fmt: skip

Say = Callable[[str], None]


def override(command: CommandLine, overrides: str, program: str = "driver", say: Say = note) -> SpeedArguments:
    """Return the arguments of a command line under overrides in the same grammar.

    Raises UsageError for an argument that all variants share.
    """
    try:
        changed = merged(build_parser(program), command, overrides, SHARED, "--vs", say)
        return parse_arguments(changed.words, program)
    except UsageError as error:
        if str(error).startswith("--vs "):
            raise
        raise UsageError(f"--vs {masked_text(overrides)!r}: {error}") from None


def merged(
    parser: Parser, command: CommandLine, overrides: str, shared: Collection[str], option: str, say: Say = note
) -> CommandLine:
    """Return a command line under overrides.

    An override replaces the argument of its name; a sub-option also replaces what lies above or below it. Under
    another platform, what concerns the command line's own platform alone falls away, and `say` is told. Raises
    UsageError, which begins with `option`, for an argument of `shared`, and for a word that is none.
    """
    said = f"{option} {masked_text(overrides)!r}"
    command = command.without([option.removeprefix("--")])
    try:
        changed = CommandLine.parse(shlex.split(overrides), parser.flags)
    except (UsageError, ValueError) as error:
        raise UsageError(f"{said}: {error}") from None
    for name in shared:
        if name in changed.names:
            raise UsageError(f"{said}: --{name} holds for all variants; give it outside of {option}")
    stray = next((one.option for one in changed.arguments if not one.option.startswith("-")), None)
    if stray is not None:
        raise UsageError(
            f"{said}: {stray!r} belongs to no argument; a value with blanks or quotes takes quotes "
            f"""of its own, as in {option} "--model_name 'my model'\""""
        )
    kept = command.without(foreign(command, changed))
    if kept != command:
        gone = CommandLine(tuple(one for one in command.arguments if one not in kept.arguments)).masked()
        own = command.values("platform")[0]
        say(f"{said}: {shlex.join(gone.words)} is for --platform {own} and falls away")
    return kept.with_(changed)


def foreign(command: CommandLine, changed: CommandLine) -> list[str]:
    """Return what of a command line says nothing to the platform that overrides name, as `without` takes it."""
    own, other = command.values("platform"), changed.values("platform")
    if not own or not other or own == other:
        return []
    return ["platform:", "device", *(["compile", "compile:"] if compiles_otherwise(command, own[0], other[0]) else [])]


def compiles_otherwise(command: CommandLine, own: str, other: str) -> bool:
    """Whether the compiler that a command line asks for is its platform's own, or not the other platform's own."""
    try:
        mine, theirs = backend.find(own), backend.find(other)
    except FmbenchError:
        return False  # which is said when the platform is looked for
    asked = next((one for one in command.arguments if one.path == ("compile", "backend")), None)
    if asked is None:
        return mine.always_compiles
    named = literal(Expression(asked.value or "")) if asked.option.endswith("@") else asked.value
    return mine.compiler == named or (theirs.always_compiles and theirs.compiler != named)
