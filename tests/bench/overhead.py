"""What doubt costs: a shape's wall time with statistics, counters, stopping rule and phases, beyond the bare loop.

The bare loop makes the same inputs, times the same calls and prints the same REP lines, at 5 ms a repetition.
"""

import io
import time

from fmbench.backends.null import NullBackend
from fmbench.drivers.bench import Bench
from fmbench.drivers.embed import settle_memory
from fmbench.drivers.variant import Variant
from fmbench.lines import Rep
from fmbench.measure import Clock, Shape, TokenGenerator, nothing
from fmbench.options import parse_arguments
from fmbench.session import LogWriter
from fmbench.stats import median
from fmbench.stopping import Rule

MILLISECONDS = 5
REPETITIONS = 300
ROUNDS = 5
SHAPE = Shape(128, 1)
COMMAND = ["--platform=null", "--model_class=none", "--model_name=none", "--input_sizes=128", "--batch_sizes=1"]


def share() -> float:
    """Return the median over rounds, the two loops in turn, of how much longer a whole shape takes."""
    bench = set_up()
    return median([whole(bench) / bare(bench) - 1 for _ in range(ROUNDS)])


def set_up() -> Bench:
    """Return the driver's bench on calls that spin for their time."""
    arguments = parse_arguments([*COMMAND, f"--reps={REPETITIONS}", f"--platform:milliseconds={MILLISECONDS}"])
    platform = NullBackend()
    platform.setup(arguments)
    forward = platform.prepare(None, arguments)
    variant = Variant(0, "", arguments, platform, None, alone=True, forward=forward, activate=nothing, facts={})
    settle_memory()  # as the driver does once a run
    rule = Rule(REPETITIONS, precision=1e-9)  # never reached: the rule looks as often as it ever does
    return Bench([variant], TokenGenerator(32_768, (), 0), LogWriter(io.StringIO()), Clock(), rule)


def whole(bench: Bench) -> float:
    """Return the seconds of one shape, all that is said of it included."""
    start = time.perf_counter()
    bench.run(SHAPE)
    return time.perf_counter() - start


def bare(bench: Bench) -> float:
    """Return the seconds of the same repetitions without anything else."""
    forward, generator, log, clock = bench.variants[0].forward, bench.generator, bench.log, bench.clock
    start = time.perf_counter()
    generator.start(SHAPE.input_size, SHAPE.batch_size)
    for index in range(1, REPETITIONS + 1):
        batch = generator.batch()
        begin = clock.now()
        forward(batch)
        end = clock.now()
        log.write(Rep(index, REPETITIONS, begin, end, end - begin))
    return time.perf_counter() - start
