"""Probe `bert`: one sentence through the model and the head."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..context import Context
from ..probe import Probe
from ..sentence import SENTENCE, steps, weight_digests

if TYPE_CHECKING:
    import torch


class Bert(Probe):
    """Digests of the weights, each layer's output, and what the head makes of the last."""

    name = "bert"
    summary = "one fixed sentence: weights, each layer, linear head, punctuation mask, normalised"
    layers = True

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield the steps in the order that they happen."""
        yield "weights", weight_digests(context.model)
        yield from steps(context, [SENTENCE])
