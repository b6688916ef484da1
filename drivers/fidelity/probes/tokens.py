"""Probe `tokens`: what the tokenizer makes of the texts."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fmbench.encoder import CHUNK, Role

from ..context import Context
from ..probe import Probe

if TYPE_CHECKING:
    import torch

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
