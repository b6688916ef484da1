"""How often --vs is right, on the null backend with noise: identical variants, and one that is 3% slower."""

import io

from fmbench.backends.null import NullBackend
from fmbench.drivers.bench import Bench
from fmbench.drivers.variant import Variant
from fmbench.lines import is_json, parse_line
from fmbench.measure import Clock, Shape, TokenGenerator, nothing
from fmbench.options import parse_arguments
from fmbench.session import LogWriter
from fmbench.stopping import Rule

RUNS = 100
REPETITIONS = 200
MILLISECONDS = 1.0
NOISE = 0.05
COMMAND = ["--platform=null", "--model_class=none", "--model_name=none", "--input_sizes=8", "--batch_sizes=1"]


def verdicts(slower: float) -> dict[str, int]:
    """Return how often each verdict came out of 100 comparisons of A with a B that takes `slower` times as long."""
    found: dict[str, int] = {}
    for run in range(RUNS):
        verdict = compare(slower, seed=run)
        found[verdict] = found.get(verdict, 0) + 1
    return found


def compare(slower: float, seed: int) -> str:
    """Measure A and B for real, a call spinning for its noisy time, and return the verdict."""
    variants = [variant(index, MILLISECONDS * factor) for index, factor in enumerate((1.0, slower))]
    log = io.StringIO()
    Bench(variants, TokenGenerator(100, (), 0), LogWriter(log), Clock(), Rule(REPETITIONS), seed).run(Shape(8, 1))
    (pair,) = [line for line in map(parse_line, log.getvalue().splitlines()) if is_json(line, "PAIR")]
    return str(pair.data["verdict"])


def variant(index: int, milliseconds: float) -> Variant:
    """Return one side of the comparison, set up."""
    options = [f"--platform:milliseconds={milliseconds}", f"--platform:noise={NOISE}"]
    arguments = parse_arguments([*COMMAND, f"--reps={REPETITIONS}", *options])
    platform = NullBackend()
    forward = platform.prepare(None, arguments)
    return Variant(index, "", arguments, platform, None, alone=False, forward=forward, activate=nothing, facts={})
