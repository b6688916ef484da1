"""Stage A: a student learns to put a query where the teacher puts it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fmbench.student import Student

from . import losses
from .ranks import Ranks
from .tokens import Place, here, padded

if TYPE_CHECKING:
    import numpy as np

LOSSES = ("cosine", "l2", "kl")
HELD_OUT = 300  # texts that show the quality and are not trained on, at most a tenth of all
FORWARD = 64  # texts a forward pass without gradients


def held_out(count: int, seed: int) -> tuple[list[int], list[int]]:
    """Return the positions of the examples that show the quality, and of those that are trained on."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    most = min(HELD_OUT, count // 10)
    return sorted(order[:most]), sorted(order[most:])


class Alignment:
    """A training task over token ids (ragged) and the teacher's normalised vectors (n, dimensions).

    The quality is the mean cosine to the teacher's vectors of texts that are held out.
    """

    def __init__(
        self, student: Student, ids: Sequence[Sequence[int]], targets: "np.ndarray", loss: str = "cosine",
        temperature: float = 0.05, embedding_rate: float = 1.0, seed: int = 0, place: Place = here,
    ) -> None:  # fmt: skip
        """Raise ValueError where texts and vectors, or the dimensions, do not go together."""
        if len(ids) != len(targets) or targets.shape[1] != student.dimensions:
            raise ValueError(f"{len(ids)} texts and {targets.shape} vectors for {student.dimensions} dimensions")
        self.module = self.student = student
        self.ids, self.targets = ids, targets
        self.loss_name, self.temperature, self.embedding_rate = loss, temperature, embedding_rate
        self.place = place
        self.held_out, self.kept = held_out(len(ids), seed)
        self.lengths = [len(ids[position]) for position in self.kept]

    def groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Return two groups: embedding tables learn at a rate of their own."""
        tables: list[torch.nn.Parameter] = []
        others: list[torch.nn.Parameter] = []
        for module in self.student.modules():
            own = [one for one in module.parameters(recurse=False) if one.requires_grad]
            (tables if isinstance(module, torch.nn.Embedding) else others).extend(own)
        rates = ((others, learning_rate), (tables, learning_rate * self.embedding_rate))
        return [{"params": parameters, "lr": rate} for parameters, rate in rates if parameters]

    def inputs(self, positions: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Return ids, mask and targets of some texts, on the device."""
        ids, mask = padded([self.ids[position] for position in positions])
        targets = torch.from_numpy(self.targets[list(positions)].astype("float32"))
        batch = self.place({"ids": ids, "mask": mask, "targets": targets})
        return batch["ids"], batch["mask"], batch["targets"]

    def loss(self, batch: "np.ndarray", ranks: Ranks) -> Tensor:
        """Return the mean loss of a share of a batch; `batch` holds positions in `lengths`."""
        ids, mask, targets = self.inputs([self.kept[position] for position in batch])
        vectors = self.student.vectors(ids, mask)
        if self.loss_name == "kl":
            return losses.in_batch_divergence(vectors, targets, ranks.gathered(targets), self.temperature)
        return (losses.cosine if self.loss_name == "cosine" else losses.squared_distance)(vectors, targets)

    @torch.no_grad()
    def quality(self) -> float | None:
        """Return the mean cosine on what is held out; None where there are too few texts to hold any out."""
        total = 0.0
        for start in range(0, len(self.held_out), FORWARD):
            ids, mask, targets = self.inputs(self.held_out[start : start + FORWARD])
            total += float((self.student.vectors(ids, mask) * targets).sum())
        return total / len(self.held_out) if self.held_out else None
