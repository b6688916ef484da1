"""The passage side of stage B: vectors that were computed once, or an encoder that learns along."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fmbench.student import Student

from .tokens import Place, here, padded

if TYPE_CHECKING:
    import numpy as np


class FrozenPassages(nn.Module):
    """The index as it is: vectors (n, dimensions), normalised or not, as the passage encoder gives them."""

    def __init__(self, vectors: "np.ndarray") -> None:
        super().__init__()
        self.stored = vectors

    def forward(self, rows: Sequence[int], place: Place = here) -> Tensor:
        """Return the vectors of some passages."""
        return place({"vectors": torch.from_numpy(self.stored[list(rows)].astype("float32"))})["vectors"]


class TrainedPassages(nn.Module):
    """A passage encoder that learns along: the index must be encoded anew afterwards."""

    def __init__(self, encoder: Student, ids: Sequence[Sequence[int]], normalise: bool) -> None:
        """Take the encoder, the token ids of every passage, and whether its vectors are normalised."""
        super().__init__()
        self.encoder = encoder
        self.ids = ids
        self.normalise = normalise

    def forward(self, rows: Sequence[int], place: Place = here) -> Tensor:
        """Return the vectors of some passages."""
        ids, mask = padded([self.ids[row] for row in rows])
        encode = self.encoder.vectors if self.normalise else self.encoder
        return encode(*place({"ids": ids, "mask": mask}).values())
