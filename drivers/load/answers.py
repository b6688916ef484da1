"""The answers that were kept of a run: decoded when it is over, which is timed too."""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .endpoint import BadAnswerError, Endpoint
from .payload import Payload
from .records import COLUMNS, Records

if TYPE_CHECKING:
    import numpy as np

MOST_TOKENS = 1_000_000_000  # of an answer


@dataclass
class Answers:
    """`found` has (body, vectors of shape (n, d)) of each answer that could be read, `unread` the bodies of the others.

    `odd` is a count of tokens that is none, as the service said it.
    """

    payload: Payload
    found: "list[tuple[int, np.ndarray]]" = field(default_factory=list)
    unread: list[int] = field(default_factory=list)
    seconds: float = 0.0
    counted: dict[int, int] = field(default_factory=dict)  # tokens by body
    odd: Any = None

    @property
    def decode_ms(self) -> float | None:
        """Mean milliseconds that decoding an answer takes a client."""
        count = len(self.found) + len(self.unread)
        return round(self.seconds / count * 1e3, 6) if count else None

    def tokens(self, records: Records) -> int | None:
        """Return the tokens of all answers of a run; None where the service does not say how many a request has.

        It says so of the answers that were kept; the mean of these stands for the requests that no answer was kept of.
        """
        if records.server_ms["tokens"]:
            return int(records.server_ms["tokens"])
        if not self.counted:
            return None
        table = records.table()
        answered = table[table[:, COLUMNS.index("failure")] == 0][:, COLUMNS.index("body")]
        mean = sum(self.counted.values()) / len(self.counted)
        return round(sum(self.counted.get(body, mean) for body in answered.tolist()))


def decode(endpoint: Endpoint, payload: Payload, records: Records) -> Answers:
    """Read the answers that were kept."""
    answers = Answers(payload)
    begun = time.perf_counter()
    for _, body, raw in sorted(records.sample):
        try:
            vectors, tokens = endpoint.vectors(raw)
        except BadAnswerError:
            answers.unread.append(body)
            continue
        answers.found.append((body, vectors))
        if type(tokens) is int and 0 < tokens <= MOST_TOKENS:
            answers.counted[body] = tokens
        elif tokens is not None:
            answers.odd = tokens
    answers.seconds = time.perf_counter() - begun
    return answers
