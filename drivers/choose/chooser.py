"""The course of a choice: races in heats, quality, the answer. What was done before is taken up from the log."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fmbench import host, lines
from fmbench.console import Progress, note
from fmbench.embeddings.compressed import check_compression
from fmbench.errors import UsageError

from . import decision, records
from .arguments import PROFILES, SET_UPS, ChooseArguments
from .candidates import Planned
from .entrants import FEWER, Budget, Entrants
from .judging import Judge
from .log import ChoiceLog
from .quality import Keep
from .race import EARLY, Race, rounds_of
from .texts import Subject
from .turns import SLACK, Turns


class Chooser:
    """Sets candidates up, lets them race, and judges the finalists."""

    def __init__(
        self, arguments: ChooseArguments, subject: Subject, keep: Keep, planned: Sequence[Planned],
        absent: Sequence[str], log: ChoiceLog, progress: Progress,
    ) -> None:  # fmt: skip
        self._arguments, self._subject, self._keep, self._absent, self._log = arguments, subject, keep, absent, log
        self._budget = Budget(arguments.budget, log, progress)
        self._entrants = Entrants(arguments, subject, planned, log, self._budget)
        least, first = keep.least if keep.measure == "cosine" else None, self._entrants.reference.name
        self._races = {profile: Race(profile, first, least, arguments.seed) for profile in arguments.profiles}
        self._turns = Turns(self._entrants, self._races, log, self._budget)
        self._judge = Judge(self._entrants, self._races, subject, keep, log, progress, arguments.seed)
        self._compressed: dict[tuple[str, str | None], list[dict[str, Any]]] = {}
        self._heat = 0
        self._told = False  # that the budget does not set all up
        self._take_up()

    @property
    def is_done(self) -> bool:
        """Whether the log has the answer already."""
        return all(self._log.answers(profile, self._budget.seconds) for profile in self._races)

    def tell_spent(self) -> None:
        """Say that an earlier run of the same command spent the budget, and what would go on, where that is so."""
        choices = self._log.choices.values()
        short = any(
            one["status"] == "budget" or any(rival.get("untried") for rival in one["candidates"]) for one in choices
        )
        if self._log.turns and (short if self.is_done else self._budget.left <= 0):
            note(
                f"--budget {self._budget.seconds:g}s is spent, so that nobody races on; a larger --budget goes on with "
                f"{self._log.path}"
            )

    @property
    def races_somebody(self) -> bool:
        """Whether anybody took a turn beside the reference."""
        return any(lane.turns for race in self._races.values() for (_, name), lane in race.lanes.items()
                   if name != race.reference)  # fmt: skip

    @property
    def failures(self) -> list[str]:
        """Who could not run although it should have been able to, and why."""
        return self._entrants.failures

    @property
    def _pending(self) -> list[str]:
        """Who was in no heat yet."""
        entered = {name for race in self._races.values() for _, name in race.lanes}
        return [one.name for one in self._entrants.pending(entered)]

    def run(self, cache: Path) -> None:
        """Do what is left to do. Raises what the reference raises, and UsageError for a budget that is too small."""
        self._entrants.set_up_reference()
        if self._entrants.reference.encoder is not None:
            check_compression(self._arguments.compress, self._entrants.reference.encoder.dimension)
        while True:
            self._fill_heat()
            until, fewer = self._budget.left / 2 if self._pending else 0.0, not self._arguments.again.only
            races = [self._turns.race(race, self._heat, until, fewer) for race in self._races.values()]
            for _ in itertools.zip_longest(*races):
                pass
            if not self._pending or self._budget.left <= 0:
                break
            self._next_heat()
        for name in self._pending:
            self._entrants[name].leave_out("--budget was spent before its heat")
        if not self.races_somebody:
            return
        decided = all(race.known(heat) for race in self._races.values() for heat in range(self._heat + 1))
        self._judge.judge(cache)
        self.stand("final" if decided else "budget")
        self._log.write("ENV", host.load_facts("end"))

    def stand(self, status: str) -> bool:
        """Write where each profile stands; return whether there is anything to say."""
        known = {profile: self._entrants.known(self._judge.of(profile)) for profile in self._races}
        begun = {"start": lines.format_time(self._budget.start), "absent": self._absent}
        ran = [race for race in self._races.values() if any(lane.turns for lane in race.lanes.values())]
        choices = {race.profile: decision.choose(race, known[race.profile]) for race in ran}
        together = self._judge.together(*(choices[one].winner for one in PROFILES)) if len(ran) == len(PROFILES) else {}
        for race, found in zip(ran, choices.values(), strict=True):
            for pair in records.pairs(race, found):
                self._log.write("PAIR", pair)
            data = records.choice(race, found, known[race.profile], self._arguments, self._keep, status)
            self._log.write("CHOICE", {**begun, **data, **self._keeps(race.profile, found.winner), **together})
        return bool(ran)

    def _keeps(self, profile: str, winner: str | None) -> dict[str, Any]:
        """Return what a CHOICE line says of the winner's vectors in other types, if that is asked for."""
        ranking = self._judge.rankings.get((profile, winner or ""))
        if ranking is None or not self._arguments.compress:
            return {}
        if (profile, winner) not in self._compressed:
            qrels = self._subject.collection.qrels
            self._compressed[profile, winner] = ranking.compressed(
                self._arguments.compress, self._arguments.rescore, qrels
            )
        return {"compressed": self._compressed[profile, winner]}

    def _take_up(self) -> None:
        """Take over what the log has: turns, who failed, what was measured of set-ups."""
        for group in rounds_of(self._log.turns):
            race = self._races.get(group[0].profile)
            if race is None:
                continue
            for turn in group:
                self._entrants.take_up(turn.variant)
                race.take(turn)
            self._entrants.sizes[race.profile], self._heat = group[0].texts, max(self._heat, group[0].heat)
            if race.is_whole(group[0].heat, group[0].round):
                race.look(group[0].heat, group[0].round + 1)
        self._entrants.take_up_set_ups()

    def _fill_heat(self) -> None:
        """Set those up who race next: those who did already, and as many more as memory and budget take."""
        self._go_on()
        for name in self._pending:
            one, left = self._entrants[name], self._budget.left
            others = any(len(race.live(self._heat)) > 1 for race in self._races.values()) or self.races_somebody
            if not self._entrants.fits():
                break
            if left < (1 - SET_UPS) * self._budget.seconds and others:
                one.leave_out(f"{SET_UPS:.0%} of --budget was spent before its turn to be set up")
                continue
            if left < self._least_rounds(1):
                if others:
                    one.leave_out(f"{EARLY} rounds with it take longer than what was left of --budget")
                    continue
                self._check_budget(left)
            self._entrants.set_up(one)
            for race in self._races.values() if one.encoder is not None else ():
                self._enter(race, name)
            self._tell_of_budget()

    def _enter(self, race: Race, name: str) -> None:
        """Let a candidate race; of a check, where it was to be run."""
        if self._arguments.again.enters(name, race.profile):
            race.enter(name, self._heat)

    def _least_rounds(self, more: int) -> float:
        """Return the seconds of the least rounds of this heat with so many more candidates, at the reference's pace."""
        turns = 0.0
        for race in self._races.values():
            lanes = [race.lanes[self._heat, name] for name in race.live(self._heat)]
            missing = sum(max(0, EARLY - len(lane.turns)) for lane in lanes) + EARLY * more
            turns += missing * self._entrants.turn_seconds(race)
        return turns

    def _check_budget(self, left: float) -> None:
        """Raise UsageError where the least rounds of the reference and a single candidate are beyond the budget."""
        budget, rounds = self._budget.seconds, self._least_rounds(1)
        if rounds > max(left, 0) + SLACK * budget:
            cost = self._entrants.costs[self._entrants.reference.name]
            least = budget - left + 2 * cost + rounds  # the reference once more, and a candidate that takes as long
            raise UsageError(
                f"--budget {budget:g}s: {EARLY} rounds of the reference and one candidate take {rounds:.2g} s; give at "
                f"least {math.ceil(least)}s (what is measured is kept)"
            )

    def _tell_of_budget(self) -> None:
        """Say once that the budget sets only some candidates up, at the pace of those so far, and what would do."""
        first, budget, waiting = self._entrants.reference.name, self._budget.seconds, len(self._pending)
        costs = [seconds for name, seconds in self._entrants.costs.items() if name != first]
        mean = sum(costs) / len(costs)
        set_up = budget - self._budget.left + waiting * mean
        needed = max(set_up / SET_UPS, set_up + self._least_rounds(waiting))
        if waiting and needed > budget and not self._told:
            self._told = True
            wait = "1 more waits" if waiting == 1 else f"{waiting} more wait"
            note(
                f"--budget {budget:g}s: setting up takes {mean:.0f} s a candidate so far, and {wait}: the budget "
                f"will not do for all. --budget {math.ceil(needed)}s would, now or later: the same log goes on. Or "
                "leave some out, with --platforms or --without"
            )

    def _go_on(self) -> None:
        """Set those up again who are in this heat already, and have not left it."""
        before = {name for race in self._races.values() for heat, name in race.lanes if heat == self._heat}
        for name in (self._entrants.reference.name, *sorted(before)):
            for race in self._races.values():
                if self._entrants[name].why_not is None and not FEWER.fullmatch(name):
                    self._enter(race, name)
        for name in sorted({name for race in self._races.values() for name in race.live(self._heat)}):
            one = self._entrants[name]
            if one.encoder is None and any(name in race.live(self._heat) for race in self._unfinished()):
                if one.why_not is None:
                    self._entrants.set_up(one)
                if one.encoder is None:
                    self._turns.fail(one, self._heat)

    def _unfinished(self) -> list[Race]:
        """Return the races that go on: none has another round where the budget was spent before, but for the least."""
        left = self._budget.left
        return [race for race in self._races.values() if left > 0 or race.rounds(self._heat) < EARLY]

    def _next_heat(self) -> None:
        """Let everybody go but the reference."""
        for one in self._entrants.values():
            if one is not self._entrants.reference:
                one.let_go()
        self._heat += 1
        note(f"heat {self._heat + 1}: the models do not fit memory together; the reference races in each")
