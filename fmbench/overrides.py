"""`--vs OVERRIDES`: the same command line with some of its arguments replaced."""

import shlex
from collections.abc import Callable, Collection

from fmbench import backend
from fmbench.command_line import CommandLine
from fmbench.console import note
from fmbench.errors import FmbenchError, UsageError
from fmbench.expressions import literal
from fmbench.options import SpeedArguments, build_parser, parse_arguments
from fmbench.parsing import Parser
from fmbench.secrets import masked_text
from fmbench.suboptions import Expression

# Both variants run on the same inputs, in one run: these hold for all of them.
SHARED = (
    "input_sizes", "batch_sizes", "reps", "seed", "profile", "precision", "max_seconds", "vs", "ceiling", "isolate",
    "resume", "disclose",
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
