"""Texts to token vectors, as a late-interaction model makes them: a vector a token, not one a text."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from fmbench.backend import Forward
from fmbench.errors import UsageError, first_line
from fmbench.search.maxsim import TokenVectors

from .bad_vectors import NO_NUMBER, ZERO, BadVectorError
from .batches import Batch
from .compute import Compute, Kept, collate, hidden_states
from .encoder import Encoder
from .late_folder import LateInteraction
from .plan import EncoderPlan
from .recipe import Role
from .timings import Timings
from .tokens import Tokenizer, Tokens

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass(frozen=True)
class LateTokens(Tokens):
    """Tokens, of which some may be hidden from the others, and some have no vector: bool, as long as the ids."""

    attended: "np.ndarray"
    kept: "np.ndarray"

    @classmethod
    def joined(cls, parts: "Sequence[Tokens]") -> "LateTokens":
        """Return the tokens of several, in their order."""
        import numpy as np

        whole, late = Tokens.joined(parts), [part for part in parts if isinstance(part, cls)]
        attended, kept = (np.concatenate([getattr(part, name) for part in late]) for name in ("attended", "kept"))
        return cls(whole.ids, whole.types, whole.starts, attended, kept)

    def flags(self, which: "np.ndarray", batch: Batch) -> "torch.Tensor":
        """Return `attended` or `kept` of a batch's texts, (texts, length); padding is neither."""
        import numpy as np
        import torch

        found = np.zeros((len(batch.positions), batch.length), dtype=bool)
        for row, position in enumerate(batch.positions):
            start, end = self.starts[position], self.starts[position + 1]
            found[row, : end - start] = which[start:end]
        return torch.from_numpy(found)


class MarkedTokenizer(Tokenizer):
    """A tokenizer that puts a marker in behind a text's first token."""

    def __init__(self, tokenizer: Any, prompt: str, max_length: int | None, marker: int) -> None:
        """Leave room for the marker. Raises UsageError where nothing else has any."""
        super().__init__(tokenizer, prompt, max_length and max_length - 1)
        self._marker = marker

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Return the tokens of texts, each with its marker."""
        import numpy as np

        found = super().__call__(texts)
        places = found.starts[:-1] + np.minimum(found.lengths, 1)
        types = None if found.types is None else np.insert(found.types, places, 0)
        return Tokens(np.insert(found.ids, places, self._marker), types, found.starts + np.arange(len(found.starts)))


def marker_id(tokenizer: Any, marker: str) -> int:
    """Return the token that a marker is. Raises UsageError where the tokenizer has none."""
    found = tokenizer.convert_tokens_to_ids(marker)
    if found is None or found == tokenizer.unk_token_id:
        raise UsageError(f"{tokenizer.name_or_path}: the tokenizer has no token {marker!r}, the marker of its texts")
    return int(found)


class LateCompute(Compute):
    """What happens on the device: hidden states through a head, and the tokens that are kept."""

    def __init__(self, late: LateInteraction, plan: EncoderPlan, loaded: Any, *rest: Any) -> None:
        """Take what `Compute` takes. Raises UsageError for a head of another size than the model's."""
        import torch

        super().__init__(plan, loaded, *rest)
        size = loaded.config.get_text_config().hidden_size
        self.late_head = late.head(size)
        try:
            self.late_dimension = int(self.late_head(torch.zeros(1, size)).shape[1])
        except RuntimeError as error:
            raise UsageError(
                f"the head of token vectors does not take {size} numbers, which the model has: {first_line(error)}"
            ) from None

    def project(self, hidden: "torch.Tensor") -> "torch.Tensor":
        """Return the token vectors (..., dimensions) of hidden states, float32, whatever type the model computes in."""
        self.late_head = self.late_head.to(hidden.device)
        found: torch.Tensor = self.late_head(hidden.float())
        return found

    def _batch(self, tokens: Tokens, batch: Batch, excluded: int, timings: Timings, forward: Forward) -> "torch.Tensor":
        """Compute one batch: the vectors (t, dimensions) of its texts' kept tokens, one text after the other."""
        assert isinstance(tokens, LateTokens)  # noqa: S101  what the encoder's tokenizers make
        with timings.stage("collate"):
            placed = self._platform.place(late_inputs(tokens, batch, self._padding_id, self.types))
        with timings.stage("forward"):
            hidden = hidden_states(forward(placed), (batch.rows, batch.length, self.width), self._platform)
            self._platform.observe()
        with timings.stage("pool"):
            hidden = hidden if self._platform.runs_torch else hidden.cpu()
            kept = tokens.flags(tokens.kept, batch).to(hidden.device)
            vectors = self.project(hidden[: len(kept)])[kept]
        timings.texts += len(batch.positions)
        timings.tokens += int(tokens.lengths[batch.positions].sum())
        timings.padded_tokens += batch.rows * batch.length
        timings.batches += 1
        return vectors

    def _as_given(self, texts: Tokens, tokens: Tokens) -> LateTokens:
        import numpy as np

        found, every = super()._as_given(texts, tokens), np.ones(len(texts.ids), dtype=bool)
        return LateTokens(found.ids, found.types, found.starts, every, every)

    def _vectors_of(self, tokens: Tokens, position: int) -> int:
        assert isinstance(tokens, LateTokens)  # noqa: S101  what the encoder's tokenizers make
        return int(tokens.kept[tokens.starts[position] : tokens.starts[position + 1]].sum())

    def token_vectors(self, tokens: LateTokens, budget: int, timings: Timings) -> TokenVectors:
        """Return the vectors of one chunk's texts, in their order."""
        import numpy as np

        starts = np.concatenate([[0], np.cumsum(tokens.kept)])[tokens.starts]
        result = np.empty((int(starts[-1]), self.late_dimension), dtype=np.float32)
        every = list(self._batches(tokens, budget))
        computed = self._computed(tokens, every, 0, timings, len(every))
        with self._lock, self._inference(), contextlib.closing(computed):
            found = list(computed)
            with timings.stage("pool"):
                for batch, vectors in found:
                    rows = np.concatenate([np.arange(starts[at], starts[at + 1]) for at in batch.positions])
                    result[rows] = vectors.cpu().numpy()
        return TokenVectors(result, starts)


