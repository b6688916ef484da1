"""What answers requests: an encoder whose batches are filled by token budget, or nothing at all (the null server)."""

import asyncio
import time
import zlib
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from fmbench.console import warn
from fmbench.encoder import OtherTextError
from fmbench.errors import first_line
from fmbench.timer import Timer

if TYPE_CHECKING:
    import numpy as np

    from fmbench.encoder import Encoder, Role
    from fmbench.encoder.tokens import Tokens


class OverloadedError(Exception):
    """The queue is full."""


class TooLongError(Exception):
    """A text has more tokens than the model looks at, and the request forbids to cut it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Vectors, float32 of shape (n, d), the tokens of all texts, and the seconds that each part took.

    `queue` is whatever it waited for: to be tokenised, and to be computed.
    """

    vectors: "np.ndarray"
    tokens: int
    tokenise: float = 0.0
    queue: float = 0.0
    compute: float = 0.0


class Engine(Protocol):
    """What the routes ask. `waiting` counts texts that were accepted and are not answered yet.

    `wrong` says why no vector can be trusted any more, `looked` the seconds in which texts were computed once more to
    see it; None where nothing is computed.
    """

    waiting: int
    limit: int
    max_length: int | None
    wrong: str | None

    @property
    def looked(self) -> float | None:
        """The seconds."""

    async def answer(self, texts: Sequence[str], role: "Role", cut: bool) -> Answer:
        """Return the vectors of texts. Raises OverloadedError and TooLongError."""


