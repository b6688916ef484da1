"""Texts to vectors on any platform: tokenise beside the compute, forward, pool, and what the model's folder adds."""

import copy
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from fmbench import host, model, torch_settings
from fmbench.backend import UNPADDED
from fmbench.errors import UsageError
from fmbench.machine import hardware_of
from fmbench.options import Arguments

from .bad_vectors import check_differ, check_finite, check_some
from .batches import Batch
from .budget import Budget
from .compute import Compute, Kept, collate, hidden_states
from .fixed_lengths import fixed_lengths
from .loading import identity, load
from .plan import EncoderPlan
from .recipe import POOLINGS, ROLES, Recipe, Role
from .second_look import Computed, SecondLook
from .steps import Normalise
from .threads import ahead
from .timings import Timings
from .tokens import Tokenizer, Tokens, resolved
from .unpadded import UnpaddedCompute

if TYPE_CHECKING:
    import numpy as np
    import torch

CHUNK = 512  # texts that are tokenised, sorted and batched together
Tokenised = tuple[Sequence[str], Tokens, Timings]  # a chunk, and what its tokens took
AHEAD = 2  # chunks that are tokenised before they are needed


class Encoder:
    """A model on a platform, and how texts become vectors there. May be called from several threads.

    `recipe` is how, nothing left open; `platform` and `facts` (of the model) are for the record; `similarity` is the
    one that the folder publishes, cosine by default; `timings` adds up over all calls. `sparse`: whether a vector has a
    number a word.
    """

    sparse = False

    def __init__(self, plan: EncoderPlan) -> None:
        """Set the platform up and load the model. Raises UsageError and PlatformError."""
        plan.platform.setup(plan.arguments)
        arguments = plan.arguments.evaluated()
        torch_settings.check_compile(arguments.options["compile"])
        torch_settings.Settings([(arguments.options, arguments.threads)]).activate(0)
        tokenizer, loaded, limit = load(plan, arguments, pooler=plan.folder.late is None)
        self.recipe = resolved(plan, tokenizer, limit)
        self._tokenizers = {role: self._tokenizer(tokenizer, role) for role in ROLES}
        drops = (Normalise,) if self.recipe.normalise is False else ()
        steps = [step for step in plan.folder.steps if not isinstance(step, drops)]
        lengths = fixed_lengths(plan, limit, arguments, self.recipe)
        self._compute = self._compute_class(loaded)(plan, loaded, arguments, self.recipe, steps, tokenizer, lengths)
        self._second_look = SecondLook(self._compute, plan.platform)
        self.arguments = arguments
        self.steps = tuple(steps)  # what the folder's further modules do with pooled vectors
        self.platform = plan.platform
        self.facts = model.facts(loaded, plan.source, arguments, limit, plan.folder.path)
        self._identity = identity(plan, arguments, self.facts, tokenizer, steps)
        self.module: Any = loaded  # where the platform put it, before any compiler
        self.tokenizer = tokenizer
        self.name = model.published_name(arguments)
        self.similarity, self.sparse = plan.folder.similarity, plan.folder.sparse is not None
        self.prompts = dict(plan.folder.prompts)  # all that the folder publishes, by name
        self.default_prompt = self.prompts.get(plan.folder.default_prompt or "", "")
        self.timings = Timings()

    @classmethod
    def load(cls, arguments: Arguments, recipe: Recipe | None = None) -> "Encoder":
        """Check a command line and load its model. Raises UsageError and PlatformError."""
        return cls(EncoderPlan.of(arguments, recipe))

    def _tokenizer(self, tokenizer: Any, role: Role) -> Tokenizer:
        """Return what makes tokens of a role's texts."""
        return Tokenizer(tokenizer, self.recipe.prompt(role) or "", self.recipe.max_length(role))

    def _compute_class(self, loaded: Any) -> Callable[..., Compute]:
        """Return what makes vectors of tokens."""
        unpadded = loaded.config._attn_implementation == UNPADDED
        if unpadded and self.recipe.pooling and self.recipe.pooling[0] not in POOLINGS:
            raise UsageError(f"--model:attn_implementation {UNPADDED}: is not for sparse models; take sdpa")
        return UnpaddedCompute if unpadded else Compute

    def with_prompt(self, prompt: str) -> "Encoder":
        """Return this encoder, its model and timings shared, with one prompt before all texts. Raises UsageError."""
        found = copy.copy(self)
        found.recipe = dataclasses.replace(self.recipe, query_prompt=prompt, passage_prompt=prompt)
        found._tokenizers = {
            role: Tokenizer(own.origin, prompt, own.max_length, own.special_tokens)
            for role, own in self._tokenizers.items()
        }
        return found

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        return self._compute.dimension

    @property
    def hidden_size(self) -> int:
        """How many numbers the model has a token."""
        return int(self.module.config.get_text_config().hidden_size)

    def budget(self, role: Role) -> Budget | None:
        """Return the token budget of a role's batches; None until it is measured where that was asked for."""
        return self._compute.budgets.get(role)

    def settle(self, texts: Sequence[str], role: Role) -> int:
        """Return a role's token budget; where it is to be measured and is not yet, measure it on these texts."""
        known = self.budget(role)
        return known.tokens if known else self._search_budget(self._tokenizers[role](texts), role)

    def share_budget(self, role: Role) -> None:
        """Give batches of every role the token budget of one, which is settled: nothing is measured any more."""
        self._compute.budgets = dict.fromkeys(ROLES, self._compute.budgets[role])

    def _search_budget(self, tokens: Tokens, role: Role) -> int:
        """Return a role's token budget, measured on these texts unless that was done on this machine before."""
        return self._compute.search_budget(tokens, role, partial(self._budget_key, role), self.timings)

    def _budget_key(self, role: Role) -> dict[str, Any]:
        """Return what decides a role's budget, beside texts: that takes milliseconds."""
        import torch

        here = {**host.host_facts(), **self.platform.ask_facts()}
        place = {"machine": hardware_of([here]), "usable": here["cpus_usable"], "threads": torch.get_num_threads()}
        return {**self.key(role), **place}

    def tokenise(self, texts: Sequence[str], role: Role = "passage") -> Tokens:
        """Return the tokens of texts, each after its role's prompt."""
        return self._tokenizers[role](texts)

    def rules(self, role: Role) -> str:
        """Return how texts of a role become tokens, cut to its length, as JSON that `tokenizers.Tokenizer` reads."""
        return str(self._tokenizers[role].rules.to_str())

    def encode_tokens(self, tokens: Tokens, role: Role = "passage", first: int = 0) -> "np.ndarray":
        """Return the vectors of what `tokenise` gave, float32 of shape (n, d). Raises BadVectorError.

        Messages have numbers for the texts, from `first` on. When to look at them again is the caller's to say.
        """
        names, timings = [f"text {first + place}" for place in range(len(tokens.lengths))], Timings()
        vectors = self._vectors(names, tokens, timings, role)
        self._remember(names, tokens, vectors, timings, role)
        return vectors

    def prompt_length(self, role: Role) -> int:
        """Return how many tokens a role's prompt takes."""
        return self._tokenizers[role].prompt_length

    def collate(self, tokens: Tokens, batch: Batch) -> "dict[str, torch.Tensor]":
        """Return one batch as the model takes it, on the host."""
        return collate(tokens, batch, self._compute._padding_id, self._compute.types)

    def hidden_states(self, inputs: "dict[str, torch.Tensor]") -> "torch.Tensor":
        """Return the last hidden states (rows, tokens, d) of a batch, where the device left them."""
        output = self._compute._forward(self.platform.place(inputs))
        rows, length = inputs["input_ids"].shape
        return hidden_states(output, (rows, length, self._compute.width), self.platform)

    def finish(self, pooled: "torch.Tensor") -> "torch.Tensor":
        """Return what the further modules make of pooled vectors (n, d)."""
        return self._compute._finish(pooled)

    def key(self, role: Role) -> dict[str, Any]:
        """Return everything that changes a vector, as JSON values by name."""
        said = dataclasses.asdict(self.recipe)
        shared = {name: said[name] for name in ("include_prompt", "normalise", "truncate_dim")}
        mine = {"prompt": self.recipe.prompt(role), "max_length": self.recipe.max_length(role)}
        return {**self._identity, **mine, "pooling": list(said["pooling"]), **shared}

    def recipe_facts(self) -> dict[str, Any]:
        """Return how texts become vectors, for the fingerprint."""
        said = {name: value for name, value in vars(self.recipe).items() if name not in ("tokens_per_batch", "lengths")}
        return {"recipe": {**said, "pooling": list(self.recipe.pooling or ())}}

    def encode(self, texts: Sequence[str], role: Role = "passage", once: bool = False) -> "np.ndarray":
        """Return one vector a text, float32 of shape (n, d), in the order of the texts.

        `once`: no text is computed a second time to see whether it has the same vector, for whoever times each call, or
        counts energy too. Of one text that is done now and then, beside those before it.
        Raises BadVectorError for a vector that says nothing of its text, and PlatformError for one of another text.
        """
        if isinstance(texts, str):
            raise TypeError("one text is a list of one text")
        if len(texts) <= CHUNK:  # nothing to be ahead of: a thread would cost more than one text's tokens
            texts, tokens, timings = self._tokenised(texts, role)
            vectors = self._vectors(texts, tokens, timings, role)
            if not once:
                self._remember(texts, tokens, vectors, timings, role)
                self.look_again(last=len(texts) > 1)
            return vectors
        chunks = [texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK)]
        return self._joined(list(self.encode_chunks(chunks, role, once=once)))

    def _joined(self, parts: "Sequence[np.ndarray]") -> "np.ndarray":
        """Return the vectors of several chunks in one."""
        import numpy as np

        return np.concatenate(parts)

    def encode_chunks(
        self,
        chunks: Iterable[Sequence[str]],
        role: Role,
        tokens_per_batch: int | None = None,
        kept: Iterator[Kept] | None = None,
        once: bool = False,
    ) -> "Iterator[np.ndarray]":
        """Yield the vectors of each chunk of texts, float32 of shape (n, d).

        Chunks are read and tokenised in a thread, while the one before is computed. Batches never cross a chunk, so
        that its vectors do not depend, to the last bit, on the chunks around it; they do on `tokens_per_batch`, which
        is the encoder's own where it is not given. `kept` yields for each chunk what is known of it, and takes what
        is computed. A chunk is looked at again before it is yielded, unless `once` is said (see `encode`).
        Raises BadVectorError and PlatformError.
        """
        tokenised = ahead(chunks, lambda texts: self._tokenised(texts, role), AHEAD)
        item = waited_for(tokenised)
        while item is not None:
            texts, found, timings = item
            part = next(kept) if kept is not None else None
            vectors = self._vectors(texts, found, timings, role, tokens_per_batch, part)
            failed: Exception | None = None
            try:
                item = waited_for(tokenised)
            except Exception as error:  # this chunk is whole, and comes first
                item, failed = None, error
            if not once:
                self._remember(texts, found, vectors, timings, role, tokens_per_batch)
                self.look_again(last=item is None)
            yield vectors
            if failed is not None:
                raise failed

    def _tokenised(self, texts: Sequence[str], role: Role) -> Tokenised:
        """Return a chunk of texts, its tokens, and what they took."""
        timings = Timings(empty_texts=sum(not text.strip() for text in texts))
        with timings.stage("tokenise"):
            found = self._tokenizers[role](texts)
        return texts, found, timings

    def _remember(
        self, texts: Sequence[str], tokens: Tokens, vectors: "np.ndarray", timings: Timings, role: Role,
        budget: int | None = None,
    ) -> None:  # fmt: skip
        """Note what was computed of a chunk, to be looked at again; nothing where all of it was known."""
        if not timings.padded_tokens:
            return
        known = self.budget(role)
        budget = budget or (known.tokens if known else self.platform.tokens_per_batch)
        batches = list(self._compute._batches(tokens, budget))
        part = Computed(texts, tokens, self._one_a_text(vectors), batches, self._excluded(role))
        self._second_look.remember(part, timings.padded_tokens)

    @property
    def look_is_due(self) -> bool:
        """Whether so much was encoded since the last look that another one takes half a percent of the time at most."""
        return self._second_look.due

    def look_again(self, last: bool = True) -> None:
        """See whether the platform still computes what it computed last, at the `last` texts or where that is due.

        Two of the texts are computed once more. Raises PlatformError.
        """
        if last or self.look_is_due:
            start = time.perf_counter()
            seen = self._second_look.take()
            name = "look_again" if seen else "looked_in_vain"
            self.timings.include(Timings(phases={name: time.perf_counter() - start}))

    def _one_a_text(self, vectors: "np.ndarray") -> "np.ndarray":
        """Return a vector of each text of a chunk (n, d), to tell them apart by."""
        return vectors

    def _excluded(self, role: Role) -> int:
        """Return how many of a text's first tokens pooling leaves out."""
        return 0 if self.recipe.include_prompt is not False else self.prompt_length(role)

    def _vectors(
        self, texts: Sequence[str], tokens: Tokens, timings: Timings, role: Role, budget: int | None = None,
        kept: Kept | None = None,
    ) -> "np.ndarray":  # fmt: skip
        """Return the vectors of a chunk. Raises BadVectorError."""
        known = self.budget(role)
        budget = budget or (known.tokens if known else self._search_budget(tokens, role))
        excluded = self._excluded(role)
        vectors = self._compute.vectors(tokens, budget, excluded, timings, kept)
        self.timings.include(timings)
        check_finite(vectors, texts, self.platform.title)
        if not self.sparse:  # there, no word of a text need be one that counts
            check_some(vectors, texts, tokens.lengths - excluded, self.platform)
            check_differ(vectors, texts, tokens, self.platform)
        return vectors


def waited_for(
    tokenised: Iterator[tuple[Sequence[str], Tokens, Timings]],
) -> tuple[Sequence[str], Tokens, Timings] | None:
    """Return the next chunk of texts, with what waiting for it took among its timings; None after the last."""
    waited = Timings()
    with waited.stage("wait"):
        item = next(tokenised, None)
    if item is not None:
        item[2].include(waited)
    return item
