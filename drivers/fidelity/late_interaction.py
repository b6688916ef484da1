"""Which token vectors a capture holds: a late-interaction model's own, or those of a seeded random head."""

from dataclasses import dataclass
from pathlib import Path
from string import punctuation
from typing import TYPE_CHECKING, Any

from fmbench.digest import digest_of_json
from fmbench.encoder import late_folder
from fmbench.encoder.late_folder import LateInteraction
from fmbench.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

DIMENSIONS = 96
QUERY_LENGTH = 32


@dataclass(frozen=True)
class SeededHead(LateInteraction):
    """Token vectors of a model that has none of its own: a linear layer of seeded random weights, no markers."""

    seed: int = 0

    def head(self, hidden_size: int) -> "nn.Module":
        """Return a linear layer that keeps lengths on average, and then the division by the length."""
        import torch

        from fmbench.encoder.network import Head, Linear, UnitLength

        generator = torch.Generator().manual_seed(self.seed)
        found = torch.nn.Linear(hidden_size, DIMENSIONS, bias=False)
        found.weight.data = torch.randn(DIMENSIONS, hidden_size, generator=generator) / DIMENSIONS**0.5
        return Head([Linear(found), UnitLength()])

    def head_key(self) -> str:
        """Return the seed."""
        return f"seed {self.seed}"

    def fill_id(self, tokenizer: Any) -> int:
        """Return the token that queries are filled up with: padding where there is no mask token."""
        mask: int | None = tokenizer.mask_token_id
        return mask if mask is not None else tokenizer.pad_token_id or 0


def seeded_head(seed: int) -> SeededHead:
    """Return the token vectors of a model that has none of its own; all of a query's 32 tokens see each other."""
    return SeededHead(
        origin="nothing", markers={"query": None, "passage": None}, expand=True, attend=True, fill=None,
        skipped=tuple(punctuation), steps=(), query_length=QUERY_LENGTH, seed=seed,
    )  # fmt: skip


def late_of(folder: late_folder.Folder, colbert: Path | None) -> LateInteraction | None:
    """Return how a model's token vectors are made by its folder, or by another one that was named; None for neither.

    Raises UsageError where the other one is no late-interaction model.
    """
    if colbert is None:
        return folder.late
    if not colbert.is_dir():
        raise UsageError(f"--colbert {colbert}: no such folder; name that of a ColBERT checkpoint")
    found = late_folder.read(colbert)
    if found is None:
        raise UsageError(f"--colbert {colbert}: has no {late_folder.METADATA}; it is no ColBERT checkpoint")
    return found.late


def head_digest(late: LateInteraction | None) -> str | None:
    """Return what tells a checkpoint's token vectors from others beside its model's weights; None without one."""
    return None if late is None else digest_of_json(late.facts())
