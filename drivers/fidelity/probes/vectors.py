"""Probes of the text's way to a ranking: tokens, vectors, batches, an index, a search; and a few steps of training."""

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from fmbench.encoder import CHUNK, Role
from fmbench.encoder.pooling import pool

from ..context import Context
from ..indexes import BLOCK, DEPTH, KINDS, NAMES, OPTIONS, ROWS, SEARCH_OPTIONS, index_of, rank_exactly, rank_in
from ..layers import SENTENCE, autocast, weight_digests
from ..probe import Probe

if TYPE_CHECKING:
    import torch

    from ..probe import Output

ROLES: tuple[Role, ...] = ("passage", "query")


class Tokens(Probe):
    """Token ids of all texts, one after the other, and how many each text has."""

    name = "tokens"
    summary = "token ids of every passage and query, and their number"

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield ids and lengths, a chunk of texts at a time."""
        import torch

        for role in ROLES:
            texts = context.texts(role)
            for start in range(0, len(texts), CHUNK):
                tokens = context.encoder.tokenise(texts[start : start + CHUNK], role)
                yield f"{role}.ids", torch.from_numpy(tokens.ids)
                yield f"{role}.lengths", torch.from_numpy(tokens.lengths)


class Pooled(Probe):
    """The pooled vectors of all texts, float32."""

    name = "pooled"
    summary = "one vector a text, as pooling leaves it"

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield passages and queries."""
        yield "passage", context.pooled("passage")
        yield "query", context.pooled("query")


class Normalised(Probe):
    """The vectors of all texts after the folder's further modules, of length 1."""

    name = "normalised"
    summary = "one vector a text, through the folder's further modules, of length 1"

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield passages and queries."""
        yield "passage", context.normalised("passage")
        yield "query", context.normalised("query")


MOST = 256
SAMPLE_SIZES = (64, 32, 29, 16, 13, 8, 7, 5, 3, 2, 1)  # a kernel is chosen by shape: some drift at some sizes only


class LocalSampleEmbeddings(Probe):
    """Token vectors of a seeded sample of the passages, encoded in batches of many sizes under autocast."""

    name = "lse"
    summary = f"token vectors of a sample of at most {MOST} passages, in batches of {SAMPLE_SIZES[0]} down to 1"
    options: ClassVar[dict[str, Any]] = {"most": MOST, "sizes": list(SAMPLE_SIZES), "dtype": "bfloat16"}

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield which passages, and the vectors of each batch under its size."""
        import torch

        count = len(context.subject.passages)
        wanted = min(MOST, count, 1 + int(16 * (120 * count) ** 0.5))
        chosen = torch.randperm(count, generator=context.generator())[:wanted].sort().values
        yield "sample", chosen
        place, turn = 0, 0
        while place < wanted:
            size = min(SAMPLE_SIZES[turn % len(SAMPLE_SIZES)], wanted - place)
            texts = [context.subject.passages[at] for at in chosen[place : place + size].tolist()]
            inputs = context.one_batch(texts)
            with autocast(context):
                vectors = context.project(context.encoder.hidden_states(inputs))
            yield f"batch.{turn}.of_{size}", vectors[context.kept(inputs).to(vectors.device)]
            place, turn = place + size, turn + 1


BATCH_SIZES = (1, 2, 7, 32)
PADDING = 8  # tokens


