"""How many tokens a sequence may have: asked of the model that was built, not of a list of model types."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fmbench.errors import UsageError

if TYPE_CHECKING:
    import torch

CLAIMS = ("max_position_embeddings", "max_seq_len")  # the library's name, which MPT alone does without
ROWS, TOKENS = 2, 8  # of the short batch that shows where positions are looked up
Lookups = list[tuple[int, int]]  # rows of a table, and the row of the first token


class AttentionReached(BaseException):  # no Exception: nothing in a model may catch it
    """Ends a forward pass at its first attention: positions have been looked up by then."""


def maximum_length(model: Any) -> int | None:
    """Return how many tokens a sequence may have, or None where nothing limits it. The model is on the host.

    Two things limit it: what its configuration claims, which is all there is for rotary and relative positions, and
    each table of absolute positions, from the row of the first token on: RoBERTa and ESM begin at pad_token_id + 1.
    Raises UsageError for a model that reads no token ids, and for one that a short text changes for good.
    """
    named = getattr(model, "main_input_name", "input_ids")
    if named != "input_ids":
        raise UsageError(f"--model_class: {type(model).__name__} reads {named}, not the token ids of texts")
    config = model.config.get_text_config()
    claimed = [getattr(config, name, None) for name in CLAIMS]
    limits = [claim for claim in claimed if isinstance(claim, int) and claim > 0]
    return min([*limits, *(rows - first for rows, first in looked_up(model))], default=None)


def looked_up(model: Any) -> Lookups:
    """Return the tables of absolute positions that a model looks up for a short text."""
    import torch

    ids = torch.full((ROWS, TOKENS), ordinary_id(model.config), device=model.device)
    before = kinds(model)
    # A kernel may be missing here that the platform has; the run itself will say so. Positions come before it.
    with lookups() as found, torch.no_grad(), contextlib.suppress(AttentionReached, Exception):
        model(input_ids=ids, attention_mask=torch.ones_like(ids))
    after = kinds(model)
    replaced = {kind.__name__ for name, kind in before.items() if after.get(name) is not kind}
    if replaced:
        raise UsageError(
            f"{type(model).__name__} replaces its {', '.join(sorted(replaced))} for good when it reads a short text, "
            "so figures depend on what was read before; say --model:attention_type original_full"
        )
    return found


def kinds(model: "torch.nn.Module") -> "dict[str, type[torch.nn.Module]]":
    """Return the class of each module by name."""
    return {name: type(module) for name, module in model.named_modules()}


def ordinary_id(config: Any) -> int:
    """Return the first token id that the configuration gives no meaning."""
    special = {value for key, value in config.to_dict().items() if key.endswith("_token_id") and isinstance(value, int)}
    return next(number for number in range(len(special) + 1) if number not in special)


@contextlib.contextmanager
def lookups() -> Iterator[Lookups]:
    """Yield a list that gathers which tables are looked up by position, until the first attention is reached.

    A lookup by position has one index a token, each one more than the one before, and the same in every row. The
    tokens of the texts are all alike, so that they cannot be taken for that.
    """
    import torch
    from torch.nn import functional
    from torch.overrides import TorchFunctionMode

    attention = (functional.scaled_dot_product_attention, functional.softmax, torch.softmax, torch.Tensor.softmax)
    found: Lookups = []

    class Lookup(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            if function in attention:
                raise AttentionReached
            if function is functional.embedding:
                indices, table = args[:2]
                found.extend((len(table), first) for first in first_positions(indices, len(table)))
            return function(*args, **(kwargs or {}))

    with Lookup():
        yield found


def first_positions(indices: "torch.Tensor", rows: int) -> list[int]:
    """Return the index of the first token where indices into a table of some rows count a text's tokens, else nothing.

    Some models pad a text first (Longformer). One that looks up every row for it has something else in its table, such
    as the global tokens of Pegasus-X.
    """
    if indices.ndim == 0 or indices.shape[-1] < TOKENS or indices[..., 0].numel() > ROWS:
        return []
    if indices.shape[-1] > TOKENS and indices.shape[-1] == rows and bool((indices.diff() == 1).all()):
        return []
    counted = indices[..., :TOKENS].reshape(-1, TOKENS)
    return [int(counted[0, 0])] if bool((counted.diff() == 1).all()) else []
