"""Probe `lse`: local sample embeddings, over many batch sizes, in mixed precision."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from ..context import Context
from ..probe import Probe
from ..sentence import autocast

if TYPE_CHECKING:
    import torch

MOST = 256
SIZES = (64, 32, 29, 16, 13, 8, 7, 5, 3, 2, 1)  # a kernel is chosen by shape: some drift at some sizes only


class LocalSampleEmbeddings(Probe):
    """Token vectors of a seeded sample of the passages, encoded in batches of many sizes under autocast."""

    name = "lse"
    summary = f"token vectors of a sample of at most {MOST} passages, in batches of {SIZES[0]} down to 1"
    options: ClassVar[dict[str, Any]] = {"most": MOST, "sizes": list(SIZES), "dtype": "bfloat16"}

    def run(self, context: Context) -> "Iterator[tuple[str, torch.Tensor]]":
        """Yield which passages, and the vectors of each batch under its size."""
        import torch

        count = len(context.subject.passages)
        wanted = min(MOST, count, 1 + int(16 * (120 * count) ** 0.5))
        chosen = torch.randperm(count, generator=context.generator())[:wanted].sort().values
        yield "sample", chosen
        place, turn = 0, 0
        while place < wanted:
            size = min(SIZES[turn % len(SIZES)], wanted - place)
            texts = [context.subject.passages[at] for at in chosen[place : place + size].tolist()]
            inputs = context.one_batch(texts)
            with autocast(context):
                vectors = context.project(context.encoder.hidden_states(inputs))
            yield f"batch.{turn}.of_{size}", vectors[context.kept(inputs).to(vectors.device)]
            place, turn = place + size, turn + 1
