"""The variants of one model side by side: their vectors, and how long each part of the corpus took each of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fmbench.clock import Clock
from fmbench.encoder import Encoder, EncoderPlan, Role, Timings
from fmbench.errors import FmbenchError, first_line
from fmbench.torch_settings import Settings

from .arguments import CaptureArguments

if TYPE_CHECKING:
    import numpy as np

ROLES: tuple[Role, ...] = ("query", "passage")
PART = 64  # texts that one variant encodes before it is the next one's turn, at most
TURNS = 12  # at least, where there are so many texts: with fewer the speed is no verdict


@dataclass
class Rung:
    """One variant. `error` says why it is not there; else it has vectors of both roles and a duration a part."""

    name: str
    arguments: CaptureArguments | None
    error: Exception | None = None
    encoder: Encoder | None = None
    parts: "dict[Role, list[np.ndarray]]" = field(default_factory=lambda: {"query": [], "passage": []})
    seconds: list[float] = field(default_factory=list)  # a part of the passages

    @property
    def works(self) -> bool:
        """Whether it has not failed."""
        return self.error is None

    @property
    def failure(self) -> str | None:
        """Why it is not there, on one line; the class of an error that is none of ours says what kind it is."""
        if self.error is None:
            return None
        kind = "" if isinstance(self.error, FmbenchError) else f"{type(self.error).__name__}: "
        return kind + first_line(self.error)

    def vectors(self, role: Role) -> "np.ndarray":
        """Return the vectors of a role, float32 (n, d)."""
        import numpy as np

        return np.concatenate(self.parts[role])

    def fail(self, error: Exception) -> None:
        """Keep why it cannot go on, and let its model go."""
        self.error, self.encoder = error, None

    def load(self) -> None:
        """Set the variant up; one that cannot be has a reason."""
        if self.arguments is None or not self.works:
            return
        try:
            plan = EncoderPlan.of(self.arguments, self.arguments.recipe)
            plan.similarity(None)
            self.encoder = Encoder(plan)
        except Exception as error:  # a compiler, a platform, a type: whatever it is, the others go on
            self.fail(error)

    def encode(self, texts: Sequence[str], role: Role, clock: Clock) -> None:
        """Encode a part, and note how long that took."""
        if self.encoder is None:
            return
        try:
            timings = self.encoder.timings = Timings()
            start = clock.now()
            vectors = self.encoder.encode(texts, role)
            seconds = (clock.now() - start) / 1e9 - timings.one_off  # what compiles does so in some parts only
        except Exception as error:  # compilers fail with the first call, in their own ways
            self.fail(error)
            return
        self.parts[role].append(vectors)
        if role == "passage":
            self.seconds.append(seconds)


def climb(rungs: Sequence[Rung], passages: Sequence[str], queries: Sequence[str], done: Callable[[int], None]) -> None:
    """Load every variant, and encode all texts with each: part after part, each part with all of them in turn.

    The order alternates, so that no variant always follows the same one. `done` is told how many passages are encoded.
    Raises what the first one, the reference, raises when it is set up: nothing could be held against it.
    """
    for rung in rungs:
        rung.load()
        if rungs[0].error is not None:
            raise rungs[0].error
    there = [rung for rung in rungs if rung.encoder is not None]
    known = [rung.encoder.arguments for rung in there if rung.encoder is not None]
    settings = Settings([(arguments.options, arguments.threads) for arguments in known])
    clock = Clock()
    for role, texts in zip(ROLES, (queries, passages), strict=True):
        size = max(1, min(PART, len(texts) // TURNS))
        for turn, start in enumerate(range(0, len(texts), size)):
            order = list(enumerate(there))
            for index, rung in order if turn % 2 == 0 else reversed(order):
                settings.activate(index)
                rung.encode(texts[start : start + size], role, clock)
            done(start if role == "passage" else 0)
