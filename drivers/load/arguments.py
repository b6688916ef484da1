"""The command line of `fmbench load`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fmbench import __version__
from fmbench.command_line import CommandLine
from fmbench.encoder import Role
from fmbench.errors import UsageError
from fmbench.options import Arguments
from fmbench.parsing import Parser, adder, decimal, delay, duration, natural, nonempty, positive, share, sizes

PROGRAM = "fmbench load"
KEY = "FMBENCH_API_KEY"
MOST_RATE = 20_000  # requests a second that no client process sends
SCENARIOS = ("single", "closed", "open", "offline", "trace", "slo")
EPILOG = f"""\
scenarios:
  single    one request after the other
  closed    --concurrency N clients, each sends its next request when it has its answer
  open      --rate R requests a second, whatever comes back; latency counts from when a request was due
  offline   as fast as it can: closed, with as many clients as the service takes (64)
  trace     the moments and lengths of --trace FILE
  slo       the largest rate at which p99 is within --slo, by bisection over open runs

A request that failed (any status but 200, a time-out, a reset) is never sent again and never left out: to the
percentiles it is one that never ended, and it is counted by its status and its body.

A key for the service comes from the variable {KEY}, never from the command line, and is in no log.

exit codes:
  0 measured, however many requests failed, 1 the service went away, answered nothing, or its vectors are not the right
  ones, 2 the command line is wrong, or nobody serves that model there, 3 the platform of --serve is not usable here or
  answers wrongly

examples:
  fmbench load --url http://127.0.0.1:8080 --model_name models/minilm --tokens 32 --concurrency 1,8 > load.log
  fmbench load --url https://host/v1 --model_name m --dataset data/scifact --scenario open --rate 50 --duration 60s
  fmbench load --url http://127.0.0.1:8080 --model_name m --tokens uniform:16-128 --scenario slo --slo 100ms
  fmbench load --serve '--platform openvino' --model_name models/minilm --reference models/minilm --tokens 64
