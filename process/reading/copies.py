"""Which logs are one run: the same log again, packed or not, or the beginning of one that has grown since.

What else may be of one run, its results tell: `shared`.
"""

import contextlib
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fmbench.errors import UsageError
from fmbench.history import ignore

from .sources import Source

SHOWN = 2  # copies that are named
HEAD = 2**13  # bytes that two runs hardly share: their first times are among them
MORE_THAN_ASKED = re.compile(rb"^FMWORK (?!LOG |ARG )", re.MULTILINE)  # until there, two runs of one command are alike


@dataclass(frozen=True, slots=True)
class Copy:
    """A log that another one holds: as a whole, or as its beginning."""

    source: Source
    of: Source
    whole: bool

    def __str__(self) -> str:
        """Say so."""
        return f"{self.source.name} is {'' if self.whole else 'the beginning of '}{self.of.name}"


def once(sources: Sequence[Source], warn: Callable[[str], None]) -> list[Source]:
    """Return sources without copies of others, with a warning that says how many there are."""
    kept, copies = divided(sources)
    if copies:
        warn(f"copies of logs are counted once: {in_words(copies)}")
    return kept


def in_words(copies: Sequence[object]) -> str:
    """Return what is held twice, the first ones by name."""
    more = f"; and {len(copies) - SHOWN} more" if len(copies) > SHOWN else ""
    return f"{'; '.join(map(str, copies[:SHOWN]))}{more}"


def divided(sources: Sequence[Source]) -> tuple[list[Source], list[Copy]]:
    """Return the sources that count, of equal ones the first, and the copies of these, both in order."""
    held: dict[int, tuple[int, bool]] = {}  # what is a copy, of which one, and whether as a whole
    heads = [head_of(source) for source in sources]
    for group in alike(heads):
        counted: list[int] = []
        for place in group:
            for rank, other in enumerate(counted):
                if not begin_alike(heads[place], heads[other]):
                    continue
                order = order_of(sources[place], sources[other])
                if order is not None and order <= 0:
                    held[place] = other, order == 0
                    break
                if order is not None:
                    held[other], counted[rank] = (place, False), place
                    break
            else:
                counted.append(place)
    copies: list[Copy] = []
    for place in sorted(held):
        other, whole = held[place]
        while other in held:
            other, whole = held[other][0], whole and held[other][1]
        copies.append(Copy(sources[place], sources[other], whole))
    return [source for place, source in enumerate(sources) if place not in held], copies


def alike(heads: Sequence[bytes]) -> Iterator[list[int]]:
    """Yield the places of heads that begin as the shortest of them; what is nothing is like none."""
    group: list[int] = []
    for place in sorted(filter(heads.__getitem__, range(len(heads))), key=heads.__getitem__):
        if group and not heads[place].startswith(heads[group[0]]):
            yield sorted(group)
            group = []
        group.append(place)
    yield sorted(group)


def begin_alike(one: bytes, other: bytes) -> bool:
    """Whether one begins the other."""
    return one.startswith(other) or other.startswith(one)


def head_of(source: Source) -> bytes:
    """Return how a file begins, unpacked; of what can be read only once, or not at all, nothing."""
    head = b""
    if source.path and source.path.is_file():
        with contextlib.suppress(UsageError):  # which reading it says
            for block in plain_blocks(source):
                head += block
                if len(head) >= HEAD:
                    break
    return head[:HEAD]


def order_of(one: Source, other: Source) -> int | None:
    """Return how two logs stand to each other: equal (0), the beginning of the other (-1), begun by it (1), or None."""
    blocks, others = plain_blocks(one), plain_blocks(other)
    mine = theirs = b""
    told = False
    with contextlib.suppress(UsageError):
        while True:
            mine, theirs = mine or next(blocks, b""), theirs or next(others, b"")
            size = min(len(mine), len(theirs))
            if not size:
                equal = not mine and not theirs
                return (0 if equal else 1 if mine else -1) if equal or told else None
            if mine[:size] != theirs[:size]:
                return None
            told = told or MORE_THAN_ASKED.search(mine[:size]) is not None
            mine, theirs = mine[size:], theirs[size:]
    return None


def plain_blocks(source: Source) -> Iterator[bytes]:
    """Yield the content of a file with plain line ends, and without the mark that some editors put before it."""
    kept, start = b"", True
    for block in source.blocks(ignore):
        text = kept + block
        if start and len(text) < len(BOM_UTF8):
            kept = text
            continue
        text, start = text.removeprefix(BOM_UTF8) if start else text, False
        kept = b"\r" if text.endswith(b"\r") else b""
        if plain := text.removesuffix(kept).replace(b"\r\n", b"\n"):
            yield plain
    if kept:
        yield kept
