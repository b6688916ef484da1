"""The client: sends requests when they are due and keeps what happened. Nothing is decoded, printed or sent again."""

import asyncio
import contextlib
import gc
import json
import random
import re
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from fmbench.ending import ASKS
from fmbench.timer import Timer, timer

from .endpoint import REDIRECTS, elsewhere, headers
from .metrics import number_in
from .records import SPLIT, Records, index_of

KEPT_BYTES = 200_000_000  # of sampled answers
DEAD = 50  # failed connections on end, after which the client looks whether anybody is there
SILENT = 2  # time-outs on end, in which nobody was answered, after which nobody is there
SETTLED = 0.2  # seconds: a program that ends closes its connections before its port
SAID = 160  # characters of a body
NUMBER = re.compile(r"\d{3,}")
MOST_FAILURES = 50  # distinct ones


@dataclass(frozen=True)
class Plan:
    """What one client process sends: which bodies, and when.

    `due` are seconds from `start`, a moment of `time.monotonic`; without them `concurrency` clients send one after the
    other for `seconds`, `requests` at most. The numbers of requests are `first`, `first + step`, ...
    """

    url: str
    bodies: Sequence[bytes]
    inputs: int  # texts of each body
    count: Callable[[bytes], int]  # vectors in an answer
    start: float
    timeout: float
    sample: int
    seed: int
    due: Sequence[float] | None = None
    concurrency: int = 1
    seconds: float = 0.0
    requests: int | None = None
    first: int = 0
    step: int = 1
    offset: int = 0  # of the first body


