"""What every student is: a torch module from token ids to vectors."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional


class Student(nn.Module, ABC):
    """A query encoder in training.

    `special_tokens` says whether the tokenizer adds them ([CLS], [SEP]); `dimensions` is the size of a vector.
    """

    special_tokens: ClassVar[bool] = True
    dimensions: int

    @abstractmethod
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return vectors (n, dimensions), not normalised, of token ids (n, tokens) and their mask of ones and zeros."""

    def vectors(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return normalised vectors (n, dimensions); a row without tokens gives zeros."""
        return functional.normalize(self(input_ids, attention_mask), dim=1)


def pooled(states: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """Return one vector a row of token states (n, tokens, dimensions): their mean, or the first (cls).

    Raises ValueError for another pooling.
    """
    if pooling == "cls":
        return states[:, 0]
    if pooling != "mean":
        raise ValueError(f"pooling {pooling!r} is neither mean nor cls")
    weights = mask.unsqueeze(2).to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def projection(width: int, dimensions: int) -> nn.Linear:
    """Return a linear layer without bias that begins as the identity, as far as the sizes allow."""
    layer = nn.Linear(width, dimensions, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(dimensions, width))
    return layer
