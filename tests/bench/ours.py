"""One of our encoders in a process of its own, which answers as peers do.

    python -m tests.bench.ours WAY THREADS TEXTS

A line of JSON is a list of texts; the answer is [seconds, vectors, the seconds of each stage]. TEXTS is what int8 may
learn from.
"""

import json
import os
import sys
import time
from pathlib import Path

from fmbench.encoder import STAGES
from fmbench.torch_settings import spin_briefly

from .ways import OURS, load


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
        asked, before = json.loads(line), dict(encoder.timings.seconds)
        start = time.perf_counter()
        vectors = encoder.encode(asked)
        elapsed, after = time.perf_counter() - start, encoder.timings.seconds
        stages = {name: after[name] - before.get(name, 0.0) for name in ("tokenise", *STAGES) if name in after}
        answers.write(json.dumps([elapsed, vectors.tolist(), stages]) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
