"""From one vector a token to one vector a text, on torch tensors, where the tensors are."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

from .sparse import ACTIVATIONS, STRATEGIES, Splade, splade

if TYPE_CHECKING:
    import torch


def pool(
    hidden: "torch.Tensor", mask: "torch.Tensor | None", modes: Sequence[str], prompt_length: int = 0
) -> "torch.Tensor":
    """Return one vector a text in float32: (n, d * number of modes), the modes one after the other.

    `hidden` is (n, tokens, d), `mask` (n, tokens) has 1 for a token and 0 for padding, on either side; None where
    there is no padding, which takes half of the time and gives the same. The first `prompt_length` tokens are left out
    of the mask, which is then needed. Formulas as in sentence-transformers: mean is the sum over the tokens by
    their number, max goes over the tokens, cls is the first token, last the last. No
    result is a view: a platform may write over what it returned.
    """
    import torch

    hidden = hidden.float()
    if prompt_length and mask is not None:
        mask = mask * (mask.cumsum(dim=1) > prompt_length)
    parts = [POOLERS[mode](hidden, mask) for mode in modes]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def mean(hidden: "torch.Tensor", mask: "torch.Tensor | None") -> "torch.Tensor":
    """Return the mean over the tokens; zeros where there is none."""
    if mask is None:
        return hidden.sum(dim=1) / hidden.shape[1]
    weights = mask.to(hidden.dtype).unsqueeze(-1)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)


def maximum(hidden: "torch.Tensor", mask: "torch.Tensor | None") -> "torch.Tensor":
    """Return the largest value over the tokens, a dimension at a time."""
    found = hidden if mask is None else hidden.masked_fill(mask.unsqueeze(-1) == 0, float("-inf"))
    return found.amax(dim=1)


def first(hidden: "torch.Tensor", mask: "torch.Tensor | None") -> "torch.Tensor":
    """Return the first token's vector."""
    return hidden[:, 0].clone() if mask is None else rows(hidden, mask.int().argmax(dim=1))


def last(hidden: "torch.Tensor", mask: "torch.Tensor | None") -> "torch.Tensor":
    """Return the last token's vector; zeros where there is no token."""
    if mask is None:
        return hidden[:, -1].clone()
    found = rows(hidden, mask.shape[1] - 1 - mask.int().flip(1).argmax(dim=1))
    return found * (mask.sum(dim=1) > 0).to(found.dtype).unsqueeze(-1)


def rows(hidden: "torch.Tensor", positions: "torch.Tensor") -> "torch.Tensor":
    """Return one token's vector a text."""
    import torch

    return hidden[torch.arange(len(hidden), device=hidden.device), positions]


POOLERS: dict[str, Callable[..., "torch.Tensor"]] = {
    "cls": first, "max": maximum, "mean": mean, "last": last,
    **{how.name: partial(splade, how=how) for how in (Splade(*one) for one in product(STRATEGIES, ACTIVATIONS))},
}  # fmt: skip
