"""Queries that must not be trained on: those of the test."""

from collections.abc import Iterator

from fmbench.collection import Dataset, Texts
from fmbench.console import warn

from .arguments import DistillArguments


def held_out(arguments: DistillArguments) -> Iterator[str]:
    """Yield the text of every query that is held out, and warn where none is named."""
    if not (arguments.held_out_split or arguments.held_out_queries):
        warn("no query is held out; name those of the test with --held_out_split or --held_out_queries")
    for folder in arguments.dataset if arguments.held_out_split else ():
        yield from (query.text for query in Dataset.from_folder(folder, arguments.held_out_split).queries)
    if arguments.held_out_queries:
        yield from (query.text for query in Texts(arguments.held_out_queries))
