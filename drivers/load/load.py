"""`fmbench load`: a service under load."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fmbench import host, session
from fmbench.checks import Checked
from fmbench.console import run_main
from fmbench.distribution import to_install
from fmbench.errors import UsageError
from fmbench.facts import software_facts, versions

from . import endpoint as endpoints
from . import payload as payloads
from .arguments import PROGRAM, LoadArguments, parse
from .endpoint import Endpoint
from .references import reference_of
from .service import platform_of, service


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return run_main(PROGRAM, lambda: load(parse(sys.argv[1:] if argv is None else argv)))


def check(argv: Sequence[str]) -> Checked:
    """Return what a command line amounts to, as a cell of a sweep. Raises UsageError and PlatformError."""
    arguments = parse(argv)
    reference_of(arguments)
    read = (arguments.dataset, arguments.texts, arguments.trace, arguments.reference, arguments.model_name)
    return Checked(platform_of(arguments), arguments.typed, inputs=tuple(Path(path) for path in read if path))


def load(arguments: LoadArguments) -> int:
    """Measure what the command line asks for; return 1 where the service went away or its vectors are not right."""
    try:
        from .work import Work
    except ImportError as error:
        raise UsageError(f"sending needs {error.name}: {to_install('load')}") from None
    reference = reference_of(arguments)
    texts = payloads.read(arguments)
    if reference is not None:
        reference.expect([text for requests, _ in texts.values() for request in requests for text in request])
    endpoints.headers()  # before anything starts: a key that cannot be sent
    with service(arguments) as url:
        endpoint = endpoints.find(arguments, url)
        found = {inputs: payloads.written(endpoint, *one) for inputs, one in texts.items()}
        inputs, first = next(iter(found.items()))
        dimension = endpoints.try_once(endpoint, first.bodies[0], inputs)
        with session.open_with_tables("load", arguments.typed) as run:
            run.begin()
            run.describe({**facts(arguments, endpoint), "texts": first.digest, "dimension": dimension})
            work = Work(arguments, endpoint, found, dimension, run, reference)
            work.measure()
            run.end()
    return int(work.failed)


def facts(arguments: LoadArguments, endpoint: Endpoint) -> dict[str, Any]:
    """Return what was measured, as far as the service says it, and what measured."""
    said = {key: endpoint.info[key] for key in ("version", "server") if isinstance(endpoint.info.get(key), str)}
    served = endpoint.info.get("facts")
    return {
        **software_facts(),
        **host.host_facts(),
        "model": endpoint.model,
        **(served if isinstance(served, dict) else {}),
        "task": "load",
        "timed": "request",
        "seed": arguments.seed,
        "client": {"api": endpoint.api, "service": said, **versions(("aiohttp", "uvloop"))},
    }
