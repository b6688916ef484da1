"""Which texts are trained on: queries, texts of a corpus that stand in for queries, and none of the test's."""

import random
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from fmbench.collection import Dataset, Document, Texts
from fmbench.collection.arguments import named_datasets
from fmbench.console import warn

from .arguments import DistillArguments

SHORTEST_SENTENCE = 3  # words; what is shorter is a heading or the rest of an abbreviation
SHORTEST_SPAN, LONGEST_SPAN = 3, 16  # words
# In running text a capital, digit, quote or bracket follows; in text that was split into tokens a blank comes before.
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(\[])|(?<=\s[.!?])\s+")
WORD = re.compile(r"\w+")


def titles(passage: Document, seed: int = 0) -> Iterator[str]:
    """Yield a passage's title."""
    yield passage.title.strip()


def sentences(passage: Document, seed: int = 0) -> Iterator[str]:
    """Yield the sentences of a passage that have at least three words.

    A sentence ends where a full stop, question mark or exclamation mark is followed by a space and a capital, digit,
    quote or bracket, or stands between spaces. Abbreviations end one too: training bears that.
    """
    for sentence in SENTENCE_END.split(passage.text):
        if len(sentence.split()) >= SHORTEST_SENTENCE:
            yield sentence.strip()


def spans(passage: Document, seed: int = 0) -> Iterator[str]:
    """Yield one span of 3 to 16 words out of each sentence, drawn by the seed and the passage's id."""
    draw = random.Random(f"{seed}:{passage.id}")  # noqa: S311 (a sample, no secret)
    for sentence in sentences(passage):
        words = sentence.split()
        count = min(len(words), draw.randint(SHORTEST_SPAN, LONGEST_SPAN))
        start = draw.randint(0, len(words) - count)
        yield " ".join(words[start : start + count])


KINDS: dict[str, Callable[[Document, int], Iterator[str]]] = {"titles": titles, "sentences": sentences, "spans": spans}


def pseudo_queries(kind: str, passages: Iterable[Document], seed: int = 0) -> Iterator[str]:
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


def sample(texts: Iterable[str], most: int | None, seed: int) -> Iterator[str]:
    """Yield at most so many of the texts, drawn at random in one pass, in their order (Vitter, 1985, algorithm R)."""
    if most is None:
        yield from texts
        return
    draw, stream = random.Random(seed), enumerate(texts)  # noqa: S311 (a sample, no secret)
    kept = list(islice(stream, most))
    for count, text in stream:
        place = draw.randint(0, count)
        if place < most:
            kept[place] = (count, text)
    yield from (text for _, text in sorted(kept))


def held_out(arguments: DistillArguments) -> Iterator[str]:
    """Yield the text of every query that is held out, and warn where none is named."""
    if not (arguments.held_out_split or arguments.held_out_queries):
        warn("no query is held out; name those of the test with --held_out_split or --held_out_queries")
    for folder in arguments.dataset if arguments.held_out_split else ():
        yield from (query.text for query in Dataset.from_folder(folder, arguments.held_out_split).queries)
    if arguments.held_out_queries:
        yield from (query.text for query in Texts(arguments.held_out_queries))


def training_texts(arguments: DistillArguments, sieve: Sieve, counts: dict[str, int]) -> Iterator[tuple[str, str]]:
    """Yield every text that is trained on, with its id, and count the kinds."""
    datasets = named_datasets(arguments, judged=False)
    for dataset in datasets if arguments.split or arguments.queries else ():
        for query in dataset.queries:
            for text in sieve([query.text]):
                counts["queries"] = counts.get("queries", 0) + 1
                yield f"{dataset.name}:query:{query.id}", text
    for kind in arguments.pseudo_queries:
        for dataset in datasets:
            found = sieve(pseudo_queries(kind, dataset.corpus, arguments.seed))
            for number, text in enumerate(sample(found, arguments.most_pseudo_queries, arguments.seed)):
                counts[kind] = counts.get(kind, 0) + 1
                yield f"{dataset.name}:{kind}:{number}", text
