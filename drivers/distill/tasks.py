"""What is trained: stage A puts a query where the teacher puts it, stage B prefers its passage to hard negatives.

Losses take tensors of (n, dimensions) that are normalised, and return the mean over the rows.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fmbench.distributed import Group
from fmbench.encoder.network import Network
from fmbench.encoder.tokens import Tokens

from .query_encoder import Place, batch_of

HELD_OUT = 300  # texts that show the quality and are not trained on, at most a tenth of all
FORWARD = 64  # texts a forward pass without gradients


def here(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Leave a batch where it is."""
    return batch


def held_out(count: int, seed: int) -> tuple[list[int], list[int]]:
    """Return the positions of the examples that show the quality, and of those that are trained on."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    most = min(HELD_OUT, count // 10)
    return sorted(order[:most]), sorted(order[most:])


def cosine(student: Tensor, teacher: Tensor) -> Tensor:
    """Return one minus the cosine, which differs from the field's -cos by a constant and ends at zero."""
    return (1 - (student * teacher).sum(dim=1)).mean()


def squared_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the squared Euclidean distance (L2); of normalised vectors it is twice the cosine loss."""
    return (student - teacher).square().sum(dim=1).mean()


def scores(queries: Tensor, passages: Tensor, temperature: float) -> Tensor:
    """Return the products of all pairs (n, m), divided; in float32 also where encoders compute in fewer bits."""
    with torch.autocast(queries.device.type, enabled=False):
        return queries.float() @ passages.float().T / temperature


def in_batch_divergence(student: Tensor, teacher: Tensor, others: Tensor, temperature: float) -> Tensor:
    """Return the Kullback-Leibler divergence between the two distributions of scores over `others`.

    Each row scores every row of `others` (m, dimensions), the teacher's vectors of the whole batch; the teacher's
    distribution is the one to reach.
    """
    reached = functional.log_softmax(scores(student, others, temperature), dim=1)
    wanted = functional.log_softmax(scores(teacher, others, temperature), dim=1)
    return functional.kl_div(reached, wanted, log_target=True, reduction="batchmean")


def contrastive(queries: Tensor, passages: Tensor, positives: Tensor, temperature: float, ignored: Tensor) -> Tensor:
    """Return the softmax cross-entropy of each query's own passage among all passages of the batch.

    `passages` (m, dimensions) are everybody's positives and hard negatives; `positives` (n) says which is whose;
    `ignored` (n, m) says which passages are no negatives of a query.
    """
    return functional.cross_entropy(scores(queries, passages, temperature).masked_fill(ignored, -torch.inf), positives)


class Alignment:
    """A training task over texts and the teacher's normalised vectors of them (n, dimensions).

    The quality is the mean cosine to the teacher's vectors of texts that are held out.
    """

    def __init__(
        self, student: Network, tokens: Tokens, targets: np.ndarray, loss: str = "cosine",
        temperature: float = 0.05, embedding_rate: float = 1.0, seed: int = 0, place: Place = here,
    ) -> None:  # fmt: skip
        """Raise ValueError where texts and vectors, or the dimensions, do not go together."""
        count = len(tokens.lengths)
        if count != len(targets) or targets.shape[1] != student.dimensions:
            raise ValueError(f"{count} texts and {targets.shape} vectors for {student.dimensions} dimensions")
        self.module = self.student = student
        self.tokens, self.targets = tokens, targets
        self.loss_name, self.temperature, self.embedding_rate = loss, temperature, embedding_rate
        self.place = place
        self.held_out, self.kept = held_out(count, seed)
        self.lengths = tokens.lengths[self.kept]

    def groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Return two groups: embedding tables learn at a rate of their own."""
        tables: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for module in self.student.modules():
            own = [one for one in module.parameters(recurse=False) if one.requires_grad]
            (tables if isinstance(module, nn.Embedding) else others).extend(own)
        rates = ((others, learning_rate), (tables, learning_rate * self.embedding_rate))
        return [{"params": parameters, "lr": rate} for parameters, rate in rates if parameters]

    def both(self, positions: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return the student's vectors of some texts, and the teacher's, on the device."""
        targets = torch.from_numpy(self.targets[list(positions)].astype("float32"))
        batch = self.place({**batch_of(self.tokens, positions, self.student.types), "targets": targets})
        targets = batch.pop("targets")
        return self.student.vectors(**batch), targets

    def loss(self, batch: np.ndarray, group: Group) -> Tensor:
        """Return the mean loss of a share of a batch; `batch` holds positions in `lengths`."""
        vectors, targets = self.both([self.kept[position] for position in batch])
        if self.loss_name == "kl":
            return in_batch_divergence(vectors, targets, group.gather_rows(targets), self.temperature)
        return (cosine if self.loss_name == "cosine" else squared_distance)(vectors, targets)

    @torch.no_grad()
    def quality(self) -> float | None:
        """Return the mean cosine on what is held out; None where there are too few texts to hold any out."""
        total = 0.0
        for start in range(0, len(self.held_out), FORWARD):
            vectors, targets = self.both(self.held_out[start : start + FORWARD])
            total += float((vectors * targets).sum())
        return total / len(self.held_out) if self.held_out else None


class FrozenPassages(nn.Module):
    """The index as it is: vectors (n, dimensions), normalised or not, as the passage encoder gives them."""

    def __init__(self, vectors: np.ndarray) -> None:
        super().__init__()
        self.stored = vectors

    def forward(self, rows: Sequence[int] | np.ndarray, place: Place = here) -> Tensor:
        """Return the vectors of some passages."""
        return place({"vectors": torch.from_numpy(self.stored[list(rows)].astype("float32"))})["vectors"]


class TrainedPassages(nn.Module):
    """A passage encoder that learns along: the index must be encoded anew afterwards."""

    def __init__(self, encoder: Network, tokens: Tokens) -> None:
        """Take the encoder, and the tokens of every passage."""
        super().__init__()
        self.encoder, self.tokens = encoder, tokens

    def forward(self, rows: Sequence[int] | np.ndarray, place: Place = here) -> Tensor:
        """Return the vectors of some passages."""
        return self.encoder(**place(batch_of(self.tokens, rows, self.encoder.types)))


class Contrast:
    """A training task over queries, and of each the rows of its passages (n, 1 + hard negatives), its own one first.

    The quality is the mean reciprocal rank of the own passage among the passages of all held-out examples.
    """

    def __init__(
        self, student: Network, passages: FrozenPassages | TrainedPassages, queries: Tokens, rows: np.ndarray,
        temperature: float = 0.05, passage_rate: float = 1.0, seed: int = 0, place: Place = here,
    ) -> None:  # fmt: skip
        self.module = nn.ModuleDict({"student": student, "passages": passages})
        self.student, self.passages, self.queries, self.rows = student, passages, queries, rows
        self.temperature, self.passage_rate, self.place = temperature, passage_rate, place
        self.held_out, self.kept = held_out(len(rows), seed)
        self.lengths = queries.lengths[self.kept]

    def groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Return the student's parameters and the passage encoder's, each at its own rate."""
        rates = ((self.student, learning_rate), (self.passages, learning_rate * self.passage_rate))
        groups = [{"params": [p for p in side.parameters() if p.requires_grad], "lr": rate} for side, rate in rates]
        return [group for group in groups if group["params"]]

    def loss(self, batch: np.ndarray, group: Group) -> Tensor:
        """Return the mean loss of a share of a batch, whose negatives are the whole batch's passages."""
        chosen = [self.kept[position] for position in batch]
        rows = self.rows[chosen].reshape(-1)
        passages = group.gather_rows(self.passages(rows, self.place))
        everybody = group.gather_rows(torch.from_numpy(rows).to(passages.device))
        own = np.arange(len(chosen)) * self.rows.shape[1] + group.rank * len(rows)
        positives = torch.from_numpy(own).to(passages.device)
        twins = everybody.unsqueeze(0) == everybody[positives].unsqueeze(1)  # the same passage is no negative
        twins[torch.arange(len(chosen)), positives] = False
        return contrastive(self.vectors(chosen), passages, positives, self.temperature, twins)

    def vectors(self, chosen: Sequence[int]) -> Tensor:
        """Return the normalised vectors of some queries."""
        return self.student.vectors(**self.place(batch_of(self.queries, chosen, self.student.types)))

    @torch.no_grad()
    def quality(self) -> float | None:
        """Return the mean reciprocal rank; None where there are too few examples to hold any out."""
        if not self.held_out:
            return None
        rows, places = np.unique(self.rows[self.held_out], return_inverse=True)
        own = torch.from_numpy(places.reshape(len(self.held_out), -1)[:, :1])
        parts = [self.passages(rows[start : start + FORWARD], self.place) for start in range(0, len(rows), FORWARD)]
        passages, total = torch.cat(parts), 0.0
        for start in range(0, len(self.held_out), FORWARD):
            few = slice(start, start + FORWARD)
            found = self.vectors(self.held_out[few]) @ passages.T
            total += float((1 / (found > found.gather(1, own[few].to(found.device))).sum(dim=1).add(1)).sum())
        return total / len(self.held_out)
