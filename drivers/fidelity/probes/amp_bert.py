"""Probe `amp_bert`: a batch through the model and the head in mixed precision."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from ..context import Context
from ..probe import Probe
from ..sentence import EIGHT, autocast, steps

if TYPE_CHECKING:
    import torch


class AmpBert(Probe):
    """As `bert`, of eight texts, under torch.autocast in bfloat16."""

    name = "amp_bert"
    summary = "eight fixed texts in mixed precision (torch.autocast, bfloat16), layer by layer"
    options: ClassVar[dict[str, Any]] = {"dtype": "bfloat16"}
    layers = True

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield the steps in the order that they happen."""
        with autocast(context):
            yield from list(steps(context, list(EIGHT)))
