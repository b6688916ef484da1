"""Lines that the tests of logs are made of."""

from pathlib import Path

from fmbench import lines
from fmbench.process.workload import installed

KINDS = (*lines.POSITIONAL, *lines.CORE, *(kind for workload in installed().values() for kind in workload.kinds))

LOG = 'FMWORK LOG {"format": 1, "program": "test"}'
RES = "FMWORK RES 1.000000000 2.000000000 m C 8 4 2.000 2000.0"
STAT = lines.JsonLine(
    "STAT", dict.fromkeys(("n", "dropped", "cold", "min", "p50", "p90", "p95", "p99", "mad"), 0)
).format()
GOLDEN = Path(__file__).parent.parent / "golden" / "format-1.log"


def case(input_size=8, batch_size=4, **more):
    return lines.JsonLine("CASE", {"input_size": input_size, "batch_size": batch_size, "reps": 9, **more}).format()


def phase(name, seconds, **more):
    return lines.JsonLine("PHASE", {"name": name, "seconds": seconds, **more}).format()


def pair(b, **more):
    return lines.JsonLine("PAIR", {"input_size": 8, "batch_size": 4, "a": "A", "b": b, **more}).format()


def rep(index, milliseconds, count=9):
    return lines.Rep(index, count, index * 10**9, index * 10**9 + milliseconds * 10**6, milliseconds * 10**6).format()


def sizes(printed):
    return [(row["input"], row["batch"]) for row in printed.rows]
