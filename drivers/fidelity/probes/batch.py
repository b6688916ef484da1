"""Probe `batch`: does a text's vector depend on how many others are beside it, or on padding?"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from ..context import Context
from ..probe import Probe
from ..sentence import SENTENCE

if TYPE_CHECKING:
    import torch

SIZES = (1, 2, 7, 32)
PADDING = 8  # tokens


class Batch(Probe):
    """One text's last hidden states at several batch sizes and padded, and how far each is from the text alone."""

    name = "batch"
    summary = "one text at batch 1, 2, 7, 32 and padded: hidden states, and the distance from batch 1"
    options: ClassVar[dict[str, Any]] = {"sizes": list(SIZES), "padding": PADDING}

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield the first row of each batch, and last the largest differences in the order of the cases."""
        import torch

        alone = context.one_batch([SENTENCE])
        tokens = alone["input_ids"].shape[1]
        limit = context.encoder.recipe.passage_max_length or tokens + PADDING
        padded = context.one_batch([SENTENCE], max(tokens, min(tokens + PADDING, limit)))
        cases = {f"size.{size}": {name: part.expand(size, -1) for name, part in alone.items()} for size in SIZES}
        rows: list[torch.Tensor] = []
        for name, inputs in {**cases, "padded": padded}.items():
            kept = inputs["attention_mask"][0].bool()
            row = context.encoder.hidden_states({key: part.contiguous() for key, part in inputs.items()})[0]
            rows.append(row[kept.to(row.device)].cpu())
            yield name, rows[-1]
        yield "distance_from_one", torch.stack([(row - rows[0]).abs().max().float() for row in rows])
