"""How the threads of one computation wait for each other: a moment by spinning, then asleep.

By default libgomp, which torch's wheels for Linux compute with, spins for milliseconds at the end of every parallel
region. Where another program wants the processor, that burns the time in which the last thread would have finished.
"""

import os
import sys

VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
SPINS = "1000"  # what libgomp itself takes where it has more threads than processors; tests/bench/busy.py measures it


def spin_briefly() -> None:
    """Let threads spin no longer than that, unless the environment says how. Call it before torch is imported."""
    if "torch" not in sys.modules and not any(name in os.environ for name in VARIABLES):
        os.environ["GOMP_SPINCOUNT"] = SPINS
