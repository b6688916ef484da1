"""Pseudo-queries: texts of a corpus that stand in for queries, where there are few or none."""

import random
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

SHORTEST_SENTENCE = 3  # words; what is shorter is a heading or the rest of an abbreviation
SHORTEST_SPAN, LONGEST_SPAN = 3, 16  # words
# In running text a capital, digit, quote or bracket follows; in text that was split into tokens a blank comes before.
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(\[])|(?<=\s[.!?])\s+")
WORD = re.compile(r"\w+")


class Passage(Protocol):
    """What pseudo-queries are made from."""

    @property
    def id(self) -> str:
        """Names the passage."""

    @property
    def title(self) -> str:
        """May be empty."""

    @property
    def text(self) -> str:
        """The passage without its title."""


def titles(passage: Passage, seed: int = 0) -> Iterator[str]:
    """Yield a passage's title."""
    yield passage.title.strip()


def sentences(passage: Passage, seed: int = 0) -> Iterator[str]:
    """Yield the sentences of a passage that have at least three words.

    A sentence ends where a full stop, question mark or exclamation mark is followed by a space and a capital, digit,
    quote or bracket, or stands between spaces. Abbreviations end one too: training bears that.
    """
    for sentence in SENTENCE_END.split(passage.text):
        if len(sentence.split()) >= SHORTEST_SENTENCE:
            yield sentence.strip()


def spans(passage: Passage, seed: int = 0) -> Iterator[str]:
    """Yield one span of 3 to 16 words out of each sentence, drawn by the seed and the passage's id."""
    draw = random.Random(f"{seed}:{passage.id}")  # noqa: S311 (a sample, no secret)
    for sentence in sentences(passage):
        words = sentence.split()
        count = min(len(words), draw.randint(SHORTEST_SPAN, LONGEST_SPAN))
        start = draw.randint(0, len(words) - count)
        yield " ".join(words[start : start + count])


KINDS: dict[str, Callable[[Passage, int], Iterator[str]]] = {"titles": titles, "sentences": sentences, "spans": spans}


def pseudo_queries(kind: str, passages: Iterable[Passage], seed: int = 0) -> Iterator[str]:
    """Yield the pseudo-queries of one kind, passage by passage, none of them empty. Raises KeyError for the kind."""
    make = KINDS[kind]
    for passage in passages:
        yield from filter(None, make(passage, seed))


def folded(text: str) -> str:
    """Return a text's words in lower case: what two texts are compared by."""
    return " ".join(WORD.findall(text.casefold()))


class Sieve:
    """Lets a text pass once, and never one of the held-out texts, whatever their case, spaces and punctuation.

    A collection may hold one text under two ids, one for training and one for testing: ids alone do not keep test
    queries out.
    """

    def __init__(self, held_out: Iterable[str] = ()) -> None:
        self._held_out = set(map(folded, held_out))
        self._seen = {""}
        self.dropped_held_out = 0
        self.dropped_repeated = 0

    def __call__(self, texts: Iterable[str]) -> Iterator[str]:
        """Yield the texts that may be trained on."""
        for text in texts:
            key = folded(text)
            if key in self._held_out:
                self.dropped_held_out += 1
            elif key in self._seen:
                self.dropped_repeated += 1
            else:
                self._seen.add(key)
                yield text
