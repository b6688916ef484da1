"""The turns of a race: rounds on the same texts until the order is known, or the budget ends; and fewer threads."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from fmbench import host
from fmbench.errors import UsageError

from .entrant import Entrant
from .entrants import FEWER, Budget, Entrants
from .log import ChoiceLog
from .quality import cosines
from .race import EARLY, LEAST, Race, Turn

if TYPE_CHECKING:
    import numpy as np

SLACK = 0.2  # of the budget, that the least rounds may take beyond it where all of it went into set-ups
BESIDE = 2  # of the fastest, online of each platform, that are tried with fewer threads


class Turns:
    """Lets candidates take turns."""

    def __init__(self, entrants: Entrants, races: Mapping[str, Race], log: ChoiceLog, budget: Budget) -> None:
        self._entrants, self._races, self._log, self._budget = entrants, races, log, budget

    def race(self, race: Race, heat: int, until: float, fewer: bool) -> Iterator[None]:
        """Race until the order is known, or no more of the budget is left than that; with `fewer` threads too.

        Yields after every round, so that several races take turns: one that is spread over more time has fewer of its
        rounds in a time when the machine is otherwise, busy with something else or its CPUs further apart.
        """
        tried = False
        while len(race.live(heat)) > 1 and not (tried and race.known(heat)):
            number = race.next_round(heat)
            if not tried and number >= LEAST:
                tried = True
                if fewer:
                    self._try_fewer_threads(race, heat)
                continue
            left = self._budget.left
            if left <= until and race.rounds(heat) >= EARLY:
                break
            self._round(race, heat, number)
            self._check_budget(race, heat, left - self._budget.left)
            for name, reason in race.look(heat, number + 1):
                self._budget.say(f"{name} leaves: {reason}")
                if not any(name in other.live(heat) for other in self._races.values()):
                    self._entrants[name].let_go()
            yield
        if fewer and not tried and self._budget.left <= 0:
            self._leave_out_fewer_threads(race, heat)

    def fail(self, entrant: Entrant, heat: int) -> None:
        """Take one that failed out of all races. Raises FmbenchError for the reference."""
        if entrant is self._entrants.reference:
            raise self._entrants.lost()
        for race in self._races.values():
            if entrant.name in race.live(heat):
                race.leave(heat, entrant.name, f"failed: {entrant.why_not}")

    def _check_budget(self, race: Race, heat: int, seconds: float) -> None:
        """Raise UsageError where the budget will end before there is anything to say of a race."""
        rounds, budget, left = race.rounds(heat), self._budget.seconds, self._budget.left
        if (rest := (EARLY - rounds) * seconds) > max(left, 0) + SLACK * budget:
            again = sum(self._entrants.costs.values())  # whoever goes on with the log sets all up once more
            for other in self._races.values():
                missing = 0 if other is race else EARLY - min(EARLY, other.rounds(heat))
                rest += missing * len(other.live(heat)) * self._entrants.turn_seconds(other)
            least = budget - left + again + rest
            raise UsageError(
                f"--budget {budget:g}s: a round of {len(race.live(heat))} candidates takes "
                f"{seconds:.2g} s; give at least {math.ceil(least)}s, or fewer candidates (what is measured is kept)"
            )

    def _round(self, race: Race, heat: int, number: int) -> None:
        """Let everybody who has not yet take its turn on the texts of a round; turns are logged as they are known."""
        texts = self._entrants.subject.round(race.profile, number, self._entrants.size(race.profile))
        reference: np.ndarray | None = None
        waiting: list[tuple[Turn, np.ndarray]] = []
        names = race.missing(heat, number)
        for name in names:
            entrant = self._entrants[name]
            self._budget.say(f"{race.profile}, round {number + 1}: {name}")
            self._entrants.activate(entrant)
            found = entrant.encode(texts, race.profile)
            self._entrants.tell_phases(entrant)
            if found is None:
                self._entrants.tell_failure(entrant)
                self.fail(entrant, heat)
                continue
            turn = Turn(race.profile, heat, number, name, len(texts), found.tokens, found.nanoseconds,
                        joules=found.joules)  # fmt: skip
            waiting.append((turn, found.vectors))
            if entrant is self._entrants.reference:
                reference = found.vectors
            if reference is not None or self._entrants.reference.name not in names:
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

    def _try_fewer_threads(self, race: Race, heat: int) -> None:
        """Let the fastest race with fewer threads too, as far as half of what is left sets them up."""
        least = self._budget.left / 2
        for base, count in itertools.product(self._fastest(race, heat, LEAST), fewer_than_all(race.profile)):
            after = self._budget.left - self._entrants.costs.get(base.name, math.inf)  # of who has left by now
            found = self._entrants.fewer(base, count)
            if found.encoder is None and found.why_not is None:
                if after > least and self._entrants.fits():
                    self._entrants.set_up(found)
                elif not any(other.lane(found.name) for other in self._races.values()):
                    found.leave_out("half of what was left of --budget, or of memory, does not set it up")
            if found.encoder is not None:
                race.enter(found.name, heat)

    def _leave_out_fewer_threads(self, race: Race, heat: int) -> None:
        """Say that fewer threads were not tried: the budget ended before enough rounds."""
        fastest = self._fastest(race, heat, max(1, race.rounds(heat)))
        for base, count in itertools.product(fastest, fewer_than_all(race.profile)):
            found = self._entrants.fewer(base, count)
            if found.why_not is None and not any(other.lane(found.name) for other in self._races.values()):
                found.leave_out(f"--budget ended before {LEAST} rounds, after which fewer threads join")

    def _fastest(self, race: Race, heat: int, rounds: int) -> list[Entrant]:
        """Return who is tried with fewer threads: who was fastest in the first rounds, online of each platform.

        What an engine loses where its threads wait for each other while something else runs is more than what tells it
        from another engine.
        """
        taken, found = Counter[str](), list[Entrant]()
        for name in race.order(heat, rounds):
            arguments = self._entrants[name].planned.arguments
            if name == race.reference or FEWER.fullmatch(name) or not arguments or arguments.threads is not None:
                continue
            group = arguments.platform if race.profile == "online" else ""
            taken[group] += 1
            if taken[group] <= BESIDE:
                found.append(self._entrants[name])
        return found


def fewer_than_all(profile: str) -> list[int]:
    """Return the counts of threads that are tried beside all of them."""
    every = host.useful_threads() or 1
    return sorted({every // 2, *((1,) if profile == "online" else ())} - {0, every})
