"""`fmbench load`: a service under load."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fmbench import host, lines, session
from fmbench.console import Progress, run_main, warn
from fmbench.errors import UsageError
from fmbench.facts import software_facts, versions
from fmbench.options import Arguments
from fmbench.session import Session

from . import endpoint as endpoints
from . import payload as payloads
from .answers import Answers, decode
from .arguments import PROGRAM, LoadArguments, parse
from .endpoint import Endpoint
from .figures import request_lines, summary
from .payload import Payload
from .schedule import Setting, plan_of, settings, warm_up


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    return run_main(PROGRAM, lambda: load(parse(sys.argv[1:] if argv is None else argv)))


def load(arguments: LoadArguments) -> int:
    """Measure what the command line asks for; return 1 where the service went away or its vectors are not right."""
    try:
        import aiohttp
        import uvloop
    except ImportError as error:
        raise UsageError(f"sending needs {error.name}: pip install 'fmbench[load]'") from None
    del aiohttp, uvloop
    with service(arguments) as url:
        endpoint = endpoints.find(arguments, url)
        found = {inputs: payloads.payload(arguments, endpoint, inputs) for inputs in arguments.inputs_per_request}
        inputs, first = next(iter(found.items()))
        dimension, _ = endpoints.try_once(endpoint, first.bodies[0], inputs)
        typed = Arguments(platform="service", model_name=arguments.model_name, given=arguments.given)
        with session.open_with_tables("load", typed) as run:
            run.begin()
            run.describe({**facts(arguments, endpoint), "texts": first.digest, "dimension": dimension})
            work = Work(arguments, endpoint, found, run)
            try:
                work.measure()
            finally:
                work.progress.clear()
            run.end()
    return int(work.failed)


@contextlib.contextmanager
def service(arguments: LoadArguments) -> Iterator[str]:
    """Yield the address of the service; where it is to be started, it ends with the context."""
    yield arguments.url or ""


def facts(arguments: LoadArguments, endpoint: Endpoint) -> dict[str, Any]:
    """Return what the run is: the client's software and machine, and what the service says of itself."""
    said = {key: endpoint.info[key] for key in ("version", "server") if isinstance(endpoint.info.get(key), str)}
    served = endpoint.info.get("facts")
    return {
        **software_facts(),
        **host.host_facts(),
        "model": arguments.model_name,
        **(served if isinstance(served, dict) else {}),
        "task": "load",
        "timed": "request",
        "seed": arguments.seed,
        "client": {"api": endpoint.api, "service": said, **versions(("aiohttp", "uvloop"))},
    }


@dataclass
class Work:
    """All runs of a command line. `failed` says whether one failed, or vectors were not right."""

    arguments: LoadArguments
    endpoint: Endpoint
    payloads: dict[int, Payload]
    run: Session
    progress: Progress = field(default_factory=Progress)
    failed: bool = False
    number: int = 0
    answers: list[Answers] = field(default_factory=list)

    def measure(self) -> None:
        """Measure every setting, one after the other."""
        for setting in settings(self.arguments):
            self.one(setting)

    def one(self, setting: Setting) -> dict[str, Any]:
        """Warm up, send, and print every request and what they say; return the latter. Raises what ended it early."""
        arguments, payload = self.arguments, self.payloads[setting.inputs]
        from .processes import run as send

        warm: dict[str, Any] = {}
        if arguments.warmup:
            plan = warm_up(arguments, setting, self.endpoint.url, payload)
            records, interruption = send(plan, arguments.processes, lambda seconds: None)
            if interruption:
                raise interruption
            said = summary(records, None, setting.inputs, None)
            warm = {"seconds": arguments.warmup, "requests": said["requests"], "failed": said["failed"]}
        plan = plan_of(arguments, setting, self.endpoint.url, payload)
        records, interruption = send(
            plan, arguments.processes,
            lambda seconds: self.progress.show(f"{setting}: {max(0, seconds):.0f} s"),
        )  # fmt: skip
        self.answers.append(decode(self.endpoint, payload, records))
        tokens = self.answers[-1].tokens(records)
        found = summary(records, arguments.slo, setting.inputs, tokens)
        ended = "interrupted" if interruption else "gone" if records.gone else "done"
        self.number += 1
        for one in request_lines(records, self.number) if found["requests"] else ():
            self.run.log.write(one)
        line = {
            "run": self.number, **setting.said(), "processes": arguments.processes, "ended": ended, **found,
            "warmup": warm, "decode_ms": self.answers[-1].decode_ms, "timeout": arguments.timeout,
        }  # fmt: skip
        self.run.log.write(lines.JsonLine("LOAD", line))
        self.doubt(line)
        if interruption:
            raise interruption
        return line

    def doubt(self, line: dict[str, Any]) -> None:
        """Say what is wrong with a run."""
        if line["ended"] == "gone" or not line["answered"]:
            self.failed = True
            warn(
                f"run {line['run']}: the service went away, or never answered; {line['unsent']} requests were not sent"
            )
