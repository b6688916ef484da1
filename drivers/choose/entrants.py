"""The candidates as they are set up: what that takes, who fails, whose settings hold, and what is known of each."""

import re
from collections.abc import Iterator, Mapping, Sequence

from fmbench.console import Progress
from fmbench.errors import FmbenchError
from fmbench.measure import Clock
from fmbench.session import run_facts
from fmbench.whole_file import write_whole

from . import records, set_ups
from .arguments import STDOUT, ChooseArguments
from .candidates import Planned, base_of, fewer_threads
from .decision import Known
from .entrant import Entrant, Stable, check_memory
from .log import ChoiceLog
from .production import command_of, files_of, renamed
from .quality import Quality
from .race import Race
from .texts import Subject

FEWER = re.compile(r"(.+), (\d+) threads?")  # what `fewer_threads` calls a candidate
ROOM = 2  # times its weights, that a first model takes while it is loaded


class Budget:
    """What is left of `--budget`; what an earlier run of the same command spent counts. Says what goes on."""

    def __init__(self, seconds: float, log: ChoiceLog, progress: Progress) -> None:
        self.seconds, self.start = seconds, Clock().now()
        self._log, self._progress, self._clock = log, progress, Clock()

    @property
    def left(self) -> float:
        """Seconds, below 0 where more was spent."""
        return self.seconds - self._log.spent - (self._clock.now() - self.start) / 1e9

    def say(self, text: str, at_once: bool = False) -> None:
        """Show what goes on, and how much is left."""
        left = self.left
        said = f"{left:.0f} s of the budget left" if left > 0 else f"{-left:.0f} s beyond the budget"
        self._progress.show(f"{text} ({said})", at_once)


