"""How texts become vectors: what a model's folder publishes, and what the command line says instead."""

import argparse
import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from fmbench.parsing import Parser, positive, sizes

Role = Literal["query", "passage"]
ROLES: tuple[Role, ...] = ("query", "passage")

POOLINGS = ("cls", "mean", "last", "max")
AUTO = "auto"  # the token budget that a short measured search finds
FLAGS = {"yes": True, "no": False, "True": True, "False": False}  # the latter two as Trove writes them
NAMES = {"query_max_len": "query_max_length", "passage_max_len": "passage_max_length", "normalize": "normalise"}


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


def add_encoder_arguments(parser: Parser) -> None:
    """Add how texts become vectors; what is not given is as a sentence-transformers folder says."""
    group = parser.add_argument_group("how to encode (what is not given is as the model's folder publishes it)")
    group.add_argument(
        "--pooling",
        type=poolings,
        metavar="NAME",
        help=f"{', '.join(POOLINGS)}; a comma list joins several",
    )
    group.add_argument("--normalize", type=flag, metavar="yes|no", help="make all vectors one long, after truncating")
    group.add_argument("--truncate_dim", type=positive, metavar="N", help="keep the first dimensions only (Matryoshka)")
    for role, other in (("query", "queries"), ("passage", "passages")):
        group.add_argument(f"--{role}_prompt", metavar="TEXT", help=f"what stands before {other}")
        group.add_argument(
            f"--{role}_max_len", type=positive, metavar="N", help=f"tokens of {other} that are looked at"
        )
    group.add_argument("--include_prompt", type=flag, metavar="yes|no", help="whether the prompt's tokens are pooled")
    group.add_argument(
        "--tokens_per_batch", type=budget, metavar="N|auto",
        help="tokens of a batch, padding included (default: the platform's); auto measures the fastest, "
        "once for texts like these, this configuration and this machine",
    )  # fmt: skip
    group.add_argument("--lengths", type=sizes, metavar="N,N,...", help="where shapes are fixed: the lengths to pad to")


def take_recipe(values: dict[str, Any]) -> Recipe:
    """Remove the encoder's values from those of a command line (`fmbench.options.read`), and return their recipe."""
    fields = {field.name for field in dataclasses.fields(Recipe)}
    named = {NAMES.get(name, name): name for name in values}
    found = {name: values.pop(typed) for name, typed in named.items() if name in fields}
    return Recipe(**found)


def poolings(text: str) -> tuple[str, ...]:
    """Read a comma list of poolings."""
    names = tuple(part.strip() for part in text.split(","))
    for name in names:
        if name not in POOLINGS:
            raise argparse.ArgumentTypeError(f"{name!r} is no pooling; write {', '.join(POOLINGS)}")
    return names


def flag(text: str) -> bool:
    """Read yes or no."""
    if text not in FLAGS:
        raise argparse.ArgumentTypeError(f"{text!r} is neither yes nor no")
    return FLAGS[text]


def budget(text: str) -> int | str:
    """Read a number of tokens, or auto."""
    if text == AUTO:
        return AUTO
    try:
        return positive(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}; or write {AUTO}") from None
