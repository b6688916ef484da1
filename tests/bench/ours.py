"""One of our encoders in a process of its own, which answers as peers do.

    python -m tests.bench.ours WAY THREADS TEXTS

A line of JSON is a list of calls, each a list of texts; the answer is [the seconds of each, those of the stages of
each, the vectors of the last]. TEXTS is what int8 may learn from.
"""

import json
import os
import sys
import time
from pathlib import Path

from fmbench.encoder import STAGES
from fmbench.torch_settings import spin_briefly

from .ways import OURS, load

NAMES = ("tokenise", *STAGES)


def main() -> None:
    """Answer until the input ends."""
    way, threads, texts = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    spin_briefly()
    import torch

    torch.set_num_threads(int(threads))
    options = tuple(one.replace("{calibration}", str(Path(texts))) for one in OURS[way].options)
    encoder = load(OURS[way].platform, options, int(threads))
    for line in sys.stdin:
        seconds, stages, vectors = [], [], None
        for asked in json.loads(line):
            before, start = dict(encoder.timings.seconds), time.perf_counter()
            vectors = encoder.encode(asked)
            seconds.append(time.perf_counter() - start)
            after = encoder.timings.seconds
            stages.append({name: after[name] - before.get(name, 0.0) for name in NAMES if name in after})
        answers.write(json.dumps([seconds, stages, vectors.tolist()]) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
