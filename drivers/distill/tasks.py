"""Stage B: a student learns to prefer a query's own passage to mined hard negatives and to the batch's others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fmbench.student import Student

from . import losses
from .align import FORWARD, held_out
from .passages import FrozenPassages, TrainedPassages
from .ranks import Ranks
from .tokens import Place, here, padded

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Example:
    """A query's token ids, the row of its positive passage, and the rows of its hard negatives."""

    query: Sequence[int]
    positive: int
    negatives: tuple[int, ...]


class Contrast:
    """A training task over examples that all have the same number of hard negatives.

    The quality is the mean reciprocal rank of the positive among the passages of all held-out examples.
    """

    def __init__(
        self, student: Student, passages: FrozenPassages | TrainedPassages, examples: Sequence[Example],
        temperature: float = 0.05, passage_rate: float = 1.0, seed: int = 0, place: Place = here,
    ) -> None:  # fmt: skip
        """Raise ValueError where examples have different numbers of negatives: processes could not share a batch."""
        if len({len(example.negatives) for example in examples}) > 1:
            raise ValueError("every example needs the same number of hard negatives")
        self.module = nn.ModuleDict({"student": student, "passages": passages})
        self.student, self.passages, self.examples = student, passages, examples
        self.temperature, self.passage_rate, self.place = temperature, passage_rate, place
        self.held_out, self.kept = held_out(len(examples), seed)
        self.lengths = [len(examples[position].query) for position in self.kept]

    def groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Return the student's parameters and the passage encoder's, each at its own rate."""
        rates = ((self.student, learning_rate), (self.passages, learning_rate * self.passage_rate))
        groups = [{"params": [p for p in side.parameters() if p.requires_grad], "lr": rate} for side, rate in rates]
        return [group for group in groups if group["params"]]

    def loss(self, batch: "np.ndarray", ranks: Ranks) -> Tensor:
        """Return the mean loss of a share of a batch, whose negatives are the whole batch's passages."""
        examples = [self.examples[self.kept[position]] for position in batch]
        rows = torch.tensor([row for example in examples for row in (example.positive, *example.negatives)])
        passages = ranks.gathered(self.passages(rows.tolist(), self.place))
        everybody = ranks.gathered(rows.to(passages.device))
        width = 1 + len(examples[0].negatives)
        positives = (torch.arange(len(examples)) * width + ranks.rank * len(rows)).to(passages.device)
        twins = everybody.unsqueeze(0) == everybody[positives].unsqueeze(1)  # the same passage is no negative
        twins[torch.arange(len(examples)), positives] = False
        return losses.contrastive(self.queries(examples), passages, positives, self.temperature, twins)

    def queries(self, examples: Sequence[Example]) -> Tensor:
        """Return the normalised vectors of the examples' queries."""
        ids, mask = padded([example.query for example in examples])
        return self.student.vectors(*self.place({"ids": ids, "mask": mask}).values())

    @torch.no_grad()
    def quality(self) -> float | None:
        """Return the mean reciprocal rank; None where there are too few examples to hold any out."""
        examples = [self.examples[position] for position in self.held_out]
        if not examples:
            return None
        rows = sorted({row for example in examples for row in (example.positive, *example.negatives)})
        place = {row: number for number, row in enumerate(rows)}
        parts = [self.passages(rows[start : start + FORWARD], self.place) for start in range(0, len(rows), FORWARD)]
        passages, total = torch.cat(parts), 0.0
        for start in range(0, len(examples), FORWARD):
            few = examples[start : start + FORWARD]
            scores = self.queries(few) @ passages.T
            own = scores.gather(1, torch.tensor([[place[one.positive]] for one in few], device=scores.device))
            total += float((1 / (scores > own).sum(dim=1).add(1)).sum())
        return total / len(examples)