class Client:
    """Sends the requests of a plan. `records` is whole at any moment."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.records = Records(start=round(plan.start * 1e9))
        self._draw = random.Random(plan.seed + plan.first)  # noqa: S311 (a sample, no secret)
        self._answered = self._dead = 0
        self._waits: float | None = None  # since when requests have no answer
        self._room = plan.sample

    async def run(self) -> None:
        """Send everything, and wait for the answers."""
        plan = self.plan
        if (task := asyncio.current_task()) is not None:
            for number in ASKS:  # what a handler of Python's raises in a callback of the loop is lost
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        tracing = aiohttp.TraceConfig(trace_config_ctx_factory=lambda trace_request_ctx: trace_request_ctx)
        tracing.on_connection_create_end.append(note_connected)
        tracing.on_request_chunk_sent.append(note_written)
        unlimited = aiohttp.TCPConnector(limit=0, ttl_dns_cache=None, keepalive_timeout=3600)
        skipped = ("User-Agent", "Accept", "Accept-Encoding")
        async with aiohttp.ClientSession(
            connector=unlimited, headers=headers(), skip_auto_headers=skipped, trace_configs=[tracing],
            timeout=aiohttp.ClientTimeout(total=plan.timeout), auto_decompress=True,
        ) as self._session:  # fmt: skip
            with timer() as exact:
                await exact.until(plan.start)
                begun = time.process_time()
                try:
                    await (self._closed() if plan.due is None else self._open(exact, plan.due))
                    if not self.records.gone and any(not status for status, _ in self.records.failures):
                        await asyncio.sleep(SETTLED)
                        await self._look()
                finally:
                    self.records.cpu = time.process_time() - begun

    async def _closed(self) -> None:
        """Let every client send when it has its answer."""
        plan, end = self.plan, self.plan.start + self.plan.seconds
        numbers = iter(range(plan.requests)) if plan.requests is not None else numbers_for_ever()

        async def one() -> None:
            while not self.records.gone and time.monotonic() < end and (place := next(numbers, None)) is not None:
                await self._send(place, time.monotonic_ns())

        await asyncio.gather(*(one() for _ in range(plan.concurrency)))
        if plan.requests is not None and self.records.gone:
            self.records.unsent = sum(1 for _ in numbers)

    async def _open(self, exact: Timer, due: Sequence[float]) -> None:
        """Send every request when it is due, whatever has come back; those under way end with it where it is ended."""
        async with asyncio.TaskGroup() as group:
            for place, offset in enumerate(due):
                moment = self.plan.start + offset
                await exact.until(moment)
                if self.records.gone:
                    self.records.unsent = len(due) - place
                    break
                group.create_task(self._send(place, round(moment * 1e9)))

    async def _send(self, place: int, due: int) -> None:
        """Send one request, and keep its row."""
        plan, seen = self.plan, [0, 0]
        number, body = plan.first + place * plan.step, (plan.offset + place * plan.step) % len(plan.bodies)
        first = status = failure = 0
        raw = b""
        sent = time.monotonic_ns()
        self._waits = self._waits or time.monotonic()
        try:
            async with self._session.post(
                plan.url, data=plan.bodies[body], trace_request_ctx=seen, allow_redirects=False
            ) as response:
                first, status = time.monotonic_ns(), response.status
                raw = await response.read()
            done = time.monotonic_ns()
            self._waits, self._dead = None, 0
            if readable := status == 200 and raw[:1] in b"{[" and raw[-1:].strip() in b"]}":
                self._keep(number, body, raw, response.headers)
            if status in REDIRECTS:
                failure = self._failed(status, elsewhere(response.headers.get("Location"))[:SAID])
            elif not readable or (count := plan.count(raw)) == 0:
                failure = self._failed(status, said_in(raw))
            elif count != plan.inputs:
                failure = self._failed(status, f"{count} vectors for {plan.inputs} texts")
        except Exception as error:  # whatever it is, the request is counted
            done = time.monotonic_ns()
            failure = self._failed(0, name_of(error))
            self._dead += isinstance(error, (aiohttp.ClientConnectionError, ConnectionError))
            if isinstance(error, TimeoutError) and self._waits is not None:
                self.records.gone |= time.monotonic() - self._waits >= SILENT * plan.timeout
            if self._dead >= DEAD + plan.concurrency:
                await self._look()
        row = (number, body, due, sent, seen[0], seen[1], first, done, status, failure, len(raw))
        self.records.rows.extend(row)

    def _keep(self, number: int, body: int, raw: bytes, said: Any) -> None:
        """Keep an answer for later, by chance (reservoir sampling: Vitter, 1985), and the service's own times."""
        if "x-queue-time" in said:
            sums = self.records.server_ms
            for name in SPLIT:
                sums[name] += number_in(said.get(f"x-{name}-time"))
            sums["count"] += 1
            sums["tokens"] += number_in(said.get("x-compute-tokens"))
        self._answered += 1
        if self._answered == 1:
            self._room = max(1, min(self._room, KEPT_BYTES // len(raw)))
        if len(self.records.sample) < self._room:
            self.records.sample.append((number, body, raw))
        elif (place := self._draw.randrange(self._answered)) < self._room:
            self.records.sample[place] = (number, body, raw)

    def _failed(self, status: int, said: str) -> int:
        known = self.records.failures
        if (status, said) not in known and len(known) >= MOST_FAILURES:
            said = "others"
        return 1 + index_of((status, said), known)

    async def _look(self) -> None:
        """Give up where nobody listens any more; a service that resets connections may only be busy."""
        self._dead = 0
        if not await listens(self.plan.url, self.plan.timeout):
            self.records.gone = True


async def listens(url: str, timeout: float) -> bool:
    """Return whether a connection to an address is taken within so many seconds."""
    place = urlsplit(url)
    port = place.port or {"http": 80, "https": 443}[place.scheme]
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(place.hostname, port)
    except OSError:  # a time-out too
        return False
    writer.close()
    return True


def numbers_for_ever() -> Iterator[int]:
    """Yield 0, 1, ..."""
    place = 0
    while True:
        yield place
        place += 1


async def note_connected(_: Any, seen: list[int], __: Any) -> None:
    """Note when a connection was there; aiohttp calls it."""
    seen[0] = time.monotonic_ns()


async def note_written(_: Any, seen: list[int], __: Any) -> None:
    """Note when a request was handed to the system; aiohttp calls it."""
    seen[1] = time.monotonic_ns()


def said_in(raw: bytes) -> str:
    """Return what a body says of a failure, one line: its message where it is JSON; large numbers are left out."""
    text = raw[:2000].decode("utf-8", "replace")
    try:
        found = json.loads(text)
        inner = found.get("error", found) if isinstance(found, dict) else found
        text = str(inner.get("message", inner)) if isinstance(inner, dict) else str(inner)
        text = f"{text} ({found['error_type']})" if isinstance(found, dict) and "error_type" in found else text
    except ValueError:
        pass
    return NUMBER.sub("N", " ".join(text.split()))[:SAID] or "no body"


def name_of(error: BaseException) -> str:
    """Return what a failed request is counted as."""
    if isinstance(error, TimeoutError):
        return "timeout"
    cause = getattr(error, "os_error", None) or error
    return f"{type(cause).__name__}: {getattr(cause, 'strerror', None) or str(cause)}"[:SAID]


def send(plan: Plan, ready: Callable[[], float]) -> Records:
    """Send a plan's requests in this process, and return what happened; a signal ends it with what it has.

    `ready` is called when nothing slow is left to do, and returns when the run starts.
    """
    import uvloop

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.collect()
    gc.freeze()  # what is there stays: the collector looks at new objects only
    client = Client(replace(plan, start=ready()))
    try:
        with (
            contextlib.suppress(asyncio.CancelledError),
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(client.run())
    finally:
        gc.unfreeze()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return client.records
