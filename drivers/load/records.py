"""Every request of a run, a row each: when it was due, when what happened, and how it ended."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# Moments are nanoseconds of `time.monotonic_ns`; `connected` and `written` are 0 where that did not happen. `failure`
# is 0 for an answer, else one more than the place of its text in `failures`.
COLUMNS = ("number", "body", "due", "sent", "connected", "written", "first", "done", "status", "failure", "bytes")
SPLIT = ("tokenization", "queue", "inference", "total")  # of TEI's x-*-time headers


@dataclass
class Records:
    """What one client process, or all of them, kept. `sample` has bodies of answers by (number, body)."""

    rows: "array[int]" = field(default_factory=lambda: array("q"))
    failures: list[tuple[int, str]] = field(default_factory=list)  # status, and what the body or the error says
    sample: list[tuple[int, int, bytes]] = field(default_factory=list)
    server_ms: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys((*SPLIT, "count", "tokens"), 0.0)
    )  # sums of the service's own times, and their "count"
    start: int = 0
    cpu: float = 0.0  # seconds
    gone: bool = False  # it was given up: nobody answered any more
    unsent: int = 0

    def table(self) -> "np.ndarray":
        """Return the rows, int64 of shape (requests, columns), in the order of when they were due."""
        import numpy as np

        found = np.frombuffer(self.rows, dtype=np.int64).reshape(-1, len(COLUMNS))
        return found[np.argsort(found[:, COLUMNS.index("due")], kind="stable")]


def together(parts: Sequence[Records]) -> Records:
    """Return what several processes kept, as one."""
    whole = Records(start=parts[0].start, cpu=max(part.cpu for part in parts), gone=any(part.gone for part in parts))
    place, width = COLUMNS.index("failure"), len(COLUMNS)
    for part in parts:
        rows = array("q", part.rows)
        for index in range(place, len(rows), width):
            if rows[index]:
                rows[index] = 1 + index_of(part.failures[rows[index] - 1], whole.failures)
        whole.rows.extend(rows)
        whole.sample += part.sample
        for name, sum_of in part.server_ms.items():
            whole.server_ms[name] += sum_of
        whole.unsent += part.unsent
    return whole


def index_of(failure: tuple[int, str], known: list[tuple[int, str]]) -> int:
    """Return the place of a failure among those that are known, to which it is added."""
    if failure not in known:
        known.append(failure)
    return known.index(failure)
