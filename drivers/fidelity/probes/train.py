"""Probe `train`: a few seeded steps of training, their losses, and digests of the weights that come out."""

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from fmbench.encoder.pooling import pool

from ..context import Context
from ..probe import Probe
from ..sentence import weight_digests

if TYPE_CHECKING:
    import torch

STEPS = 10
BATCH = 8
RATE = 1e-5
TEMPERATURE = 0.05


class Train(Probe):
    """AdamW on a copy of the model: each passage's first words are to find the passage among those of its batch."""

    name = "train"
    summary = f"{STEPS} seeded training steps on a copy of the model: loss curve, digests of the final weights"
    options: ClassVar[dict[str, Any]] = {"steps": STEPS, "batch": BATCH, "rate": RATE, "temperature": TEMPERATURE}
    default = False  # takes a second copy of the model, and its gradients

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield the loss of each step, then the digests."""
        import torch

        model = copy.deepcopy(context.model)
        optimiser = torch.optim.AdamW(model.parameters(), lr=RATE)
        generator = context.generator()
        for _ in range(STEPS):
            chosen = torch.randint(0, len(context.subject.passages), (BATCH,), generator=generator).tolist()
            with torch.enable_grad():
                loss = self.loss(context, model, [context.subject.passages[at] for at in chosen])
                loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            yield "loss", loss
        yield "weights", weight_digests(model)

    def loss(self, context: Context, model: "torch.nn.Module", passages: list[str]) -> "torch.Tensor":
        """Return the contrastive loss (InfoNCE) of passages and their beginnings, in mean-pooled vectors."""
        import torch
        from torch.nn.functional import cross_entropy, normalize

        sides = []
        for texts in ([" ".join(text.split()[:8]) for text in passages], passages):
            inputs = context.place(context.one_batch(texts))
            hidden = model(**inputs).last_hidden_state
            sides.append(normalize(pool(hidden, inputs["attention_mask"], ("mean",)), dim=-1))
        products = sides[0] @ sides[1].T / TEMPERATURE
        return cross_entropy(products, torch.arange(len(passages), device=products.device))
