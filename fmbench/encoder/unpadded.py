"""Batches without padding: their texts lie in one row, one after the other, and each attends to itself alone."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fmbench import positions
from fmbench.backend import UNPADDED, Forward
from fmbench.errors import UsageError, one_line

from .batches import Batch
from .compute import Compute, collate, hidden_states
from .loading import LEAST_COSINE, LEAST_OF_HALVES
from .plan import EncoderPlan
from .row_order import random_texts
from .timings import Timings
from .tokens import Tokens

if TYPE_CHECKING:
    import numpy as np
    import torch

SAID = f"--model:attn_implementation {UNPADDED}"
CHECKED = (40, 3, 200, 1, 8)  # tokens of the texts that a model is checked with; the longest fills most windows


class UnpaddedCompute(Compute):
    """Gives the device the tokens of a batch's texts and nothing else."""

    def __init__(self, plan: EncoderPlan, loaded: Any, *rest: Any) -> None:
        """Take what `Compute` takes. Raises UsageError for a model that computes something else without padding."""
        tables = positions.looked_up(loaded)
        self._first = max((first for _, first in tables), default=0)  # the position of a text's first token
        self._room = min((rows - first for rows, first in tables), default=max(CHECKED))
        super().__init__(plan, loaded, *rest)
        if self._lengths:
            raise UsageError(f"{SAID}: shapes are fixed here, and no batch is like another; leave one of them out")
        self._check(loaded)

    def _check(self, loaded: Any) -> None:
        """Hold the hidden states of a few texts against those of the same texts with padding."""
        import numpy as np
        import torch

        name, lengths = type(loaded).__name__, np.minimum(CHECKED, self._room)
        tokens = random_texts(lengths, self._vocabulary, self._padding_id)
        batch = Batch(np.arange(len(lengths)), int(lengths.max()), len(lengths))
        inputs = collate(tokens, batch, self._padding_id, self.types)
        try:
            with self._inference():
                padded = self._hidden(self._platform.place(inputs), batch.rows, batch.length).float().cpu()
                found = self._hidden(self._place(tokens, batch), 1, len(tokens.ids))[0].float().cpu()
        except UsageError:
            raise
        except Exception as error:  # it takes no positions, or hands on nothing to its attention
            raise UsageError(f"{SAID}: {name} does not run so: {one_line(error)}") from error
        expected = padded[inputs["attention_mask"].bool()]
        if not bool(torch.isfinite(expected).all()):
            return  # weights that are no numbers: whoever encodes a text says so
        cosine = float(torch.cosine_similarity(found, expected, dim=-1).min())
        least = LEAST_COSINE if loaded.dtype.itemsize >= 4 else LEAST_OF_HALVES
        if not cosine >= least:
            raise UsageError(
                f"{SAID}: {name} computes something else without padding (least cosine {cosine:.4f} of a token's "
                f"vectors, {least} is wanted); leave it out"
            )

    def _hidden(self, placed: dict[str, Any], rows: int, length: int) -> "torch.Tensor":
        """Return the last hidden states of a placed batch."""
        return hidden_states(self._forward(placed), (rows, length, self.width), self._platform)

    def _batch(self, tokens: Tokens, batch: Batch, excluded: int, timings: Timings, forward: Forward) -> "torch.Tensor":
        """Compute one batch."""
        with timings.stage("collate"):
            placed = self._place(tokens, batch)
            lengths = tokens.lengths[batch.positions]
            spans = self._platform.place({"spans": spans_of(lengths, excluded)})["spans"]
        with timings.stage("forward"):
            shape = (1, int(lengths.clip(min=1).sum()), self.width)
            hidden = hidden_states(forward(placed), shape, self._platform)[0]
            self._platform.observe()
        with timings.stage("pool"):
            vectors = self._finish(pool_row(hidden, spans, self._modes))
        timings.texts += len(lengths)
        timings.tokens += int(lengths.sum())
        timings.padded_tokens += len(hidden)
        timings.batches += 1
        return vectors

    def _place(self, tokens: Tokens, batch: Batch) -> dict[str, Any]:
        """Return a batch as the model takes it, where the model wants it."""
        row = one_row(tokens, batch.positions, self._padding_id, self._first, self.types)
        return {**self._platform.place(row), "max_length_q": max(batch.length, 1)}


def one_row(tokens: Tokens, texts: "np.ndarray", padding_id: int, first: int, types: bool) -> "dict[str, torch.Tensor]":
    """Return the tokens of some texts in one row (1, tokens), their positions, and where each text begins and ends.

    A text without tokens is one of padding. Where positions do not begin at 0, RoBERTa counts no padding either.
    """
    import numpy as np
    import torch

    lengths = tokens.lengths[texts]
    given = np.maximum(lengths, 1)
    bounds = np.concatenate([[0], np.cumsum(given)])
    shift = np.repeat(tokens.starts[texts] - bounds[:-1], given)
    real = np.repeat(lengths > 0, given)
    source = (np.arange(bounds[-1]) + shift)[real]
    ids = np.full(bounds[-1], padding_id, dtype=np.int64)
    ids[real] = tokens.ids[source]
    counted = (ids != padding_id) | (first == 0)
    before = np.cumsum(counted) - counted
    place = np.where(counted, before - np.repeat(before[bounds[:-1]], given) + first, padding_id)
    arrays = {"input_ids": ids[None], "position_ids": place[None], "cu_seq_lens_q": bounds.astype(np.int32)}
    if types or tokens.types is not None:
        arrays["token_type_ids"] = kinds = np.zeros_like(ids)[None]
        if tokens.types is not None:
            kinds[0, real] = tokens.types[source]
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def spans_of(lengths: "np.ndarray", excluded: int) -> "torch.Tensor":
    """Return (texts, 2): how many tokens of each text in a row are left out of pooling, and how many follow."""
    import numpy as np
    import torch

    counted = np.maximum(lengths - excluded, 0)
    return torch.from_numpy(np.stack([np.maximum(lengths, 1) - counted, counted], axis=1))


def pool_row(hidden: "torch.Tensor", spans: "torch.Tensor", modes: Sequence[str]) -> "torch.Tensor":
    """Return what `fmbench.encoder.pooling.pool` does, of texts in one row: hidden (tokens, d), spans (texts, 2)."""
    import torch

    hidden = hidden.float()
    ends, (left_out, counted) = spans.flatten().cumsum(0)[1::2], spans.unbind(1)
    some = counted > 0

    def reduced(way: str) -> torch.Tensor:
        return torch.segment_reduce(hidden, way, lengths=spans.flatten(), unsafe=True)[1::2]

    poolers = {
        "mean": lambda: reduced("sum") / counted.clamp(min=1)[:, None],
        "max": lambda: reduced("max"),
        "cls": lambda: hidden[ends - torch.where(some, counted, left_out)],
        "last": lambda: hidden[ends - 1] * some[:, None],
    }
    parts = [poolers[mode]() for mode in modes]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
