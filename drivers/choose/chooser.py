"""The course of a choice: set-ups, races in heats, fewer threads, quality. What was done before is taken up."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fmbench import host, lines
from fmbench.console import Progress, note
from fmbench.errors import FmbenchError, UsageError
from fmbench.measure import Clock
from fmbench.session import run_facts
from fmbench.whole_file import write_whole

from . import decision, records, set_ups
from .arguments import STDOUT, ChooseArguments
from .candidates import Planned, base_of, fewer_threads
from .decision import Known
from .entrant import Entrant, Stable, check_memory
from .judging import Judge
from .log import ChoiceLog
from .production import command_of, renamed
from .quality import Keep, cosines
from .race import EARLY, LEAST, Race, Turn, rounds_of
from .texts import Subject

if TYPE_CHECKING:
    import numpy as np

SLACK = 0.2  # of the budget, that the least rounds may take beyond it where all of it went into set-ups
SET_UPS = 0.6  # of the budget, after which nobody else is set up
TURN_SECONDS = {"online": 0.1, "bulk": 0.4}  # that the reference should take, at least
TEXTS = {"online": (1, 16), "bulk": (8, 64)}  # of a turn, at least and at most
BESIDE = 2  # of the fastest, that are tried with fewer threads
FEWER = re.compile(r"(.+), (\d+) threads?")  # what `fewer_threads` calls a candidate
ROOM = 2  # times its weights, that a first model takes while it is loaded


class Chooser:
    """Sets candidates up, lets them race, and judges the finalists."""

    def __init__(
        self, arguments: ChooseArguments, subject: Subject, keep: Keep, planned: Sequence[Planned],
        absent: Sequence[str], log: ChoiceLog, progress: Progress,
    ) -> None:  # fmt: skip
        self._arguments, self._subject, self._keep, self._log = arguments, subject, keep, log
        self._absent, self._progress, self._clock = absent, progress, Clock()
        self._start = self._clock.now()
        self._entrants = {
            one.name: Entrant(one, one.why_not, tokens_per_batch=arguments.batches.get(one.name)) for one in planned
        }
        self._reference = next(iter(self._entrants.values()))
        self._stable = Stable()
        self._heat = 0
        self._sizes: dict[str, int] = {}  # texts of a turn, by profile
        self._costs: dict[str, float] = {}  # seconds of a set-up, by candidate
        self._told = False  # that the budget does not set all up
        least = keep.least if keep.measure == "cosine" else None
        self._races = {
            profile: Race(profile, self._reference.name, least, arguments.seed) for profile in arguments.profiles
        }
        self._judge = Judge(
            self._reference, self._entrants, self._races, subject, keep, log, self._stable, progress, self._set_up
        )
        self._take_up()

    @property
    def is_done(self) -> bool:
        """Whether the log has the answer already."""
        return all(self._log.answers(profile, self._arguments.budget) for profile in self._races)

    @property
    def races_somebody(self) -> bool:
        """Whether anybody took a turn beside the reference."""
        return any(lane.turns for race in self._races.values() for (_, name), lane in race.lanes.items()
                   if name != self._reference.name)  # fmt: skip

    @property
    def failures(self) -> list[str]:
        """Who could not run although it should have been able to, and why."""
        return [
            f"{one.name}: {one.why_not}" for one in self._entrants.values() if one.why_not and not one.planned.why_not
        ]

    @property
    def _left(self) -> float:
        """Seconds of the budget."""
        return self._arguments.budget - self._log.spent - (self._clock.now() - self._start) / 1e9

    def run(self, cache: Path) -> None:
        """Do what is left to do. Raises what the reference raises, and UsageError for a budget that is too small."""
        self._set_up_reference()
        while True:
            self._fill_heat()
            for place, race in enumerate(self._races.values()):
                share = self._left / (len(self._races) - place) / (2 if self._pending else 1)
                self._race(race, self._left - share)
            if not self._pending or self._left <= 0:
                break
            self._next_heat()
        decided = all(race.known(heat) for race in self._races.values() for heat in range(self._heat + 1))
        self._judge.judge(cache)
        self.stand("final" if decided else "budget")
        self._log.write("ENV", host.load_facts("end"))

    def stand(self, status: str) -> bool:
        """Write where each profile stands; return whether there is anything to say."""
        said = False
        known = {name: self._known(one) for name, one in self._entrants.items()}
        for race in self._races.values():
            if any(lane.turns for lane in race.lanes.values()):
                found = decision.choose(race, known)
                for pair in records.pairs(race, found):
                    self._log.write("PAIR", pair)
                data = records.choice(race, found, known, self._arguments, self._keep, status)
                begun = {"start": lines.format_time(self._start), "absent": self._absent}
                self._log.write("CHOICE", {**begun, **data})
                said = True
        return said

    # Setting up

    def _take_up(self) -> None:
        """Take over what the log has: turns, who failed, what was measured of set-ups."""
        for name, reason in self._log.failures.items():
            if name in self._entrants:
                self._entrants[name].why_not = self._entrants[name].why_not or reason
        for group in rounds_of(self._log.turns):
            race = self._races.get(group[0].profile)
            if race is None:
                continue
            for turn in group:
                self._add(turn.variant)
                race.take(turn)
            self._sizes[race.profile], self._heat = group[0].texts, max(self._heat, group[0].heat)
            if race.is_whole(group[0].heat, group[0].round):
                race.look(group[0].heat, group[0].round + 1)
        for name, found in self._log.set_ups.items():
            self._add(name)
            entrant = self._entrants[name]
            entrant.memory_bytes, entrant.tokens_per_batch = found["memory_bytes"], found.get("tokens_per_batch")
            entrant.facts = self._log.facts.get(name, {})

    def _add(self, name: str) -> None:
        """Take a candidate with fewer threads over, of which the log speaks."""
        found = FEWER.fullmatch(name)
        if found and name not in self._entrants and found[1] in self._entrants:
            self._entrants[name] = Entrant(self._fewer(self._entrants[found[1]].planned, int(found[2])))

    def _fewer(self, base: Planned, threads: int) -> Planned:
        return fewer_threads(base, base_of(self._arguments.command, self._reference.name.split()[0]), threads)

    def _set_up_reference(self) -> None:
        """Set the reference up, and begin the log. Raises what it raises."""
        reference = self._reference.planned
        if reference.arguments is None:
            raise FmbenchError(f"{reference.name}: {reference.why_not}")
        check_memory(reference)
        shared = run_facts(reference.arguments, reference.plan().platform.distributions, "encode")
        self._log.begin(self._arguments, reference.arguments, {**shared, **self._subject.facts()})
        for one in self._entrants.values():
            if one.planned.why_not and one.name not in self._log.failures:
                self._log.write("FID", records.failure(one, reference.name))
        self._set_up(self._reference)
        if self._reference.encoder is None:
            raise FmbenchError(f"{reference.name}, the reference: {self._reference.why_not}")
        if self._arguments.query_tokens:
            self._subject = self._subject.asking(self._arguments.query_tokens, self._reference.encoder)
            self._reference.warm_up(self._subject.queries, "online")
            self._tell_phases(self._reference)
        for profile in self._races:
            self._sizes.setdefault(profile, self._size(profile))

    def _size(self, profile: str) -> int:
        """Return how many texts make a turn: enough for the reference to take long enough."""
        least, most = TEXTS[profile]
        found = self._reference.encode(self._subject.round(profile, 0, least), profile)
        seconds = found[2] / 1e9 / least if found else TURN_SECONDS[profile]
        return int(min(most, max(least, TURN_SECONDS[profile] / max(seconds, 1e-9))))

    def _set_up(self, entrant: Entrant) -> None:
        """Set an entrant up, and say what that took."""
        self._say(f"sets up {entrant.name}")
        some = {"online": self._subject.queries, "bulk": self._subject.round("bulk", 0, TEXTS["bulk"][1])}
        entrant.set_up({profile: some[profile] for profile in self._races})
        self._costs[entrant.name] = sum(entrant.phases.values())
        self._tell_phases(entrant)
        if entrant.encoder is None:
            self._log.write("FID", records.failure(entrant, self._reference.name))
            return
        self._stable.add(entrant)
        set_ups.remember(entrant.planned)
        self._log.check(entrant.name, entrant.facts)
        if entrant.name not in self._log.facts:
            self._log.write("ENV", {"variant": entrant.name, **entrant.facts})

    def _tell_phases(self, entrant: Entrant) -> None:
        """Say what took time beside turns."""
        for name, seconds in entrant.phases.items():
            found = {"memory_bytes": entrant.memory_bytes, "tokens_per_batch": entrant.tokens_per_batch}
            said = {"name": name, "seconds": round(seconds, 6), "variant": entrant.name}
            self._log.write("PHASE", {**said, **(found if name == "load" else {})})
        entrant.phases.clear()

    @property
    def _pending(self) -> list[Entrant]:
        """Who was in no heat yet; those first whose files lie in the cache, those last that compile."""
        entered = {name for race in self._races.values() for _, name in race.lanes}
        found = [one for one in self._entrants.values() if one.why_not is None and one.name not in entered]
        return sorted(found, key=lambda one: (one.planned.compiles, not set_ups.is_known(one.planned)))

    def _fill_heat(self) -> None:
        """Set those up who race next: those who did already, and as many more as memory and budget take."""
        self._go_on()
        for one in self._pending:
            others = any(len(race.live(self._heat)) > 1 for race in self._races.values()) or self.races_somebody
            if not self._fits():
                break
            if self._left < (1 - SET_UPS) * self._arguments.budget and others:
                one.why_not = f"not tried: {SET_UPS:.0%} of --budget was spent before its turn to be set up"
                self._log.write("FID", records.failure(one, self._reference.name))
                continue
            self._set_up(one)
            for race in self._races.values() if one.encoder is not None else ():
                race.enter(one.name, self._heat)
            self._tell_of_budget()

    def _tell_of_budget(self) -> None:
        """Say once that the budget sets only some candidates up, at the pace of those so far, and what would do."""
        costs = [seconds for name, seconds in self._costs.items() if name != self._reference.name]
        mean, waiting, budget = sum(costs) / len(costs), len(self._pending), self._arguments.budget
        needed = (budget - self._left + waiting * mean) / SET_UPS
        if waiting and needed > budget and not self._told:
            self._told = True
            note(
                f"--budget {budget:g}s: setting up takes {mean:.0f} s a candidate so far, and {waiting} more wait: "
                f"{SET_UPS:.0%} of the budget will not do for all. About {needed:.0f}s would; or leave some out, with "
                "--platforms or --without"
            )

    def _go_on(self) -> None:
        """Set those up again who are in this heat already, and have not left it."""
        before = {name for race in self._races.values() for heat, name in race.lanes if heat == self._heat}
        for name in (self._reference.name, *sorted(before)):
            for race in self._races.values():
                if self._entrants[name].why_not is None and not FEWER.fullmatch(name):
                    race.enter(name, self._heat)
        for name in sorted({name for race in self._races.values() for name in race.live(self._heat)}):
            if self._entrants[name].encoder is None:
                self._set_up(self._entrants[name])
                self._drop_failed(self._entrants[name])

    def _drop_failed(self, entrant: Entrant) -> None:
        if entrant.encoder is None:
            for race in self._races.values():
                if entrant.name in race.live(self._heat):
                    race.leave(self._heat, entrant.name, f"failed: {entrant.why_not}")

    def _fits(self) -> bool:
        """Whether one more model fits memory: the largest so far is what one takes."""
        encoder = self._reference.encoder
        free = encoder.platform.free_bytes() if encoder else None
        largest = max((one.memory_bytes or 0 for one in self._entrants.values()), default=0)
        return free is None or largest * ROOM < free

    def _next_heat(self) -> None:
        """Let everybody go but the reference."""
        for one in self._entrants.values():
            if one is not self._reference:
                one.let_go()
        self._heat += 1
        note(f"heat {self._heat + 1}: the models do not fit memory together; the reference races in each")

    # Racing

    def _race(self, race: Race, until: float) -> None:
        """Race until the order is known, or no more of the budget is left than that."""
        heat, tried = self._heat, False
        while len(race.live(heat)) > 1 and not (tried and race.known(heat)):
            number = race.next_round(heat)
            if not tried and number >= LEAST:
                tried = True
                self._try_fewer_threads(race)
                continue
            start = self._clock.now()
            self._round(race, number)
            self._check_budget(race, (self._clock.now() - start) / 1e9)
            for name, reason in race.look(heat, number + 1):
                self._say(f"{name} leaves: {reason}")
                self._release(name)
            if self._left <= until and race.rounds(heat) >= EARLY:
                break

    def _check_budget(self, race: Race, seconds: float) -> None:
        """Raise UsageError where the budget ends before there is anything to say of a race."""
        rounds, budget = race.rounds(self._heat), self._arguments.budget
        if self._left <= 0 and (EARLY - rounds) * seconds > SLACK * budget:
            least = budget - self._left + (LEAST * len(self._races) - rounds) * seconds
            raise UsageError(
                f"--budget {budget:g}s: a round of {len(race.live(self._heat))} candidates takes "
                f"{seconds:.2g} s; give at least {least:.0f}s, or fewer candidates (what is measured is kept)"
            )

    def _round(self, race: Race, number: int) -> None:
        """Let everybody who has not yet take its turn on the texts of a round; turns are logged as they are known."""
        texts = self._subject.round(race.profile, number, self._sizes[race.profile])
        reference: np.ndarray | None = None
        waiting: list[tuple[Turn, np.ndarray]] = []
        names = race.missing(self._heat, number)
        for name in names:
            entrant = self._entrants[name]
            self._say(f"{race.profile}, round {number + 1}: {name}")
            self._stable.activate(entrant)
            found = entrant.encode(texts, race.profile)
            self._tell_phases(entrant)
            if found is None:
                self._failed_in_race(race, entrant)
                continue
            vectors, tokens, taken = found
            waiting.append((Turn(race.profile, self._heat, number, name, len(texts), tokens, taken), vectors))
            if entrant is self._reference:
                reference = vectors
            if reference is not None or self._reference.name not in names:
                self._take(race, waiting, reference)
        self._take(race, waiting, reference)

    def _take(self, race: Race, waiting: "list[tuple[Turn, np.ndarray]]", reference: "np.ndarray | None") -> None:
        """Take turns over, with their cosines where the reference's vectors are there, and log them."""
        for turn, vectors in waiting:
            if reference is not None:
                found = cosines(reference, vectors)
                turn = replace(turn, least_cosine=float(found.min()), mean_cosine=float(found.mean()))
            race.take(turn)
            self._log.write("TURN", turn.data())
        waiting.clear()

    def _failed_in_race(self, race: Race, entrant: Entrant) -> None:
        if entrant is self._reference:
            raise FmbenchError(f"{entrant.name}, the reference: {entrant.why_not}")
        self._log.write("FID", records.failure(entrant, self._reference.name))
        for other in self._races.values():
            if entrant.name in other.live(self._heat):
                other.leave(self._heat, entrant.name, f"failed: {entrant.why_not}")

    def _release(self, name: str) -> None:
        """Let a model go that races nowhere any more."""
        if not any(name in race.live(self._heat) for race in self._races.values()):
            self._entrants[name].let_go()

    def _try_fewer_threads(self, race: Race) -> None:
        """Let the fastest race with fewer threads too, where half of what is left is enough to set that up."""
        if self._arguments.only:
            return
        every = host.useful_threads() or 1
        counts = {every // 2, *((1,) if race.profile == "online" else ())} - {0, every}
        names = [name for name in race.live(self._heat) if name != self._reference.name and not FEWER.fullmatch(name)]
        names.sort(key=lambda name: race.lanes[self._heat, name].nanoseconds_per_text)
        for name in names[:BESIDE]:
            base = self._entrants[name]
            if base.planned.arguments is None or base.planned.arguments.threads is not None:
                continue
            for count in sorted(counts):
                planned = self._fewer(base.planned, count)
                if planned.name in self._entrants or self._costs[name] > self._left / 2 or not self._fits():
                    continue
                self._entrants[planned.name] = Entrant(planned, planned.why_not, tokens_per_batch=base.tokens_per_batch)
                self._set_up(self._entrants[planned.name])
                if self._entrants[planned.name].encoder is not None:
                    race.enter(planned.name, self._heat)

    def _known(self, entrant: Entrant) -> Known:
        """Return what is known of a candidate; the texts that it rounds after are named by a copy beside the log."""
        planned, file = entrant.planned, self._subject.calibration
        kept = self._arguments.check or self._arguments.log
        copy = file if kept == STDOUT else kept.parent / file.name
        command = command_of(planned.arguments, self._arguments.dataset, self._arguments.split)
        if entrant.facts and str(file) in planned.overrides and not copy.exists():
            write_whole(copy, file.read_bytes())
        return Known(
            planned.name, renamed(planned.overrides, file, copy), planned.reason, entrant.why_not, entrant.memory_bytes,
            entrant.tokens_per_batch, entrant.facts, entrant.brings, self._judge.qualities.get(planned.name),
            command and renamed(command, file, copy), entrant.program,
        )  # fmt: skip

    def _say(self, text: str) -> None:
        self._progress.show(f"{text} ({max(0, self._left):.0f} s of the budget left)")