class NullEngine:
    """Computes nothing: answers in the order of arrival, one request at a time, each after the same service time.

    That is an M/D/1 queue where requests come at random. Vectors are one long, the same for the same
    text, and others for others.
    """

    wrong: str | None = None
    looked: float | None = None
    DIMENSION, PARTS = 384, 4  # a part is chosen by a byte of a text's checksum

    def __init__(self, service_time: float, limit: int, timer: Timer) -> None:
        """Take the seconds of a request, and how many texts may wait."""
        import numpy as np

        self._service_time, self.limit, self._timer = service_time, limit, timer
        drawn = np.random.default_rng(0).standard_normal((256, self.DIMENSION // self.PARTS)).astype(np.float32)
        self._parts = drawn / (np.linalg.norm(drawn, axis=1, keepdims=True) * self.PARTS**0.5)
        self._free = 0.0  # when the last request that was accepted is done
        self.waiting = 0
        self.max_length: int | None = None

    async def answer(self, texts: Sequence[str], role: "Role", cut: bool) -> Answer:
        """Return the vectors of texts when their turn has come."""
        if self.waiting + len(texts) > self.limit:
            raise OverloadedError
        arrived = time.monotonic()
        begun = max(arrived, self._free)
        self._free = begun + self._service_time
        self.waiting += len(texts)
        try:
            await self._timer.until(self._free)
        finally:
            self.waiting -= len(texts)
        sums = b"".join(zlib.crc32(text.encode()).to_bytes(self.PARTS) for text in texts)
        vectors = self._parts[list(sums)].reshape(len(texts), self.DIMENSION)
        tokens = sum(len(text.split()) for text in texts)
        return Answer(vectors, tokens, queue=begun - arrived, compute=time.monotonic() - begun)


@dataclass(slots=True)
class Job:
    """One request in the queue."""

    tokens: "Tokens"
    role: "Role"
    arrived: float
    future: "asyncio.Future[tuple[np.ndarray, float, float]]"

    @property
    def size(self) -> int:
        """Tokens, padding not counted."""
        return len(self.tokens.ids)


def settle(job: Job, outcome: "tuple[np.ndarray, float, float] | Exception") -> None:
    """Tell a request what became of it, unless it went away."""
    if job.future.done():
        return
    if isinstance(outcome, Exception):
        job.future.set_exception(outcome)
    else:
        job.future.set_result(outcome)


class EncoderEngine:
    """An encoder behind a queue. Whoever waits is batched: up to a budget of tokens, or until the first waited enough.

    Requests are never divided and their order is kept; those of one batch have one role. Tokenising and computing have
    a thread each, so that the next batch is made while one is computed.

    Now and then, after a batch was answered and before the next one, two texts are computed once more. Where one has
    another vector then, no request is answered any more: nobody knows since when.
    """

    def __init__(self, encoder: "Encoder", max_wait: float, limit: int, budget: int) -> None:
        """Take the seconds that the first of a batch waits for others at most, and how many texts may wait."""
        from fmbench.encoder.tokens import Tokenizer

        self._encoder, self._max_wait, self.limit, self._budget = encoder, max_wait, limit, budget
        self.max_length = encoder.recipe.passage_max_length
        self._whole = {
            role: Tokenizer(encoder.tokenizer, encoder.recipe.prompt(role) or "", None)
            for role in ("query", "passage")
        }  # fmt: skip
        self._tokeniser = ThreadPoolExecutor(1, "tokenise")
        self._computer = ThreadPoolExecutor(1, "compute")
        self._queue: deque[Job] = deque()
        self._came = asyncio.Event()
        self.waiting, self.batches, self._texts = 0, 0, 0
        self.wrong: str | None = None

    async def answer(self, texts: Sequence[str], role: "Role", cut: bool) -> Answer:
        """Return the vectors of texts."""
        if self.waiting + len(texts) > self.limit:
            raise OverloadedError
        self.waiting += len(texts)
        loop, start = asyncio.get_running_loop(), time.monotonic()
        try:
            tokens, tokenise = await loop.run_in_executor(self._tokeniser, self._tokenise, texts, role, cut)
            job = Job(tokens, role, time.monotonic(), loop.create_future())
            self._queue.append(job)
            self._came.set()
            vectors, begun, ended = await job.future
        finally:
            self.waiting -= len(texts)
        return Answer(vectors, job.size, tokenise, begun - start - tokenise, ended - begun)

    def _tokenise(self, texts: Sequence[str], role: "Role", cut: bool) -> "tuple[Tokens, float]":
        """Return the tokens of texts, and the seconds that they took. Raises TooLongError."""
        start = time.monotonic()
        tokens = self._encoder.tokenise(texts, role)
        longest = self._encoder.recipe.max_length(role)
        full = [text for text, length in zip(texts, tokens.lengths, strict=True) if length == longest]
        if full and not cut and max(self._whole[role](full).lengths) > (longest or 0):
            raise TooLongError
        return tokens, time.monotonic() - start

    async def run(self) -> None:
        """Make batches and compute them, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await self._fill()
            jobs = self._take()
            begun = time.monotonic()
            try:
                vectors = await loop.run_in_executor(self._computer, self._compute, jobs)
            except Exception as error:
                for job in jobs:
                    settle(job, error)
                continue
            ended, start = time.monotonic(), 0
            self.batches += 1
            for job in jobs:
                end = start + len(job.tokens.lengths)
                settle(job, (vectors[start:end], begun, ended))
                start = end
            if self._encoder.look_is_due:
                await loop.run_in_executor(self._computer, self._look)

    async def _fill(self) -> None:
        """Wait until somebody is in the queue, and then until the batch is full or the first waited long enough."""
        while not self._queue:
            self._came.clear()
            await self._came.wait()
        until = self._queue[0].arrived + self._max_wait
        while sum(job.size for job in self._queue) < self._budget and (left := until - time.monotonic()) > 0:
            self._came.clear()
            try:
                await asyncio.wait_for(self._came.wait(), left)
            except TimeoutError:
                return

    def _take(self) -> list[Job]:
        """Return the next batch: the first request, and those behind it of the same role that fit."""
        jobs = [self._queue.popleft()]
        total = jobs[0].size
        while self._queue and self._queue[0].role == jobs[0].role and total + self._queue[0].size <= self._budget:
            jobs.append(self._queue.popleft())
            total += jobs[-1].size
        return jobs

    def _compute(self, jobs: "Sequence[Job]") -> "np.ndarray":
        from fmbench.encoder.tokens import Tokens

        if self.wrong is not None:
            raise OtherTextError(self.wrong)
        tokens, first = Tokens.joined([job.tokens for job in jobs]), self._texts
        self._texts += len(tokens.lengths)
        return self._encoder.encode_tokens(tokens, jobs[0].role, first)

    @property
    def looked(self) -> float:
        """Seconds in which texts were computed once more."""
        return sum(self._encoder.timings.phases.get(name, 0.0) for name in ("look_again", "looked_in_vain"))

    def _look(self) -> None:
        """See whether the platform still computes what it computed; where it does not, say so."""
        try:
            self._encoder.look_again()
        except OtherTextError as error:
            self.wrong = str(error)
            warn(f"{error}; no request is answered any more: nobody knows since when its vectors are wrong")
        except Exception as error:  # as a request will have it
            warn(f"texts could not be computed once more: {type(error).__name__}: {first_line(error)}")

    def end(self) -> None:
        """Look a last time. Raises OtherTextError, for what was seen before too."""
        if self.wrong is not None:
            raise OtherTextError(self.wrong)
        self._encoder.look_again()
