"""The recurrent student: a GRU or LSTM over word embeddings, which reads a query while it is typed."""

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from fmbench.student import Student, projection

State = Any  # what the cell carries: a tensor (GRU) or a pair of them (LSTM)


class RecurrentStudent(Student):
    """The last layer's final hidden state is the vector; [CLS] and [SEP] are left out.

    `advance` takes tokens as they come and gives the same vector as `forward` on all of them, so that after
    submission only the last word is computed.
    """

    special_tokens = False

    def __init__(
        self, cell: str, table: Tensor, dimensions: int, free: bool, layers: int = 1,
        hidden_size: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.cell = cell
        self.dimensions = dimensions
        self.table = nn.Embedding.from_pretrained(table.detach().clone(), freeze=not free)
        width = hidden_size or dimensions
        network = {"gru": nn.GRU, "lstm": nn.LSTM}[cell]
        self.network = network(table.shape[1], width, num_layers=layers, batch_first=True)
        self.projection = None if width == dimensions else projection(width, dimensions)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the state after each row's last token; zeros for a row without tokens."""
        lengths = attention_mask.sum(dim=1).long()
        packed = pack_padded_sequence(
            self.table(input_ids), lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
        )
        _, state = self.network(packed)
        return self.vector(state) * (lengths > 0).unsqueeze(1)

    def settings(self) -> dict[str, Any]:
        """Return what it is built from again, as JSON values."""
        return {
            "cell": self.cell, "layers": self.network.num_layers, "hidden_size": self.network.hidden_size,
            "dimensions": self.dimensions, "vocabulary": self.table.num_embeddings, "width": self.table.embedding_dim,
        }  # fmt: skip

    @classmethod
    def empty(cls, settings: Mapping[str, Any]) -> Self:
        """Return an untrained one of these settings, whose weights are to be loaded."""
        table = torch.zeros(settings["vocabulary"], settings["width"])
        return cls(settings["cell"], table, settings["dimensions"], False, settings["layers"], settings["hidden_size"])

    def advance(self, ids: Tensor, state: State | None = None) -> State:
        """Return the state after further tokens (1, tokens); without a state, from the beginning."""
        return self.network(self.table(ids), state)[1]

    def vector(self, state: State) -> Tensor:
        """Return the vectors (n, dimensions) of a state, not normalised."""
        hidden = (state[0] if self.cell == "lstm" else state)[-1]
        return hidden if self.projection is None else self.projection(hidden)

    @torch.inference_mode()
    def vectors_of_state(self, state: State) -> Tensor:
        """Return the normalised vectors of a state."""
        return nn.functional.normalize(self.vector(state), dim=1)
