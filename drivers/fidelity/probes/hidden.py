"""Probe `hidden`: what each layer makes of the texts."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from ..context import Context
from ..layers import layer_by_layer
from ..probe import Probe

if TYPE_CHECKING:
    import torch

TEXTS = 64  # every layer of every text of a corpus would take a hundred times the corpus


class Hidden(Probe):
    """Hidden states of the first passages after the embeddings and after each layer, (tokens, hidden size)."""

    name = "hidden"
    summary = f"hidden states after each layer, of the first {TEXTS} passages, padding left out"
    options: ClassVar[dict[str, Any]] = {"texts": TEXTS}
    layers = True

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield the layers of a batch, batch after batch."""
        for prepared in context.batches(count=TEXTS):
            mask = prepared.inputs["attention_mask"].bool()
            yield from layer_by_layer(context.model, context.place(prepared.inputs), mask)
