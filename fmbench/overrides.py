"""`--vs OVERRIDES`: the same command line with some of its arguments replaced."""

import shlex
from collections.abc import Sequence

from fmbench.errors import UsageError
from fmbench.options import SpeedArguments, named_values, parse_arguments
from fmbench.suboptions import split_argv, split_key

# Both variants run on the same inputs, in one run: these hold for all of them.
SHARED = (
    "input_sizes", "batch_sizes", "reps", "seed", "profile", "precision", "max_seconds", "vs", "ceiling", "isolate",
    "resume", "disclose",
)  # fmt: skip


def override(argv: Sequence[str], overrides: str, program: str = "driver") -> SpeedArguments:
    """Return the arguments of a command line under overrides in the same grammar.

    An override replaces the argument of its name; a sub-option also replaces what lies above or below it. Raises
    UsageError for an argument that all variants share.
    """
    try:
        changed, changed_pairs = split_argv(shlex.split(overrides))
    except ValueError as error:
        raise UsageError(f"--vs {overrides!r}: {error}") from None
    names = {name for name, _ in named_values(changed)}
    for name in SHARED:
        if name in names:
            raise UsageError(f"--vs {overrides!r}: --{name} holds for all variants; give it outside of --vs")
    fixed, pairs = split_argv(argv)
    kept = [
        token
        for name, value in named_values(fixed)
        if name not in names and name != "vs"
        for token in ([f"--{name}"] if is_flag(name, fixed) else [f"--{name}={value}"])
    ]
    paths = [split_key(option)[0] for option, _ in changed_pairs]
    merged = [pair for pair in pairs if not any(overlap(split_key(pair[0])[0], path) for path in paths)]
    tokens = [option if value is None else f"{option}={value}" for option, value in [*merged, *changed_pairs]]
    try:
        return parse_arguments([*kept, *changed, *tokens], program)
    except UsageError as error:
        raise UsageError(f"--vs {overrides!r}: {error}") from None


def is_flag(name: str, fixed: Sequence[str]) -> bool:
    """Whether an argument was typed without a value."""
    position = list(fixed).index(f"--{name}") + 1 if f"--{name}" in fixed else None
    return position is not None and (position == len(fixed) or fixed[position].startswith("--"))


def overlap(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two paths of keys are the same, or one lies below the other."""
    shorter = min(len(one), len(other))
    return list(one[:shorter]) == list(other[:shorter])
