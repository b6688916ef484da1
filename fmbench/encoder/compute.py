"""One chunk's tokens through the device: batches, forward, pooling, further modules, and back in order."""

import contextlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fmbench.backend import Backend
from fmbench.errors import UsageError
from fmbench.options import Arguments

from .batches import Batch, buckets, by_budget, by_shape
from .pooling import pool
from .recipe import ROLES, Recipe
from .steps import Normalise, Step
from .timings import Timings
from .tokens import Tokens

if TYPE_CHECKING:
    import numpy as np
    import torch


MOST_LENGTHS = 8  # where every shape costs a compilation


class Compute:
    """What happens on the device. One thread at a time: there is one device."""

    def __init__(
        self,
        platform: Backend,
        loaded: Any,
        arguments: Arguments,
        recipe: Recipe,
        steps: Sequence[Step],
        tokenizer: Any,
    ) -> None:
        """Place the model and read the further modules. Raises UsageError for dimensions that do not go together."""
        self._platform = platform
        self._recipe = recipe
        self._modes = recipe.pooling or ()
        self._steps = [step.load() for step in (*steps, *([Normalise()] if recipe.normalise else ()))]
        self._cut = len(steps)  # truncating comes after the folder's modules and before our own normalising
        self._padding_id = tokenizer.pad_token_id or 0
        self._left = tokenizer.padding_side == "left"
        self._lengths = self._fixed_lengths(platform, arguments, recipe)
        budget = recipe.tokens_per_batch or platform.tokens_per_batch
        self.budget = None if isinstance(budget, str) else budget
        self.dimension = self._dimension(loaded)
        self._forward = platform.prepare(loaded, arguments)
        self._lock = threading.Lock()

    def _fixed_lengths(self, platform: Backend, arguments: Arguments, recipe: Recipe) -> tuple[int, ...] | None:
        """Return the lengths to pad to where every shape costs a compilation, else None."""
        if not platform.fixed_shapes(arguments):
            return None
        longest = [recipe.max_length(role) for role in ROLES]
        if recipe.lengths:
            return recipe.lengths
        if None in longest:
            raise UsageError(f"--platform {platform.name}: no maximum length is known; give --lengths")
        return buckets(platform.length_step, max(filter(None, longest)), 1 if platform.single_shape else MOST_LENGTHS)

    def _dimension(self, loaded: Any) -> int:
        """Return how many numbers a vector has, told from the sizes of the model and the modules."""
        import torch

        size = loaded.config.get_text_config().hidden_size
        vectors = self._finish(torch.zeros(1, size * len(self._modes)))
        return int(vectors.shape[1])

    def _finish(self, vectors: "torch.Tensor") -> "torch.Tensor":
        """Apply the further modules, truncate, and normalise in the end where that was asked for."""
        for step in self._steps[: self._cut]:
            vectors = step(vectors)
        vectors = vectors[:, : self._recipe.truncate_dim]
        for step in self._steps[self._cut :]:
            vectors = step(vectors)
        return vectors

    def search_budget(self, tokens: Tokens, timings: Timings) -> None:
        """Find the token budget by a short measured search."""
        raise NotImplementedError  # next commit

    def vectors(self, tokens: Tokens, prompt_length: int, timings: Timings) -> "np.ndarray":
        """Return the vectors of one chunk, float32 of shape (n, d), in the order of its texts."""
        import numpy as np
        import torch

        result = np.empty((len(tokens.lengths), self.dimension), dtype=np.float32)
        excluded = 0 if self._recipe.include_prompt is not False else prompt_length
        with self._lock, self._inference():
            batches = list(self._batches(tokens.lengths))
            pooled = [self._run(tokens, batch, excluded, timings) for batch in batches]
            with timings.stage("pool"):
                if pooled:
                    order = np.concatenate([batch.positions for batch in batches])
                    result[order] = torch.cat(pooled).cpu().numpy()
        return result

    @contextlib.contextmanager
    def _inference(self) -> Iterator[None]:
        """Switch gradients off in this thread, by torch's inference mode where the platform takes it."""
        import torch

        with torch.inference_mode() if self._platform.inference_mode else torch.no_grad():
            yield

    def _batches(self, lengths: "np.ndarray") -> Iterable[Batch]:
        """Return which texts go to the device together."""
        budget = self.budget or self._platform.tokens_per_batch
        return by_shape(lengths, budget, self._lengths) if self._lengths else by_budget(lengths, budget)

    def _run(self, tokens: Tokens, batch: Batch, excluded: int, timings: Timings) -> "torch.Tensor":
        """Return the vectors of one batch, where pooling left them."""
        with timings.stage("collate"):
            inputs = collate(tokens, batch, self._padding_id, self._left)
            placed = self._platform.place(inputs)
        with timings.stage("forward"):
            hidden = hidden_states(self._forward(placed))
            self._platform.observe()
        with timings.stage("pool"):
            if not self._platform.runs_torch:
                hidden = hidden.cpu()
            mask = inputs["attention_mask"].to(hidden.device)
            count = len(batch.positions)
            vectors = self._finish(pool(hidden[:count], mask[:count], self._modes, excluded))
        timings.padded_tokens += batch.rows * batch.length
        timings.batches += 1
        return vectors


def collate(tokens: Tokens, batch: Batch, padding_id: int, left: bool) -> "dict[str, torch.Tensor]":
    """Return a batch as a model takes it: int64 tensors of shape (rows, length), padding where no token is.

    Rows beyond the texts hold one padding token that counts, because no model likes a sequence without any.
    """
    import numpy as np
    import torch

    shape = (batch.rows, batch.length)
    ids, mask = np.full(shape, padding_id, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    types = None if tokens.types is None else np.zeros(shape, dtype=np.int64)
    for row, position in enumerate(batch.positions):
        start, end = tokens.starts[position], tokens.starts[position + 1]
        inside = slice(batch.length - (end - start), None) if left else slice(end - start)
        ids[row, inside] = tokens.ids[start:end]
        mask[row, inside] = 1
        if types is not None:
            types[row, inside] = tokens.types[start:end]  # type: ignore[index]
    mask[len(batch.positions) :, -1 if left else 0] = 1
    arrays = {"input_ids": ids, "attention_mask": mask, **({} if types is None else {"token_type_ids": types})}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def hidden_states(output: Any) -> "torch.Tensor":
    """Return the last hidden states (rows, tokens, d) of a model's output. Raises UsageError where it has none."""
    hidden = getattr(output, "last_hidden_state", None)
    if hidden is None:
        raise UsageError("--model_class: its output has no last_hidden_state; take the base class, such as BertModel")
    return hidden
