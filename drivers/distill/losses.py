"""Losses: how far a student's vectors lie from the teacher's, or a query from its passage.

All take tensors of (n, dimensions) that are normalised, and return the mean over the rows.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Alignment = Callable[[Tensor, Tensor], Tensor]


def cosine(student: Tensor, teacher: Tensor) -> Tensor:
    """Return one minus the cosine, which differs from the field's -cos by a constant and ends at zero."""
    return (1 - (student * teacher).sum(dim=1)).mean()


def squared_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the squared Euclidean distance (L2); of normalised vectors it is twice the cosine loss."""
    return (student - teacher).square().sum(dim=1).mean()


def in_batch_divergence(student: Tensor, teacher: Tensor, others: Tensor, temperature: float) -> Tensor:
    """Return the Kullback-Leibler divergence between the two distributions of scores over `others`.

    Each row scores every row of `others` (m, dimensions), the teacher's vectors of the whole batch; the teacher's
    distribution is the one to reach.
    """
    reached = functional.log_softmax(student @ others.T / temperature, dim=1)
    wanted = functional.log_softmax(teacher @ others.T / temperature, dim=1)
    return functional.kl_div(reached, wanted, log_target=True, reduction="batchmean")


def contrastive(queries: Tensor, passages: Tensor, positives: Tensor, temperature: float, ignored: Tensor) -> Tensor:
    """Return the softmax cross-entropy of each query's own passage among all passages of the batch.

    `passages` (m, dimensions) are everybody's positives and hard negatives; `positives` (n) says which is whose;
    `ignored` (n, m) says which passages are no negatives of a query.
    """
    scores = (queries @ passages.T / temperature).masked_fill(ignored, -torch.inf)
    return functional.cross_entropy(scores, positives)


def not_finite(value: Tensor) -> bool:
    """Say whether a number is NaN or infinite."""
    return not bool(torch.isfinite(value))
