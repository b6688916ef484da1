"""A corpus that is searched while it is encoded: no vector is ever written."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

from fmbench.collection import Texts
from fmbench.encoder import CHUNK, Encoder
from fmbench.measure import Clock
from fmbench.search import Block


def encoded_blocks(texts: Texts, encoder: Encoder, chosen: range) -> Iterator[Block]:
    """Yield the passages of some chunks of a corpus with their vectors, a chunk at a time."""
    waiting: deque[list[str]] = deque()  # ids of the chunks that were read and are not encoded yet

    def chunks() -> Iterator[list[str]]:
        documents = islice(texts, chosen.start * CHUNK, chosen.stop * CHUNK)
        while chunk := list(islice(documents, CHUNK)):
            waiting.append([document.id for document in chunk])
            yield [document.passage for document in chunk]

    for vectors in encoder.encode_chunks(chunks(), "passage"):
        yield Block(waiting.popleft(), vectors)


class Stopwatch:
    """Passes blocks on, counts their documents, and adds up how long they took to come."""

    def __init__(self, blocks: Iterable[Block], clock: Clock) -> None:
        self._blocks, self._clock = iter(blocks), clock
        self.nanoseconds = 0
        self.documents = 0

    def __iter__(self) -> Iterator[Block]:
        while True:
            start = self._clock.now()
            block = next(self._blocks, None)
            self.nanoseconds += self._clock.now() - start
            if block is None:
                return
            self.documents += len(block.ids)
            yield block
