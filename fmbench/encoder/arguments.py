"""The command-line arguments of every driver that encodes texts, and the recipe that they amount to."""

import argparse
import dataclasses
from typing import Any

from fmbench.parsing import Once, Parser, positive, sizes

from .recipe import AUTO, POOLINGS, Recipe

FLAGS = {"yes": True, "no": False}
NAMES = {"query_max_len": "query_max_length", "passage_max_len": "passage_max_length", "normalize": "normalise"}


def add_encoder_arguments(parser: Parser) -> None:
    """Add how texts become vectors; what is not given is as a sentence-transformers folder says."""
    group = parser.add_argument_group("how to encode (what is not given is as the model's folder publishes it)")
    group.add_argument(
        "--pooling",
        action=Once,
        type=poolings,
        metavar="NAME",
        help=f"{', '.join(POOLINGS)}; a comma list joins several",
    )
    group.add_argument(
        "--normalize", action=Once, type=flag, metavar="yes|no", help="make all vectors one long, after truncating"
    )
    group.add_argument(
        "--truncate_dim", action=Once, type=positive, metavar="N", help="keep the first dimensions only (Matryoshka)"
    )
    for role, other in (("query", "queries"), ("passage", "passages")):
        group.add_argument(f"--{role}_prompt", action=Once, metavar="TEXT", help=f"what stands before {other}")
        group.add_argument(
            f"--{role}_max_len", action=Once, type=positive, metavar="N", help=f"tokens of {other} that are looked at"
        )
    group.add_argument(
        "--include_prompt", action=Once, type=flag, metavar="yes|no", help="whether the prompt's tokens are pooled"
    )
    group.add_argument(
        "--tokens_per_batch", action=Once, type=budget, metavar="N|auto",
        help="tokens of a batch, padding included (default: the platform's); auto finds the fastest",
    )  # fmt: skip
    group.add_argument(
        "--lengths", action=Once, type=sizes, metavar="N,N,...", help="where shapes are fixed: the lengths to pad to"
    )


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
    return AUTO if text == AUTO else positive(text)
