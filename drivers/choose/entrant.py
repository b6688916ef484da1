"""One candidate that is set up: its model, its settings, and what encoding a few texts takes it."""

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fmbench import backend, counters, model
from fmbench.encoder import Encoder, Role, Timings
from fmbench.errors import FmbenchError, UsageError, first_line
from fmbench.measure import Clock
from fmbench.session import facts_of
from fmbench.torch_settings import Settings, threads_at_start

from .candidates import Planned

if TYPE_CHECKING:
    import numpy as np

FEW = 8  # texts that are enough to have run in bulk
TEXTS = {"online": (1, 16), "bulk": (16, 2048)}  # of a turn, at least and at most
SECONDS = 0.1  # that a turn of the reference should take online
LONGEST = 2.5  # seconds of one in bulk, where the least texts take no longer
USUAL, BATCHES = 64, 4  # texts of a turn in bulk, and the platform's own batches: enough for streams, and large ones
WARM = 3.0  # seconds, in which online lengths of texts are met before the race
ROLE: dict[str, Role] = {"online": "query", "bulk": "passage"}


@dataclass(frozen=True, slots=True)
class Encoded:
    """What encoding some texts gave, and took: vectors (n, d), and joules where the platform counts them."""

    vectors: "np.ndarray"
    tokens: int
    nanoseconds: int
    joules: float | None


@dataclass
class Entrant:
    """A candidate; `why_not` says what keeps it from running. `set_up` comes first.

    One that is `untried` could run, but for this budget: the log keeps nothing of that, and a larger one tries it.
    """

    planned: Planned
    why_not: str | None = None
    untried: bool = False
    encoder: Encoder | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    phases: dict[str, float] = field(default_factory=dict)  # seconds of what is in no turn, since they were last told
    paces: dict[str, float] = field(default_factory=dict)  # seconds a text, by profile, of who measured a turn
    memory_bytes: int | None = None
    tokens_per_batch: int | None = None  # in bulk; given where an earlier run measured it
    program: str | None = None  # what gives its vectors in production, once it was judged

    @property
    def name(self) -> str:
        """What it is called in the log."""
        return self.planned.name

    @property
    def brings(self) -> frozenset[str]:
        """The packages that it needs beyond torch."""
        if self.planned.arguments is None:
            return frozenset()
        platform = backend.find(self.planned.arguments.platform)
        quantizer = str(self.facts.get("quantizer") or "").split()[:1]
        torchao = {"torchao"} if "torchao" in self.planned.overrides else set()
        return frozenset({*platform.distributions, *quantizer, *torchao} - {"torch"})

    def set_up(self, profiles: Sequence[str], texts: Callable[[str], Sequence[str]]) -> None:
        """Load the model and run it once on the `texts` of each profile; what fails is why it cannot run.

        In bulk, the tokens a batch that are best are measured on all of them, where nothing says how many.
        """
        import torch

        clock = Clock()
        start, before = clock.now(), counters.host_resident()
        torch.set_num_threads(threads_at_start())  # of one without --threads; the one before may have had fewer
        try:
            plan = self.planned.plan()
            plan.similarity(None)
            budget = plan.said.tokens_per_batch or self.tokens_per_batch or ("auto" if "bulk" in profiles else None)
            self.encoder = Encoder(replace(plan, said=replace(plan.said, tokens_per_batch=budget)))
            self.phases["load"] = (clock.now() - start) / 1e9
            for profile in profiles:
                self.warm_up(texts(profile), profile)
            after = counters.host_resident()
            self.facts = {**facts_of(self.encoder), **self.encoder.platform.ask_model_facts()}
        except Exception as error:  # a compiler, a platform, a type: whatever it is, the others go on
            self.fail(error)
            return
        self.memory_bytes = None if before is None or after is None else max(0, after - before)
        settled = self.encoder.budget("passage")
        self.tokens_per_batch = settled.tokens if settled else None

    def warm_up(self, texts: Sequence[str], profile: str) -> None:
        """Encode texts without keeping what that takes in a turn; online, one of each length.

        Engines make a plan of each length. In production they have it; the first turns would tell what making it takes.
        """
        if self.encoder is None:
            raise ValueError(f"{self.name} is not set up")
        clock, timings = Clock(), Timings()
        self.encoder.timings = timings
        start, role = clock.now(), ROLE[profile]
        if profile == "bulk":
            self.encoder.settle(texts, role)
            self.encoder.share_budget(role)  # queries are judged, and run in production, with that one too
            self.encoder.encode(texts[:FEW], role)
        else:
            lengths = self.encoder.tokenise(texts, role).lengths
            for text in dict(zip(lengths.tolist(), texts, strict=True)).values():
                if (clock.now() - start) / 1e9 - timings.one_off < WARM:
                    self.encoder.encode([text], role)
        timings.took("warm_up", (clock.now() - start) / 1e9 - timings.one_off)
        self._include(timings)

    def turn(self, texts: Sequence[str], profile: str) -> int:
        """Return how many texts make a turn, for all candidates, at this one's pace. Its model is loaded.

        Online enough to be timed; in bulk enough for batches as the platform has them, as far as that is not too long.
        """
        if self.encoder is None:
            raise ValueError(f"{self.name} is not set up")
        (least, most), clock, timings = TEXTS[profile], Clock(), Timings()
        some, budget = texts[:least], self.encoder.platform.tokens_per_batch
        begun = clock.now()
        for _ in range(2):  # the first one warms up
            self.encoder.timings, start = Timings(), clock.now()
            list(self.encoder.encode_chunks([some], ROLE[profile], budget))
            seconds = max((clock.now() - start) / 1e9 - self.encoder.timings.one_off, 1e-9) / len(some)
        self.paces[profile] = seconds
        tokens = max(1.0, self.encoder.timings.tokens / len(some))
        timings.took("warm_up", (clock.now() - begun) / 1e9)
        self._include(timings)
        wanted = SECONDS / seconds
        if profile == "bulk":
            wanted = min(LONGEST / seconds, max(USUAL, BATCHES * budget / tokens))
        return int(min(most, max(least, wanted)))

    def _include(self, timings: Timings) -> None:
        for name, seconds in timings.phases.items():
            self.phases[name] = self.phases.get(name, 0) + seconds

    def encode(self, texts: Sequence[str], profile: str) -> "Encoded | None":
        """Return what encoding texts gave, and took; None where it failed, and then it is let go.

        Online, one text after the other. What a compiler does on the way is in no turn.
        """
        import numpy as np

        if self.encoder is None:
            return None
        clock, timings = Clock(), Timings()
        self.encoder.timings = timings
        parts = [[text] for text in texts] if profile == "online" else [texts]
        try:
            before, start = self.encoder.platform.read_energy(), clock.now()
            vectors = [self.encoder.encode(part, ROLE[profile], once=True) for part in parts]
            taken = clock.now() - start - round(timings.one_off * 1e9)
            spent = self.encoder.platform.read_energy().since(before)
            self._include(timings)
        except Exception as error:  # compilers fail with some shape, in their own ways
            self.fail(error)
            return None
        return Encoded(np.concatenate(vectors), timings.tokens, taken, None if timings.one_off else spent.joules)

    def fail(self, error: Exception) -> None:
        """Keep why it cannot go on, and let its model go."""
        kind = "" if isinstance(error, FmbenchError) else f"{type(error).__name__}: "
        self.why_not = kind + first_line(error)
        self.let_go()

    def leave_out(self, reason: str) -> None:
        """Keep that it is not tried, for lack of budget, and how that came."""
        self.why_not, self.untried = f"not tried: {reason}", True

    def let_go(self) -> None:
        """Free the model."""
        self.encoder = None
        gc.collect()


