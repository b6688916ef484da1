"""`fmbench serve`: a model behind an address, until it is asked to end."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING

from fmbench import backend, host, session
from fmbench.backend import Backend
from fmbench.console import note, reserved_stdout, run_main
from fmbench.distribution import to_install
from fmbench.encoder import EncoderPlan
from fmbench.ending import allow, exit_code
from fmbench.errors import UsageError, first_line
from fmbench.facts import software_facts, variables
from fmbench.serving import PROGRAM, ServeArguments, parse
from fmbench.timer import timer
from fmbench.torch_settings import spin_briefly

if TYPE_CHECKING:
    from .app import Served

DRAIN = 30  # seconds in which what was accepted is answered
BACKLOG = 2048
KEEP_ALIVE = 75  # seconds that a client may pause: one that is held up finds its connection closed as it sends
Wrap = Callable[["Served"], "Served"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return run_main(PROGRAM, lambda: serve(parse(sys.argv[1:] if argv is None else argv)))


def serve(arguments: ServeArguments, wrap: Wrap = lambda served: served) -> int:
    """Serve until a signal comes. `wrap` may change what is served."""
    try:
        import httptools
        import starlette
        import uvicorn
        import uvloop
    except ImportError as error:
        raise UsageError(f"serving needs {error.name}: {to_install('serve')}") from None
    del httptools, starlette
    spin_briefly()
    platform = backend.find(arguments.platform)
    if platform.builds_model:
        plan = EncoderPlan.of(arguments, arguments.recipe)
    else:
        plan = None
        platform.check(arguments)

    class Server(uvicorn.Server):
        """Ends as a program of ours: what was accepted has its time."""

        def handle_exit(self, number: int, frame: FrameType | None) -> None:
            allow(DRAIN + 1)
            super().handle_exit(number, frame)

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            host, port = bound.getsockname()[:2]
            stdout.write(f"http://{f'[{host}]' if ':' in host else host}:{port}\n")
            stdout.flush()

    async def run() -> None:
        from .app import application

        async with served(arguments, platform, plan) as found:
            config = uvicorn.Config(
                application(wrap(found)), http="httptools", lifespan="off", access_log=False, log_level="error",
                timeout_graceful_shutdown=DRAIN, timeout_keep_alive=KEEP_ALIVE, backlog=BACKLOG,
                server_header=False, date_header=False,
            )  # fmt: skip
            await Server(config).serve([bound])

    try:
        with (
            listen(arguments) as bound,
            reserved_stdout() as stdout,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(run())
    except KeyboardInterrupt as asked:  # its usual end, of which there is nothing to say
        return exit_code(asked)
    return 0


@contextlib.contextmanager
def listen(arguments: ServeArguments) -> Iterator[socket.socket]:
    """Yield a socket that listens before anything slow begins; who connects meanwhile waits. Raises UsageError.

    Two that are bound alone may share a port on Linux, by SO_REUSEADDR: the second would learn it as it serves.
    """
    family = socket.AF_INET6 if ":" in arguments.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((arguments.host.strip("[]"), arguments.port))
            bound.listen(BACKLOG)
        except OSError as error:
            place = f"--host {arguments.host} --port {arguments.port}"
            raise UsageError(f"{place}: {error.strerror or first_line(error)}; name another") from None
        yield bound


@contextlib.asynccontextmanager
async def served(arguments: ServeArguments, platform: Backend, plan: EncoderPlan | None) -> "AsyncIterator[Served]":
    """Yield what is served: an encoder that is loaded and has run once, or the null engine."""
    from .app import Served
    from .engine import EncoderEngine, NullEngine

    if plan is None:
        with timer() as exact:
            null = NullEngine(arguments.service_time, arguments.max_queue, exact)
            software = software_facts(tuple(platform.distributions))
            said = {**software, **host.host_facts(), "platform": platform.name}
            said |= session.device_facts(platform, arguments)
            said["serving"] = {"service_time": arguments.service_time}
            yield Served(
                null, arguments.model_name, null.DIMENSION, arguments.role, arguments.max_inputs, said,
                platform.read_energy,
            )  # fmt: skip
        return
    from fmbench.encoder import Encoder

    encoder = Encoder(plan)
    encoder.encode(["warm up"], arguments.role)
    budget = encoder.settle(["warm up"], arguments.role)
    engine = EncoderEngine(encoder, arguments.max_wait, arguments.max_queue, budget)
    running = asyncio.create_task(engine.run())
    note(f"{encoder.name} on {plan.platform.name}: batches of {budget} tokens, {arguments.max_wait * 1e3:g} ms at most")
    serving = {"max_wait": arguments.max_wait, "tokens_per_batch": budget, "role": arguments.role}
    said = {
        **session.facts_of(encoder), **plan.platform.ask_model_facts(), **host.host_facts(),
        "variables": variables(), "serving": serving,
    }  # fmt: skip
    try:
        yield Served(
            engine, encoder.name, encoder.dimension, arguments.role, arguments.max_inputs, said,
            encoder.platform.read_energy,
            encoder.recipe.normalise is not False,
        )  # fmt: skip
    finally:
        running.cancel()
        engine.end()
