"""Attention of texts that lie one after the other, with no padding between them: `unpadded`, as transformers names it.

Where a model is given `cu_seq_lens_q`, its one row holds several texts, and each attends to itself alone. A batch of
rows is computed as torch's `sdpa` does where a mask shows padding; else every row is a text. Only imported once torch
may be imported.
"""

from itertools import pairwise
from typing import Any

import torch
import transformers
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from fmbench.backend import UNPADDED
from fmbench.errors import UsageError

SAID = f"--model:attn_implementation {UNPADDED}"
HALVES = (torch.bfloat16, torch.float16)
MORE = ("position_bias", "softcap", "s_aux")  # what some models want of attention, and no kernel for such rows has


def register() -> None:
    """Make the name known to transformers. May be called again."""
    transformers.AttentionInterface.register(UNPADDED, attend)
    AttentionMaskInterface.register(UNPADDED, padding_mask)


def check(model: Any) -> None:
    """Raise UsageError for a model that computes its attention itself."""
    if not getattr(model, "_supports_attention_backend", False):
        raise UsageError(f"{SAID}: {type(model).__name__} has an attention of its own; leave it out")


def padding_mask(*, attention_mask: Tensor | None = None, **shape: Any) -> Tensor | None:
    """Return the mask of a batch with padding, and none where no text has any."""
    return None if attention_mask is None else sdpa_mask(attention_mask=attention_mask, **shape)


def attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    is_causal: bool | None = None,
    sliding_window: int | None = None,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Return (rows, tokens, heads, d) for tensors (rows, heads, tokens, d), as transformers wants it of an attention.

    Text i has the tokens `cu_seq_lens_q[i]` to `cu_seq_lens_q[i + 1]` of one row, `max_length_q` at most. Raises
    UsageError for a model that wants more of its attention.
    """
    for name in MORE:
        if more.get(name) is not None:
            raise UsageError(f"{SAID}: {type(module).__name__} wants {name} of it, which it does not have")
    if attention_mask is not None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, is_causal=is_causal, **more
        )
    rows, _, length, _ = query.shape
    side = -1 if sliding_window is None else sliding_window - 1  # as transformers hands it to FlashAttention
    causal = getattr(module, "is_causal", False) if is_causal is None else is_causal
    window = (side, 0 if causal else side)
    groups = getattr(module, "num_key_value_groups", 1)
    key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    if cu_seq_lens_q is None and not query.is_cuda:  # on the way to no device at all, too, where work is counted
        seen = near(length, window, query.device)
        return scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=scaling).transpose(1, 2), None
    if cu_seq_lens_q is None or max_length_q is None:
        cu_seq_lens_q = torch.arange(0, (rows + 1) * length, length, dtype=torch.int32, device=query.device)
        max_length_q = length
    queries, keys, values = (one.transpose(1, 2).flatten(0, 1) for one in (query, key, value))
    kernel = flash if query.is_cuda else reference
    found = kernel(queries, keys, values, cu_seq_lens_q, max_length_q, scaling, window)
    return found.unflatten(0, (rows, length)), None


def flash(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bounds: Tensor,
    longest: int,
    scale: float | None,
    window: tuple[int, int],
) -> Tensor:
    """Return what torch's FlashAttention makes of texts (tokens, heads, d) that begin and end at `bounds`.

    A token sees `window` tokens to its left and right, all where that is -1. Raises UsageError.
    """
    if query.dtype not in HALVES:
        named = str(query.dtype).removeprefix("torch.")
        raise UsageError(f"{SAID}: FlashAttention multiplies no {named}; add --model:dtype@ torch.bfloat16")
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        raise UsageError(f"{SAID}: wants torch 2.11 or newer, this is {torch.__version__}") from None
    found = varlen_attn(query, key, value, bounds, bounds, longest, longest, scale=scale, window_size=window)
    return found  # type: ignore[return-value]  # a pair only where more is asked for


def reference(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bounds: Tensor,
    longest: int,
    scale: float | None,
    window: tuple[int, int],
) -> Tensor:
    """Return what `flash` does, a text at a time: on any device, to show what is right. It says nothing of speed."""
    found = torch.empty_like(query)
    for start, end in pairwise(bounds.tolist()):
        queries, keys, values = (tensor[start:end].transpose(0, 1) for tensor in (query, key, value))
        seen = near(end - start, window, query.device)
        heads = scaled_dot_product_attention(queries, keys, values, attn_mask=seen, scale=scale)
        found[start:end] = heads.transpose(0, 1)
    return found


def near(length: int, window: tuple[int, int], device: torch.device) -> Tensor | None:
    """Return which tokens (rows) of a text of some length see which (columns); None where all see all."""
    left, right = (length if side < 0 else side for side in window)
    if min(left, right) >= length - 1:
        return None
    distance = torch.arange(length, device=device) - torch.arange(length, device=device)[:, None]
    return (distance >= -left) & (distance <= right)