def check_memory(planned: Planned) -> None:
    """Raise UsageError where a model's weights alone do not fit memory."""
    plan = planned.plan()
    lack = model.lack_of_memory(plan.source, plan.arguments.evaluated(), plan.platform)
    if lack is not None:
        raise UsageError(f"{planned.name}: {lack}; free memory, or choose on a larger machine")


class Stable:
    """Entrants that are set up beside each other; the settings of one hold at a time."""

    def __init__(self) -> None:
        self._wishes: list[tuple[Any, int | None]] = []
        self._places: dict[str, int] = {}
        self._settings: Settings | None = None

    def add(self, entrant: Entrant) -> None:
        """Take one that was set up."""
        if entrant.encoder is None:
            raise ValueError(f"{entrant.name} is not set up")
        self._places[entrant.name] = len(self._wishes)
        self._wishes.append((entrant.encoder.arguments.options, entrant.encoder.arguments.threads))
        self.renew()

    def renew(self) -> None:
        """Make nobody's settings hold: setting one up, even in vain, changed those that did."""
        import torch

        if self._settings is not None:
            self._settings.activate(0)  # what torch had is asked again
        torch.set_num_threads(threads_at_start())
        self._settings = Settings(self._wishes)

    def activate(self, entrant: Entrant) -> None:
        """Make an entrant's settings hold."""
        if self._settings is not None:
            self._settings.activate(self._places[entrant.name])
