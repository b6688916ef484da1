"""The lookup student: a weighted sum of token embeddings and a linear layer. No attention, no order of words."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from fmbench.student import Student, pooled, projection

ONE = 0.5413248546  # softplus of it is 1


class LookupStudent(Student):
    """One vector and one positive weight a token; their weighted sum, times a matrix.

    Once trained, all three fold into one table of a vector a token: the direction of a text is then the sum of its
    rows. Special tokens are left out: they would add the same vector to every text.
    """

    special_tokens = False

    def __init__(self, table: Tensor, dimensions: int, free: bool) -> None:
        """Begin with word embeddings (tokens, width), which learn along where they are `free`."""
        super().__init__()
        self.dimensions = dimensions
        self.table = nn.Embedding.from_pretrained(table.detach().clone(), freeze=not free)
        self.weights = nn.Embedding.from_pretrained(torch.full((len(table), 1), ONE), freeze=False)
        self.linear = projection(table.shape[1], dimensions)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the weighted mean of the tokens' vectors, times the matrix."""
        weights = functional.softplus(self.weights(input_ids)) * attention_mask.unsqueeze(2)
        count = attention_mask.sum(dim=1, keepdim=True).clamp(min=1)
        return self.linear((self.table(input_ids) * weights).sum(dim=1) / count)

    @torch.no_grad()
    def folded(self) -> Tensor:
        """Return the table (tokens, dimensions) whose rows, averaged over a text's tokens, give `forward`."""
        return self.linear(self.table.weight * functional.softplus(self.weights.weight))


class FoldedStudent(Student):
    """A lookup student once it is trained: the mean of a text's rows in one table, and nothing else."""

    special_tokens = False

    def __init__(self, table: Tensor) -> None:
        """Take the table (tokens, dimensions)."""
        super().__init__()
        self.dimensions = table.shape[1]
        self.table = nn.Embedding.from_pretrained(table.detach().clone(), freeze=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the mean row of each text."""
        return pooled(self.table(input_ids), attention_mask, "mean")

    @torch.no_grad()
    def folded(self) -> Tensor:
        """Return the table."""
        return self.table.weight
