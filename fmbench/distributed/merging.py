"""One top-k of a corpus whose parts were searched on several ranks."""

import hashlib
import json
from typing import TYPE_CHECKING

from fmbench.errors import FmbenchError
from fmbench.search import TopK, merge

from .group import Group

if TYPE_CHECKING:
    import torch


def merge_topk(group: Group, found: TopK, k: int, *, broadcast: bool = False) -> TopK | None:
    """Return the top k over the parts of all ranks: on rank 0, and None on the others, or on all (`broadcast`).

    Every rank has searched its part, which may be empty, for the same queries in the same order; exact where each
    asked for k documents at least. Raises FmbenchError, on every rank, where the queries differ.
    """
    if broadcast or group.world_size == 1:
        return merge_everywhere(group, found, k)
    check_queries(group, found)
    parts = [group.gather(tensor) for tensor in packed(found)]
    lists = [part for part in parts if part is not None]
    return merged(found.query_ids, lists, k) if lists else None


def merge_everywhere(group: Group, found: TopK, k: int) -> TopK:
    """Return the top k over the parts of all ranks, on all ranks. See `merge_topk`."""
    if group.world_size == 1:
        return merge([found], k)
    check_queries(group, found)
    return merged(found.query_ids, [group.gather_all(tensor) for tensor in packed(found)], k)


def merged(query_ids: tuple[str, ...], lists: "list[list[torch.Tensor]]", k: int) -> TopK:
    """Return the top k of what each rank packed; `lists` holds one list for each kind of tensor."""
    return merge([unpacked(query_ids, *tensors) for tensors in zip(*lists, strict=True)], k)


def check_queries(group: Group, found: TopK) -> None:
    """Raise FmbenchError where not all ranks searched for the same queries."""
    import torch

    digest = hashlib.sha256(json.dumps(found.query_ids).encode()).digest()
    digests = group.gather_all(torch.frombuffer(bytearray(digest), dtype=torch.uint8))
    for rank, other in enumerate(digests):
        if not torch.equal(other, digests[0]):
            raise FmbenchError(f"rank {rank} searched for other queries than rank 0; their results cannot be merged")


def packed(found: TopK) -> "list[torch.Tensor]":
    """Return a top-k without its query ids as tensors: counts, scores, positions, and the ids' bytes and lengths."""
    import torch

    names = [name.encode("utf-8", "surrogatepass") for ids in found.ids for name in ids]
    text = bytearray(b"".join(names))
    return [
        torch.tensor([len(ids) for ids in found.ids], dtype=torch.int64),
        joined(found.scores, torch.float32),
        joined(found.positions, torch.int64),
        torch.tensor([len(name) for name in names], dtype=torch.int64),
        torch.frombuffer(text, dtype=torch.uint8) if text else torch.empty(0, dtype=torch.uint8),
    ]


def joined(arrays: "list", dtype: "torch.dtype") -> "torch.Tensor":
    """Return arrays as one tensor."""
    import numpy as np
    import torch

    return torch.from_numpy(np.concatenate(arrays)) if arrays else torch.empty(0, dtype=dtype)


def unpacked(
    query_ids: tuple[str, ...],
    counts: "torch.Tensor",
    scores: "torch.Tensor",
    positions: "torch.Tensor",
    lengths: "torch.Tensor",
    text: "torch.Tensor",
) -> TopK:
    """Return the top-k that `packed` made tensors of."""
    sizes = counts.tolist()
    data, names, start = text.numpy().tobytes(), [], 0
    for length in lengths.tolist():
        names.append(data[start : start + length].decode("utf-8", "surrogatepass"))
        start += length
    ids, start = [], 0
    for size in sizes:
        ids.append(names[start : start + size])
        start += size
    return TopK(
        query_ids,
        ids,
        [part.numpy() for part in scores.split(sizes)] if sizes else [],
        [part.numpy() for part in positions.split(sizes)] if sizes else [],
    )