class Entrants(Mapping[str, Entrant]):
    """Every candidate by name, the reference first.

    `costs` are the seconds that setting up took in this run; `sizes` are the texts of a turn, by profile.
    """

    def __init__(
        self, arguments: ChooseArguments, subject: Subject, planned: Sequence[Planned], log: ChoiceLog, budget: Budget
    ) -> None:
        self.subject, self.costs, self.sizes = subject, dict[str, float](), dict[str, int]()
        self._arguments, self._log, self._budget, self._stable = arguments, log, budget, Stable()
        self._by_name = {
            one.name: Entrant(one, one.why_not, tokens_per_batch=arguments.again.batches.get(one.name))
            for one in planned
        }
        self.reference = next(iter(self._by_name.values()))

    def __getitem__(self, name: str) -> Entrant:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    @property
    def failures(self) -> list[str]:
        """Who could not run although it should have been able to, and why."""
        return [f"{one.name}: {one.why_not}" for one in self.values() if one.why_not and not one.planned.why_not]

    def pending(self, entered: set[str]) -> list[Entrant]:
        """Return who never entered a race; those first whose files lie in the cache, those last that compile."""
        found = [one for one in self.values() if one.why_not is None and one.name not in entered]
        return sorted(found, key=lambda one: (one.planned.compiles, not set_ups.is_known(one.planned)))

    def fits(self) -> bool:
        """Whether one more model fits memory: the largest so far is what one takes."""
        encoder = self.reference.encoder
        free = encoder.platform.attempt("free_bytes")[0] if encoder else None
        largest = max((one.memory_bytes or 0 for one in self.values()), default=0)
        return free is None or largest * ROOM < free

    def take_up(self, name: str) -> None:
        """Take over a candidate with fewer threads, of which the log speaks."""
        found = FEWER.fullmatch(name)
        if found and name not in self and found[1] in self:
            self.fewer(self[found[1]], int(found[2]))

    def take_up_set_ups(self) -> None:
        """Take over what the log says of set-ups: who failed, and what was measured of the others."""
        for name, reason in self._log.failures.items():
            self.take_up(name)
            if name in self:
                self[name].why_not = self[name].why_not or reason
        for name, found in self._log.set_ups.items():
            self.take_up(name)
            self[name].memory_bytes, self[name].tokens_per_batch = found["memory_bytes"], found.get("tokens_per_batch")
            self[name].facts = self._log.facts.get(name, {})

    def fewer(self, base: Entrant, threads: int) -> Entrant:
        """Return the candidate that has fewer threads than another, a new one where there is none yet."""
        platform = self.reference.name.split()[0]
        planned = fewer_threads(base.planned, base_of(self._arguments.command, platform), threads)
        found = Entrant(planned, planned.why_not, tokens_per_batch=base.tokens_per_batch)
        return self._by_name.setdefault(planned.name, found)

    def size(self, profile: str) -> int:
        """Return how many texts make a turn; measured once, by the reference, which is loaded."""
        if profile not in self.sizes:
            self.activate(self.reference)
            self.sizes[profile] = self.reference.turn(self.subject.texts(profile), profile)
        return self.sizes[profile]

    def turn_seconds(self, race: Race) -> float:
        """Return what a turn of a race takes the reference: as its turns say, or what measured their size."""
        size, lane = self.size(race.profile), race.lane(self.reference.name)
        pace = lane.nanoseconds_per_text / 1e9 if lane and lane.turns else self.reference.paces.get(race.profile, 0.0)
        return size * pace

    def set_up_reference(self) -> None:
        """Set the reference up, and begin the log. Raises what it raises."""
        first = self.reference
        if first.planned.arguments is None:
            raise FmbenchError(f"{first.name}: {first.why_not}")
        check_memory(first.planned)
        shared = run_facts(first.planned.arguments, first.planned.plan().platform.distributions, "encode")
        self._log.begin(self._arguments, first.planned.arguments, {**shared, **self.subject.facts()})
        for one in self.values():
            if one.planned.why_not and one.name not in self._log.failures:
                self._log.write("FID", records.failure(one, first.name))
        self.set_up(first)
        if first.encoder is None:
            raise self.lost()
        if self._arguments.query_tokens:
            self.subject = self.subject.asking(self._arguments.query_tokens, first.encoder)
            first.warm_up(self.subject.queries, "online")
            self.tell_phases(first)

    def lost(self) -> FmbenchError:
        """Return the error that nothing goes on without the reference."""
        return FmbenchError(f"{self.reference.name}, the reference: {self.reference.why_not}")

    def set_up(self, entrant: Entrant) -> None:
        """Set an entrant up, and say what that took."""
        self._budget.say(f"sets up {entrant.name}", at_once=True)
        entrant.set_up(self._arguments.profiles, self._met)
        self.costs[entrant.name] = sum(entrant.phases.values())
        self.tell_phases(entrant)
        if entrant.encoder is None:
            self._stable.renew()
            self.tell_failure(entrant)
            return
        self._stable.add(entrant)
        set_ups.remember(entrant.planned)
        self._log.check(entrant.name, entrant.facts)
        if entrant.name not in self._log.facts:
            self._log.write("ENV", {"variant": entrant.name, **entrant.facts})

    def _met(self, profile: str) -> Sequence[str]:
        """Return the texts that candidates run before the race: in bulk those of a turn, for which budgets are best."""
        return self.subject.queries if profile == "online" else self.subject.round(profile, 0, self.size(profile))

    def activate(self, entrant: Entrant) -> None:
        """Make an entrant's settings hold; it is set up."""
        self._stable.activate(entrant)

    def tell_phases(self, entrant: Entrant) -> None:
        """Say what took time beside turns."""
        for name, seconds in entrant.phases.items():
            found = {"memory_bytes": entrant.memory_bytes, "tokens_per_batch": entrant.tokens_per_batch}
            said = {"name": name, "seconds": round(seconds, 6), "variant": entrant.name}
            self._log.write("PHASE", {**said, **(found if name == "load" else {})})
        entrant.phases.clear()

    def tell_failure(self, entrant: Entrant) -> None:
        """Say why one cannot run."""
        self._log.write("FID", records.failure(entrant, self.reference.name))

    def known(self, qualities: Mapping[str, Quality]) -> dict[str, Known]:
        """Return what is known of each candidate."""
        return {name: self._known(one, qualities.get(name)) for name, one in self.items()}

    def _known(self, entrant: Entrant, quality: Quality | None) -> Known:
        """Return what is known of one; the texts that it rounds after are named by a copy beside the log."""
        planned, file, log = entrant.planned, self.subject.calibration, self._arguments.check or self._arguments.log
        copy = file if log == STDOUT else log.parent / file.name
        rounds = str(file) in planned.overrides
        if entrant.facts and rounds and not copy.exists():
            write_whole(copy, file.read_bytes())
        dataset = self._arguments.dataset if self.subject.judged else None  # without judgements it would be refused
        command = command_of(planned.arguments, entrant.tokens_per_batch, dataset, self._arguments.split,
                             self.subject.collection.other_documents)  # fmt: skip
        named = [one for one in (dataset, copy if rounds else None) if one is not None]
        return Known(
            planned.name, renamed(planned.overrides, file, copy), planned.reason, entrant.why_not, entrant.untried,
            entrant.memory_bytes, entrant.tokens_per_batch, entrant.facts, entrant.brings, quality,
            command and renamed(command, file, copy), entrant.program, files_of(planned.arguments, named),
        )  # fmt: skip
