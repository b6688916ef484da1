"""What a probe works with: the encoder, the texts, and what several probes would otherwise compute twice."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fmbench.encoder import CHUNK
from fmbench.encoder.bad_vectors import check_some
from fmbench.encoder.batches import Batch, batches
from fmbench.encoder.late import LateEncoder
from fmbench.encoder.pooling import pool
from fmbench.encoder.recipe import Role
from fmbench.search.maxsim import TokenVectors

from .arguments import Subject

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass
class Context:
    """A model on its platform and the texts; everything lazy is computed once.

    Batches are fixed: texts sorted by length inside chunks of 512, in a fixed budget of tokens, so that the same texts
    give the same shapes on every platform.
    """

    encoder: LateEncoder
    subject: Subject
    seed: int
    budget: int = 1024
    shared: dict[str, Any] = field(default_factory=dict)  # what one probe leaves for a later one

    @property
    def model(self) -> "torch.nn.Module":
        """The torch module, where the platform put it; a compiler works on a copy of its own."""
        module: torch.nn.Module = self.encoder.module
        return module

    @property
    def device(self) -> "torch.device":
        """Where the module's weights are."""
        return next(self.model.parameters()).device

    @property
    def hidden_size(self) -> int:
        """Numbers a token, between layers."""
        return self.encoder.hidden_size

    def place(self, inputs: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
        """Return a batch where the model is."""
        placed: dict[str, torch.Tensor] = self.encoder.platform.place(inputs)
        return placed

    def generator(self) -> "torch.Generator":
        """Return a new source of random numbers, on the host, of the capture's seed."""
        import torch

        return torch.Generator().manual_seed(self.seed)

    def texts(self, role: Role, count: int | None = None) -> list[str]:
        """Return the first texts of a role, or all."""
        return list((self.subject.queries if role == "query" else self.subject.passages)[:count])

    def batches(self, role: Role = "passage", count: int | None = None) -> "Iterator[Prepared]":
        """Yield the first texts of a role, or all, in batches; the texts' places are those in the role."""
        texts = self.texts(role, count)
        for start in range(0, len(texts), CHUNK):
            tokens = self.encoder.tokenise(texts[start : start + CHUNK], role)
            for batch in batches(tokens.lengths, self.budget):
                yield Prepared(start + batch.positions, self.encoder.collate(tokens, batch))

    def one_batch(self, texts: list[str], length: int | None = None) -> "dict[str, torch.Tensor]":
        """Return passages as one batch, padded to the longest, or to a length."""
        import numpy as np

        tokens = self.encoder.tokenise(texts)
        longest = length or int(tokens.lengths.max())
        return self.encoder.collate(tokens, Batch(np.arange(len(texts)), longest, len(texts)))

    def pooled(self, role: Role) -> "torch.Tensor":
        """Return the pooled vectors of a role, float32 (n, d), in the texts' order."""
        if role == "passage":
            return self._passages[0]
        import torch

        recipe = self.encoder.recipe
        result = torch.empty(len(self.subject.queries), self.hidden_size * len(recipe.pooling or ()))
        for prepared in self.batches("query"):
            self._pool_into(result, prepared, self.encoder.hidden_states(prepared.inputs), "query")
        return result

    def normalised(self, role: Role) -> "torch.Tensor":
        """Return the vectors of a role as a search takes them: the further modules applied, each of length 1."""
        from torch.nn.functional import normalize

        return normalize(self.encoder.finish(self.pooled(role)).float(), dim=-1)

    @property
    def token_vectors(self) -> TokenVectors:
        """The vectors of all passages' tokens, float16 and on disk; which tokens have one is the encoder's to say."""
        return self._passages[1]

    @cached_property
    def _passages(self) -> "tuple[torch.Tensor, TokenVectors]":
        """One pass over the passages: pooled vectors in memory, token vectors in a file that has no name."""
        import numpy as np
        import torch

        lengths = self._kept_lengths()
        starts = np.concatenate([[0], np.cumsum(lengths)])
        shape = (max(1, int(starts[-1])), self.encoder.dimension)
        with tempfile.TemporaryFile() as file:  # the mapping keeps it
            vectors = np.memmap(file, dtype=np.float16, mode="w+", shape=shape)
        pooled = torch.empty(len(lengths), self.hidden_size * len(self.encoder.recipe.pooling or ()))
        for prepared in self.batches():
            hidden = self.encoder.hidden_states(prepared.inputs)
            self._pool_into(pooled, prepared, hidden, "passage")
            projected = self.project(hidden).to("cpu", torch.float16)
            kept = self.kept(prepared.inputs)
            for row, position in enumerate(prepared.positions):
                vectors[starts[position] : starts[position + 1]] = projected[row][kept[row]].numpy()
        return pooled, TokenVectors(vectors[: int(starts[-1])], starts)

    def project(self, hidden: "torch.Tensor") -> "torch.Tensor":
        """Return the token vectors of hidden states."""
        return self.encoder.project(hidden)

    def kept(self, inputs: "dict[str, torch.Tensor]") -> "torch.Tensor":
        """Return which tokens of a batch have a vector: neither padding nor punctuation. On the host."""
        import torch

        skipped = torch.from_numpy(self.encoder.skipped)
        return inputs["attention_mask"].bool() & ~torch.isin(inputs["input_ids"], skipped)

    def query_vectors(self) -> "Iterator[torch.Tensor]":
        """Yield each query's token vectors, float32 (query length, d), on the host; each query is a batch."""
        import numpy as np

        tokens = self.encoder.late_tokens(self.encoder.tokenise(self.texts("query"), "query"), "query")
        for place, length in enumerate(tokens.lengths.tolist()):
            inputs = self.encoder.inputs(tokens, Batch(np.array([place]), length, 1))
            yield self.project(self.encoder.hidden_states(inputs))[0].cpu()

    def _kept_lengths(self) -> "np.ndarray":
        """Return how many tokens of each passage have a vector."""
        import numpy as np

        parts = [np.zeros(0, np.int64)]
        for start in range(0, len(self.subject.passages), CHUNK):
            tokens = self.encoder.tokenise(self.subject.passages[start : start + CHUNK])
            kept = np.concatenate([[0], np.cumsum(~np.isin(tokens.ids, self.encoder.skipped))])
            parts.append(np.diff(kept[tokens.starts]))
        return np.concatenate(parts)

    def _pool_into(self, result: "torch.Tensor", prepared: "Prepared", hidden: "torch.Tensor", role: Role) -> None:
        """Pool a batch and put its rows where their texts stand."""
        recipe = self.encoder.recipe
        mask = prepared.inputs["attention_mask"].to(hidden.device)
        prompt = self.encoder.prompt_length(role) if recipe.include_prompt is False else 0
        pooled = pool(hidden, mask, recipe.pooling or (), prompt).cpu()
        texts, every = self.texts(role), prepared.positions
        counts = (mask.sum(dim=1).cpu() - prompt).numpy()
        check_some(pooled.numpy(), [texts[place] for place in every], counts, self.encoder.platform)
        result[every] = pooled


@dataclass(frozen=True)
class Prepared:
    """A batch: where its texts stand among their role's, and the model's inputs on the host."""

    positions: "np.ndarray"
    inputs: "dict[str, torch.Tensor]"
