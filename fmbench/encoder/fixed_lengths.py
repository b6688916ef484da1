"""Which lengths texts are padded to where every shape costs a compilation."""

from fmbench.errors import UsageError
from fmbench.options import Arguments

from .batches import buckets
from .plan import EncoderPlan
from .recipe import ROLES, Recipe

MOST_LENGTHS = 8


def fixed_lengths(plan: EncoderPlan, limit: int | None, arguments: Arguments, recipe: Recipe) -> tuple[int, ...] | None:
    """Return the lengths to pad to, sorted, where every shape costs a compilation, else None.

    `limit` is how many tokens the model takes, or None.
    Raises UsageError for lengths that do not hold every text, and for several where a process runs one shape.
    """
    platform = plan.platform
    if not platform.fixed_shapes(arguments):
        return None
    limits = [recipe.max_length(role) for role in ROLES]
    longest = None if None in limits else max(filter(None, limits))
    if longest is None:
        raise UsageError(f"--platform {platform.name}: give --query_max_len and --passage_max_len; shapes are fixed")
    if not recipe.lengths:
        found = buckets(platform.length_step, longest, 1 if platform.single_shape else MOST_LENGTHS)
        return (*found[:-1], min(found[-1], limit or found[-1]))
    lengths = tuple(sorted(set(recipe.lengths)))
    said = f"--lengths {','.join(map(str, lengths))}"
    if lengths[-1] < longest:
        raise UsageError(f"{said}: texts may have {longest} tokens; add that length, or lower the maximum length")
    if platform.single_shape and len(lengths) > 1:
        raise UsageError(f"{said}: --platform {platform.name} runs one shape a process; give one length")
    return lengths
