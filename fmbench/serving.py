"""The command line of `fmbench serve`, which `fmbench load --serve` checks too."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass

from fmbench import __version__, backend
from fmbench.encoder import Recipe, Role, add_encoder_arguments, take_recipe
from fmbench.encoder.recipe import AUTO
from fmbench.errors import UsageError
from fmbench.options import SUBOPTION_HELP, Arguments, add_model_arguments, read
from fmbench.parsing import Parser, adder, delay, integer, nonempty, positive

PROGRAM = "fmbench serve"
LARGEST_BODY = 2_000_000  # bytes, as of TEI
EPILOG = f"""\
It is a reference: what the load generator is tested with, and a server for platforms that have none. It is no
production server: one process, one model, no TLS, no keys.

routes:
  POST /v1/embeddings   as OpenAI's: float and base64, dimensions
  POST /embed           as text-embeddings-inference's: prompt_name query or passage, truncate, dimensions
  GET  /v1/models, /info, /health, /metrics
A body of more than {LARGEST_BODY:,} bytes is 413, whatever --max_inputs allows.

SIGTERM and Ctrl-C: no more is accepted, and what was accepted is answered.

Two texts are computed once more now and then, half a percent of the work at most. Where one has another vector then,
every further answer is an error, and the exit code 3.

examples:
  fmbench serve --platform cpu --model_name models/minilm --port 8080
  fmbench serve --platform null --model_name none --service_time 5ms      (answers, and computes nothing)

{SUBOPTION_HELP}"""


@dataclass(frozen=True, kw_only=True)
class ServeArguments(Arguments):
    """One command line of the server. Times are in seconds."""

    recipe: Recipe
    host: str = "127.0.0.1"
    port: int = 8080
    role: Role = "passage"
    max_wait: float = 0.002
    max_queue: int = 512
    max_inputs: int = 256
    service_time: float = 0.0


def port(text: str) -> int:
    """Read a port; 0 takes one that is free."""
    return integer(text, 0, 65535)


def build_parser() -> Parser:
    """Return the parser of the server."""
    parser = Parser(
        prog=PROGRAM, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Serve a model's vectors on one platform, over HTTP.", epilog=EPILOG,
    )  # fmt: skip
    add_model_arguments(parser)
    add_encoder_arguments(parser)
    add = adder(parser.add_argument_group("how to serve"))
    add(
        "--host", type=nonempty, metavar="ADDRESS",
        help="where to listen (default: 127.0.0.1, which nobody else reaches)",
    )  # fmt: skip
    add("--port", type=port, metavar="N", help="default: 8080; 0 takes one that is free, and says which")
    add("--role", choices=("query", "passage"), help="whose prompt stands before a text (default: passage)")
    add("--max_wait", type=delay, metavar="TIME", help="the first of a batch waits for others so long at most, where "
        "--tokens_per_batch is not reached before (default: 2ms)")  # fmt: skip
    add("--max_queue", type=positive, metavar="N", help="texts that wait; beyond, the answer is 429 (default: 512)")
    add("--max_inputs", type=positive, metavar="N", help="texts of a request; beyond, it is 422 (default: 256)")
    add("--service_time", type=delay, metavar="TIME", help="what a request takes on a platform without a model, which "
        "answers one after the other (default: nothing)")  # fmt: skip
    parser.add_argument("--version", action="version", version=f"fmbench {__version__}")
    return parser


def parse(argv: Sequence[str]) -> ServeArguments:
    """Read a command line without importing torch. Raises UsageError."""
    values = read(build_parser(), argv)
    arguments = ServeArguments(recipe=take_recipe(values), **values)
    if arguments.service_time and backend.find(arguments.platform).builds_model:
        raise UsageError(f"--service_time: {arguments.platform} computes, and takes the time that it takes; it goes "
                         "with --platform null")  # fmt: skip
    if arguments.recipe.tokens_per_batch == AUTO:
        raise UsageError("--tokens_per_batch auto: a server has no texts to measure on before it serves; give a number")
    if re.search(r"[\s/:]|^$", arguments.host.strip("[]").replace(":", "")):
        raise UsageError(f"--host {arguments.host}: no address; write one such as 127.0.0.1 or 0.0.0.0")
    return arguments
