"""Probe `modules`: what goes in and out of every leaf module, which `fmbench fidelity bisect` substitutes."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from ..context import Context
from ..leaves import INPUTS, observed
from ..probe import Probe

if TYPE_CHECKING:
    import torch

TEXTS = 4
MOST_TOKENS = 64  # a text: enough to see a module, and the capture stays small


class Modules(Probe):
    """Input and output of each leaf module in the order of the calls, for one batch of the first passages."""

    name = "modules"
    summary = f"input and output of every leaf module, for the first {TEXTS} passages (what `bisect` substitutes)"
    options: ClassVar[dict[str, Any]] = {"texts": TEXTS, "most_tokens": MOST_TOKENS}
    layers = True

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield the batch, then each call."""
        inputs = context.one_batch(context.texts("passage", TEXTS))
        inputs = {name: part[:, :MOST_TOKENS].contiguous() for name, part in inputs.items()}
        for name, part in inputs.items():
            yield f"{INPUTS}{name}", part
        yield from observed(context.model, context.place(inputs))