class Batch(Probe):
    """One text's last hidden states at several batch sizes and padded, and how far each is from the text alone."""

    name = "batch"
    summary = "one text at batch 1, 2, 7, 32 and padded: hidden states, and the distance from batch 1"
    options: ClassVar[dict[str, Any]] = {"sizes": list(BATCH_SIZES), "padding": PADDING}

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield the first row of each batch, and last the largest differences in the order of the cases."""
        import torch

        alone = context.one_batch([SENTENCE])
        tokens = alone["input_ids"].shape[1]
        limit = context.encoder.recipe.passage_max_length or tokens + PADDING
        padded = context.one_batch([SENTENCE], max(tokens, min(tokens + PADDING, limit)))
        cases = {f"size.{size}": {name: part.expand(size, -1) for name, part in alone.items()} for size in BATCH_SIZES}
        rows: list[torch.Tensor] = []
        for name, inputs in {**cases, "padded": padded}.items():
            kept = inputs["attention_mask"][0].bool()
            row = context.encoder.hidden_states({key: part.contiguous() for key, part in inputs.items()})[0]
            rows.append(row[kept.to(row.device)].cpu())
            yield name, rows[-1]
        yield "distance_from_one", torch.stack([(row - rows[0]).abs().max().float() for row in rows])


class TokenVectors(Probe):
    """The token vectors of all passages, as the index of tokens takes them."""

    name = "token_vectors"
    summary = "a vector a token of every passage: what `bisect --index` puts into another run"
    default = False  # takes some 200 bytes a token

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield them, a block of tokens at a time."""
        import torch

        vectors = context.token_vectors.vectors
        for start in range(0, len(vectors), ROWS):
            yield "passage", torch.from_numpy(vectors[start : start + ROWS].copy())


class Index(Probe):
    """Every part of both indexes, in the order that they are built."""

    name = "index"
    summary = "a residual-compressed index (k-means, codes, packed residuals, inverted lists), of tokens and of texts"
    options = OPTIONS

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield the parts of each."""
        for kind in KINDS:
            index = index_of(context, kind)
            for name in NAMES:
                yield f"{kind}.{name}", index[name]


class Search(Probe):
    """Rankings of all queries in both indexes: by MaxSim over token vectors, and by one vector a text."""

    name = "search"
    summary = "the ten best passages of each query, in each index"
    options: ClassVar[dict[str, Any]] = {**OPTIONS, **SEARCH_OPTIONS, "depth": DEPTH, "ignore_identical_ids": True}

    def run(self, context: Context) -> "Iterator[Output]":
        """Yield a ranking an index."""
        for kind in KINDS:
            yield f"{kind}.index", rank_in(context, kind, index_of(context, kind))


class Exact(Probe):
    """Rankings of all queries by all vectors as they are: by MaxSim over token vectors, and by one vector a text."""

    name = "exact"
    summary = "the ten best passages of each query, exactly"
    options: ClassVar[dict[str, Any]] = {"depth": DEPTH, "block": BLOCK, "ignore_identical_ids": True}

    def run(self, context: Context) -> "Iterator[Output]":
        """Yield a ranking a kind of vectors."""
        for kind in KINDS:
            yield kind, rank_exactly(context, kind)


STEPS = 10
BATCH = 8
RATE = 1e-5
TEMPERATURE = 0.05


class Train(Probe):
    """AdamW on a copy of the model: each passage's first words are to find the passage among those of its batch."""

    name = "train"
    summary = f"{STEPS} seeded training steps on a copy of the model: loss curve, digests of the final weights"
    options: ClassVar[dict[str, Any]] = {"steps": STEPS, "batch": BATCH, "rate": RATE, "temperature": TEMPERATURE}
    default = False  # takes a second copy of the model, and its gradients

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield the loss of each step, then the digests."""
        import torch

        model = copy.deepcopy(context.model)
        optimiser = torch.optim.AdamW(model.parameters(), lr=RATE)
        generator = context.generator()
        for _ in range(STEPS):
            chosen = torch.randint(0, len(context.subject.passages), (BATCH,), generator=generator).tolist()
            with torch.enable_grad():
                loss = self.loss(context, model, [context.subject.passages[at] for at in chosen])
                loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            yield "loss", loss
        yield "weights", weight_digests(model)

    def loss(self, context: Context, model: "torch.nn.Module", passages: list[str]) -> "torch.Tensor":
        """Return the contrastive loss (InfoNCE) of passages and their beginnings, in mean-pooled vectors."""
        import torch
        from torch.nn.functional import cross_entropy, normalize

        sides = []
        for texts in ([" ".join(text.split()[:8]) for text in passages], passages):
            inputs = context.place(context.one_batch(texts))
            hidden = model(**inputs).last_hidden_state
            sides.append(normalize(pool(hidden, inputs["attention_mask"], ("mean",)), dim=-1))
        products = sides[0] @ sides[1].T / TEMPERATURE
        return cross_entropy(products, torch.arange(len(passages), device=products.device))
