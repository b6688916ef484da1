"""How texts become vectors: what a model's folder publishes, and what the command line says instead."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

Role = Literal["query", "passage"]
ROLES: tuple[Role, ...] = ("query", "passage")

POOLINGS = ("cls", "mean", "last", "max")
AUTO = "auto"  # the token budget that a short measured search finds


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What the command line says of the vectors. None leaves it to the model's folder.

    `Encoder.recipe` is the same with nothing left open, but for `truncate_dim` and the maximum lengths: there None
    means no limit, and for `normalise` it means that only the folder's own modules normalise.
    """

    pooling: tuple[str, ...] | None = None  # several are concatenated
    normalise: bool | None = None  # True: in the end, after truncating; False: not even where the folder says so
    truncate_dim: int | None = None  # the first dimensions only (Matryoshka), before `normalise`
    query_prompt: str | None = None
    passage_prompt: str | None = None
    query_max_length: int | None = None  # tokens, prompt and special tokens included
    passage_max_length: int | None = None
    include_prompt: bool | None = None  # whether the prompt's tokens are pooled
    tokens_per_batch: int | Literal["auto"] | None = None  # padding included; None: the platform's own
    lengths: tuple[int, ...] | None = None  # where shapes are fixed: the lengths to pad to

    def prompt(self, role: Role) -> str | None:
        """Return what stands before each text of a role."""
        return self.query_prompt if role == "query" else self.passage_prompt

    def max_length(self, role: Role) -> int | None:
        """Return how many tokens of a text of a role are looked at."""
        return self.query_max_length if role == "query" else self.passage_max_length

    def over(self, published: "Recipe") -> "Recipe":
        """Return this recipe with what it leaves open taken from another one."""
        said = {name: value for name, value in vars(self).items() if value is not None}
        return dataclasses.replace(published, **said)