def late_inputs(tokens: LateTokens, batch: Batch, padding_id: int, types: bool) -> "dict[str, torch.Tensor]":
    """Return a batch as a model takes it, with a mask that hides what is not attended to. See `collate`."""
    inputs = collate(tokens, batch, padding_id, types)
    inputs["attention_mask"][: len(batch.positions)] = tokens.flags(tokens.attended, batch).long()
    return inputs


class LateEncoder(Encoder):
    """An encoder whose texts have a vector a token. `late` is how; what `Encoder` says of vectors holds for each token.

    `tokenise` and `hidden_states` are as of any encoder, markers included; what queries are filled up with has part in
    their token vectors alone.
    """

    _compute: LateCompute

    def __init__(self, plan: EncoderPlan, late: LateInteraction | None = None) -> None:
        """Load the model. `late` is the folder's own where it is not given. Raises UsageError and PlatformError."""
        found = late or plan.folder.late
        if found is None:
            raise UsageError(f"{plan.folder.path}: is no late-interaction model")
        self.late = found
        super().__init__(plan)
        import numpy as np

        self.skipped = np.array(found.skipped_ids(self.tokenizer), dtype=np.int64)  # tokens without vectors
        self._fill = found.fill_id(self.tokenizer) if found.expand else 0

    def _tokenizer(self, tokenizer: Any, role: Role) -> Tokenizer:
        marker = self.late.markers[role]
        if marker is None:
            return super()._tokenizer(tokenizer, role)
        words = (self.recipe.prompt(role) or "", self.recipe.max_length(role))
        return MarkedTokenizer(tokenizer, *words, marker_id(tokenizer, marker))

    def _compute_class(self, loaded: Any) -> Callable[..., Compute]:
        attention = str(loaded.config._attn_implementation)
        if self.late.expand and not self.late.attend and "flash" in attention:
            raise UsageError(f"--model:attn_implementation {attention}: drops tokens that nobody attends to, and a "
                             "late-interaction model needs their vectors; take sdpa")  # fmt: skip
        return partial(LateCompute, self.late)

    @property
    def dimension(self) -> int:
        """How many numbers a token's vector has."""
        return self._compute.late_dimension

    def key(self, role: Role) -> dict[str, Any]:
        """Return everything that changes a vector, as JSON values by name."""
        return {**super().key(role), "late_interaction": self.late.facts()}

    def recipe_facts(self) -> dict[str, Any]:
        """Return how texts become vectors, for the fingerprint."""
        return {**super().recipe_facts(), "late_interaction": self.late.facts()}

    @property
    def query_length(self) -> int:
        """How many tokens queries are filled up to."""
        known = (self.late.query_length, self.recipe.query_max_length)
        return min(length for length in known if length is not None)

    def late_tokens(self, tokens: Tokens, role: Role) -> LateTokens:
        """Return a role's tokens as their vectors need them: queries filled up, and passages' words marked to skip."""
        import numpy as np

        kept = np.ones(len(tokens.ids), dtype=bool) if role == "query" else ~np.isin(tokens.ids, self.skipped)
        if role == "passage" or not self.late.expand:
            return LateTokens(tokens.ids, tokens.types, tokens.starts, np.ones(len(tokens.ids), dtype=bool), kept)
        length = self.query_length
        places = tokens.starts[:-1, None] + np.arange(length)
        places[:, -1] = np.where(tokens.lengths > length, tokens.starts[1:] - 1, places[:, -1])  # the last stays last
        known = np.arange(length) < tokens.lengths[:, None]
        ids, types = np.full(known.shape, self._fill), np.zeros(known.shape, dtype=np.int64)
        ids[known] = tokens.ids[places[known]]
        if tokens.types is not None:
            types[known] = tokens.types[places[known]]
        starts = np.arange(len(known) + 1) * length
        attended, every = known.ravel() | self.late.attend, np.ones(known.size, dtype=bool)
        return LateTokens(ids.ravel(), None if tokens.types is None else types.ravel(), starts, attended, every)

    def inputs(self, tokens: LateTokens, batch: Batch) -> "dict[str, torch.Tensor]":
        """Return one batch as the model takes it, on the host."""
        return late_inputs(tokens, batch, self._compute._padding_id, self._compute.types)

    def project(self, hidden: "torch.Tensor") -> "torch.Tensor":
        """Return the token vectors (..., dimensions) of hidden states, float32."""
        return self._compute.project(hidden)

    @property
    def head(self) -> Any:
        """What makes token vectors out of hidden states: a torch module with its `steps`."""
        return self._compute.late_head

    def _joined(self, parts: Sequence[TokenVectors]) -> TokenVectors:  # type: ignore[override]
        return TokenVectors.joined(parts)

    def _one_a_text(self, vectors: TokenVectors) -> "np.ndarray":  # type: ignore[override]
        return vectors.means()

    def _tokenised(self, texts: Sequence[str], role: Role) -> tuple[Sequence[str], Tokens, Timings]:
        texts, tokens, timings = super()._tokenised(texts, role)
        with timings.stage("tokenise"):
            return texts, self.late_tokens(tokens, role), timings

    def _search_budget(self, tokens: Tokens, role: Role) -> int:
        late = tokens if isinstance(tokens, LateTokens) else self.late_tokens(tokens, role)
        return super()._search_budget(late, role)

    def _vectors(  # type: ignore[override]
        self, texts: Sequence[str], tokens: LateTokens, timings: Timings, role: Role, budget: int | None = None,
        kept: Kept | None = None,
    ) -> TokenVectors:  # fmt: skip
        known = self.budget(role)
        budget = budget or (known.tokens if known else self._search_budget(tokens, role))
        found = self._compute.token_vectors(tokens, budget, timings)
        self.timings.include(timings)
        for bad, why in (
            (found.first_text_without_number(), NO_NUMBER),
            (found.first_text_of_nothing(), ZERO),
        ):
            if bad is not None:
                raise BadVectorError(bad, texts[bad], why.format(self.platform.title()))
        return found