"""


@dataclass(frozen=True, kw_only=True)
class LoadArguments:
    """One command line of the load driver. Times are in seconds."""

    model_name: str
    given: tuple[tuple[str, str], ...]
    url: str | None = None
    serve: str | None = None
    api: str | None = None
    encoding: str = "base64"
    dimensions: int | None = None
    dataset: Path | None = None
    part: str = "queries"
    texts: Path | None = None
    tokens: str | None = None
    trace: Path | None = None
    inputs_per_request: tuple[int, ...] = (1,)
    scenario: str = "closed"
    concurrency: tuple[int, ...] = (8,)
    rate: tuple[float, ...] = ()
    arrivals: str = "poisson"
    duration: float | None = None
    requests: int | None = None
    warmup: float = 2.0
    timeout: float = 30.0
    slo: float | None = None
    errors: float = 0.001
    processes: int = 1
    seed: int = 0
    reference: str | None = None
    role: Role = "passage"
    least_cosine: float = 0.99
    sample: int = 5000

    @property
    def typed(self) -> Arguments:
        """What a log says of the command line."""
        return Arguments(platform="service", model_name=self.model_name, given=self.given)

    @property
    def seconds(self) -> float:
        """How long a run lasts at most."""
        return self.duration or (10.0 if self.requests is None else 86400.0)


def rates(text: str) -> tuple[float, ...]:
    """Read a comma list of rates above zero."""
    found = tuple(decimal(part) for part in text.split(","))
    if min(found) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not above zero: no request would ever be sent")
    return found


def cosine(text: str) -> float:
    """Read a cosine that tells vectors apart."""
    found = decimal(text)
    if not 0 < found < 1:
        raise argparse.ArgumentTypeError(f"{text} is no cosine between 0 and 1, such as 0.99")
    return found


def address(text: str) -> str:
    """Read the address of a service."""
    try:
        found = urlsplit(text)
        usable = found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
        secret = bool(found.password or found.username)
    except ValueError:
        usable = secret = False
    if not usable:
        raise argparse.ArgumentTypeError(f"{text!r} is no address; write http://HOST:PORT")
    if secret:
        raise argparse.ArgumentTypeError(f"it holds a user; a key comes from the variable {KEY} alone")
    return text.rstrip("/")


def build_parser() -> Parser:
    """Return the parser of the load driver."""
    parser = Parser(
        prog=PROGRAM, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EPILOG,
        description="Measure a service of embeddings under load, and whether its vectors are right.",
    )  # fmt: skip
    add_service(parser)
    add_payload(parser)
    add_load(parser)
    add = adder(parser.add_argument_group("are they the right vectors?"))
    add("--reference", type=nonempty, metavar="FOLDER", help="the model's folder: sampled answers are held against its "
        "vectors in float32, computed here afterwards; or a capture of these texts, by fmbench fidelity")  # fmt: skip
    add("--role", choices=("query", "passage"), help="whose prompt the service puts before a text (default: passage)")
    add("--least_cosine", type=cosine, metavar="COSINE", help="below, a vector is another one (default: 0.99)")
    add("--sample", type=positive, metavar="N", help="vectors that are looked at, drawn over the whole run (default: "
        "5000)")  # fmt: skip
    parser.add_argument("--version", action="version", version=f"fmbench {__version__}")
    return parser


def add_service(parser: Parser) -> None:
    """Add which service, and how it is asked."""
    add = adder(parser.add_argument_group("which service"))
    add("--url", type=address, metavar="URL", help="http://HOST:PORT, with or without /v1")
    add("--serve", type=nonempty, metavar="WORDS", help="start `fmbench serve` with these words, measure it, stop it")
    add(
        "--model_name", type=nonempty, required=True, metavar="NAME", help="the model that is served, by its name there"
    )
    add("--api", choices=("openai", "tei"), help="/v1/embeddings or /embed (default: found by asking)")
    add("--encoding", choices=("base64", "float"), help="of OpenAI's answers (default: base64)")
    add("--dimensions", type=positive, metavar="N", help="ask for the first dimensions only")


def add_payload(parser: Parser) -> None:
    """Add what is sent."""
    add = adder(parser.add_argument_group("what is sent"))
    add("--dataset", type=Path, metavar="DIR", help="texts of a collection in BEIR's layout")
    add("--part", choices=("queries", "corpus"), help="which of its texts (default: queries)")
    add("--texts", type=Path, metavar="FILE", help="a text a line")
    add("--tokens", type=nonempty, metavar="LENGTHS", help="made-up texts of so many tokens, two special ones among "
        "them: 32, uniform:16-128 or lognormal:MEDIAN,SIGMA")  # fmt: skip
    add("--trace", type=Path, metavar="FILE", help='JSON lines such as {"time": 0.25, "tokens": 32}: when, in seconds '
        'from the first line\'s, and how long; or "text" instead of "tokens"')  # fmt: skip
    add("--inputs_per_request", type=sizes, metavar="N,...", help="texts a request (default: 1)")


def add_load(parser: Parser) -> None:
    """Add how it is sent."""
    add = adder(parser.add_argument_group("how it is sent"))
    add("--scenario", choices=SCENARIOS, help="default: closed")
    add("--concurrency", type=sizes, metavar="N,...", help="clients of a closed run; a run each (default: 8)")
    add("--rate", type=rates, metavar="R,...", help="requests a second of an open run; a run each (at most 20,000 "
        "for each of --processes)")  # fmt: skip
    add("--arrivals", choices=("poisson", "constant"), help="of an open run (default: poisson)")
    add("--duration", type=duration, metavar="TIME", help="of a run (default: 10s)")
    add("--requests", type=positive, metavar="N", help="of a run, at most")
    add("--warmup", type=delay, metavar="TIME", help="closed, before each run, and in no figure (default: 2s)")
    add("--timeout", type=duration, metavar="TIME", help="of a request (default: 30s)")
    add("--slo", type=duration, metavar="TIME", help="what p99 has to keep; of other scenarios it gives the goodput")
    add("--errors", type=share, metavar="SHARE", help="of requests that may fail within the SLO (default: 0.1%%)")
    add("--processes", type=positive, metavar="N", help="client processes, for more than one core sends (default: 1)")
    add("--seed", type=natural, metavar="N", help="of arrivals, made-up texts and the sample (default: 0)")


def parse(argv: Sequence[str]) -> LoadArguments:
    """Read a command line. Raises UsageError."""
    parser = build_parser()
    command = CommandLine.parse(argv, parser.flags)
    values: dict[str, Any] = vars(parser.parse_known(command.words))
    arguments = LoadArguments(given=command.given, **values)
    check(arguments)
    return arguments


def check(arguments: LoadArguments) -> None:
    """Raise UsageError for what is missing or does not go together."""
    if (arguments.url is None) == (arguments.serve is None):
        raise UsageError("name the service with --url URL, or start one with --serve '--platform cpu'; one of the two")
    sources = [name for name in ("dataset", "texts", "tokens", "trace") if getattr(arguments, name) is not None]
    if len(sources) != 1:
        raise UsageError("name what is sent with one of --dataset DIR, --texts FILE, --tokens LENGTHS and --trace FILE")
    given = dict(arguments.given)
    for scenario, option in (("open", "rate"), ("trace", "trace"), ("slo", "slo")):
        if arguments.scenario == scenario and option not in given:
            raise UsageError(f"--scenario {scenario} needs --{option}")
    for option, scenarios in (
        ("rate", ("open",)), ("arrivals", ("open", "slo")), ("trace", ("trace",)),
        ("concurrency", ("closed", "offline")),
    ):  # fmt: skip
        if option in given and arguments.scenario not in scenarios:
            raise UsageError(f"--{option} goes with --scenario {' or '.join(scenarios)}")
    most = MOST_RATE * arguments.processes
    if max(arguments.rate, default=0) > most:
        raise UsageError(
            f"--rate {max(arguments.rate):g}: --processes {arguments.processes} send {most:,} a second at most"
        )
    if arguments.scenario in ("trace", "slo") and "requests" in given:
        raise UsageError(f"--requests does not go with --scenario {arguments.scenario}; --duration cuts a run")
