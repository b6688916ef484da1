"""REP lines by the hundred: a log of a million of them is read in a second. What one says alone is in lines.py."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# Seconds of the epoch have ten digits from 2001 on; up to 8999999999, nanoseconds fit into 64 bits.
EPOCH = rb"[0-8][0-9]{9}\.[0-9]{9}"
WHOLE = re.compile(
    rb"(?>FMWORK REP [0-9]{1,9}+ [0-9]{1,9}+ " + EPOCH + rb" " + EPOCH + rb" [0-9]{1,9}+\.[0-9]{9}\r?+\n)++"
)


def parse_repetitions(lines: bytes) -> "np.ndarray":
    """Return index, count, start, end and duration (nanoseconds) of REP lines that WHOLE matches: shape (lines, 5)."""
    import numpy as np

    return np.fromstring(lines.translate(None, b"FMWORKEP."), dtype=np.int64, sep=" ").reshape(-1, 5)
