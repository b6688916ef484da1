"""Late interaction on one batch, step by step: layers, linear head, punctuation mask, normalising."""

import contextlib
import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .context import Context
from .layers import layer_by_layer

if TYPE_CHECKING:
    import torch

SENTENCE = "The flow of air over a wing, near the speed of sound, makes a shock wave; its place decides the drag."
EIGHT = tuple(f"{SENTENCE} {'It does so again. ' * count}".strip() for count in range(8))  # of eight lengths


def steps(context: Context, texts: list[str]) -> "Iterator[tuple[str, torch.Tensor]]":
    """Yield the layers of a batch of texts, and what the head makes of the last one."""
    from torch.nn.functional import linear, normalize

    inputs = context.one_batch(texts)
    mask = inputs["attention_mask"].bool()
    found = layer_by_layer(context.model, context.place(inputs), mask)
    yield from found
    last = found[-1][1]
    weight = context.head.weight.to(last.device)
    projected = linear(last, weight.to(last.dtype))
    kept = context.kept(inputs)[mask].to(last.device)
    masked = projected * kept[:, None]
    yield "linear", projected
    yield "mask", masked
    yield "norm", normalize(masked, dim=-1)


def weight_digests(model: "torch.nn.Module") -> "torch.Tensor":
    """Return the sha256 of each parameter and buffer, (n, 32) bytes: equal weights have equal rows."""
    import torch

    rows = []
    for tensor in model.state_dict().values():
        data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        rows.append(list(hashlib.sha256(data.tobytes()).digest()))
    return torch.tensor(rows, dtype=torch.uint8)


def autocast(context: Context) -> "contextlib.AbstractContextManager[Any]":
    """Return torch's mixed precision on the model's device, in bfloat16."""
    import torch

    return torch.autocast(context.device.type, dtype=torch.bfloat16)
