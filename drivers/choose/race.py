"""A race of one profile: the turns that were taken, who leaves, and when the order is known. Runs no model."""

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from fmbench import stats
from fmbench.counters import Counter
from fmbench.pairs import Pair

EQUAL = 0.02  # of a ratio: closer than that is a tie, and an order is known to that
SURE = 0.001  # p of the test where a race ends before its budget: that is asked after every round
LEAST = 10  # rounds before a pair has a verdict, and before a race may end
EARLY = 3  # rounds before anything is said of a race: where a budget ends so soon, intervals alone tell
LEAVING, SLOWER = 0.01, 1.05  # p of all looks together, and where the interval begins, of who leaves
GROWTH = 1.3  # rounds between two looks: a rule that peeks less is fooled less
TWICE, ROUNDING = 2.0, 1e-6  # what is lost of the mean cosine, before one candidate is less faithful than another


@dataclass(frozen=True, slots=True)
class Turn:
    """What a TURN line says: a candidate encoded the texts of a round. Cosines are with the reference's vectors."""

    profile: str
    heat: int
    round: int
    variant: str
    texts: int
    tokens: int
    nanoseconds: int
    least_cosine: float | None = None
    mean_cosine: float | None = None
    joules: float | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Turn":
        """Read a line's data. Raises TypeError for what is none."""
        return cls(**data)

    def data(self) -> dict[str, Any]:
        """Return what the line says."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Left:
    """When, and why, a candidate left."""

    round: int
    because: str


@dataclass
class Lane:
    """One candidate's turns."""

    heat: int
    since: int = 0  # its first round
    turns: dict[int, Turn] = field(default_factory=dict)
    left: Left | None = None

    @property
    def least_cosine(self) -> float:
        """The least of any text; 1 where none is known."""
        return min((turn.least_cosine for turn in self.turns.values() if turn.least_cosine is not None), default=1.0)

    @property
    def loss(self) -> float:
        """What the mean cosine lacks."""
        known = [turn.mean_cosine for turn in self.turns.values() if turn.mean_cosine is not None]
        return 1 - sum(known) / len(known) if known else 0.0

    def as_faithful(self, other: "Lane") -> bool:
        """Whether it is at least as faithful as another, as far as the turns say."""
        return self.loss <= TWICE * other.loss + ROUNDING

    def energy(self) -> dict[str, Any]:
        """Return what a million tokens took in the turns whose energy was counted, or why that is not known."""
        counted = [turn for turn in self.turns.values() if turn.joules is not None]
        seconds, tokens = (sum(getattr(turn, key) for turn in counted) for key in ("nanoseconds", "tokens"))
        if not tokens:
            return {}
        spent = Counter(sum(turn.joules or 0 for turn in counted), "turns", None).over(seconds / 1e9)
        if spent.joules is None:
            return {"joules_reason": spent.reason}
        return {"joules_per_million_tokens": 1e6 * spent.joules / tokens}

    @property
    def nanoseconds_per_text(self) -> float:
        """The median of what counts."""
        return self.pace(len(self.turns))

    def pace(self, turns: int) -> float:
        """Return the median nanoseconds a text of so many first turns, of what counts of them."""
        first = itertools.islice(self.turns.values(), turns)
        return stats.median(stats.settled([turn.nanoseconds / turn.texts for turn in first]))


@dataclass
class Race:
    """One profile's lanes, by candidate. What it decides follows from the turns alone, so that it can be taken up."""

    profile: str
    reference: str
    keep_cosine: float | None = None
    seed: int = 0
    lanes: dict[tuple[int, str], Lane] = field(default_factory=dict)

    def enter(self, name: str, heat: int = 0) -> None:
        """Let a candidate take part from the next round on."""
        self.lanes.setdefault((heat, name), Lane(heat, self.next_round(heat)))

    def take(self, turn: Turn) -> None:
        """Take over a turn. Raises ValueError for a second one of a candidate in a round."""
        self.lanes.setdefault((turn.heat, turn.variant), Lane(turn.heat, turn.round))
        turns = self.lanes[turn.heat, turn.variant].turns
        if turn.round in turns:
            raise ValueError(f"{turn.variant} has two turns in round {turn.round}")
        turns[turn.round] = turn

    def lane(self, name: str) -> Lane | None:
        """Return a candidate's lane; the reference's of the first heat."""
        return next((lane for (_, other), lane in self.lanes.items() if other == name), None)

    def live(self, heat: int) -> list[str]:
        """Return who is still in a heat, the reference among them."""
        return [name for (own, name), lane in self.lanes.items() if own == heat and lane.left is None]

    def missing(self, heat: int, number: int) -> list[str]:
        """Return who has no turn of a round yet, in the round's order, which is drawn."""
        names = sorted(self.live(heat))
        random.Random(f"{self.seed}/{self.profile}/{heat}/{number}").shuffle(names)  # noqa: S311 (no secret)
        return [name for name in names if number not in self.lanes[heat, name].turns]

    def next_round(self, heat: int) -> int:
        """Return the first round that somebody who is still in has not run."""
        lanes = [self.lanes[heat, name] for name in self.live(heat)]
        return min((lane.since + len(lane.turns) for lane in lanes), default=0)

    def finalists(self) -> list[str]:
        """Return who is still in, whatever the heat, the fastest first."""
        lanes = [(lane, name) for (_, name), lane in self.lanes.items() if lane.turns and lane.left is None]
        return [name for _, name in sorted((lane.nanoseconds_per_text, name) for lane, name in lanes)]

    def order(self, heat: int, rounds: int) -> list[str]:
        """Return who has run so many rounds of a heat, the fastest of them first, whoever has left since."""
        lanes = [(lane, name) for (own, name), lane in self.lanes.items() if own == heat and len(lane.turns) >= rounds]
        return [name for _, name in sorted((lane.pace(rounds), name) for lane, name in lanes)]

    def is_whole(self, heat: int, number: int) -> bool:
        """Whether everybody who is still in has run a round."""
        return self.next_round(heat) > number

    def rounds(self, heat: int) -> int:
        """Return how many rounds everybody who is still in has run."""
        return min((len(self.lanes[heat, name].turns) for name in self.live(heat)), default=0)

    def leave(self, heat: int, name: str, because: str) -> None:
        """Take a candidate out."""
        lane = self.lanes[heat, name]
        lane.left = Left(len(lane.turns), because)

    def durations(self, heat: int, one: str, other: str) -> tuple[list[int], list[int]]:
        """Return the nanoseconds of two candidates in the rounds that both have."""
        mine, theirs = self.lanes[heat, one].turns, self.lanes[heat, other].turns
        common = sorted(mine.keys() & theirs.keys())
        return [mine[number].nanoseconds for number in common], [theirs[number].nanoseconds for number in common]

    def look(self, heat: int, number: int) -> list[tuple[str, str]]:
        """Let those leave after a round who have no chance; return who, and why. Only some rounds are looked at."""
        if number not in LOOKS:
            return []
        gone = []
        for name in self.live(heat):
            reason = None if name == self.reference else self._hopeless(heat, name, number)
            if reason is not None:
                self.leave(heat, name, reason)
                gone.append((name, reason))
        return gone

    def _hopeless(self, heat: int, name: str, number: int) -> str | None:
        """Return why a candidate cannot win after a round, if so."""
        lane = self.lanes[heat, name]
        if self.keep_cosine is not None and lane.least_cosine < self.keep_cosine:
            return f"its least cosine is {lane.least_cosine:.6f}, below {self.keep_cosine:g}"
        enough = leaving_p(number)
        for other in self.live(heat) if enough else ():
            turns = self.durations(heat, other, name)
            if other != name and turns[0] and self.lanes[heat, other].as_faithful(lane):
                pair = Pair.of(*turns)
                if pair.verdict == "slower" and pair.interval[0] > SLOWER and pair.p < enough:
                    return f"{pair.ratio:.2f} times as slow as {other}, which is as faithful"
        return None

    def ratio(self, name: str, other: str) -> "Ratio | None":
        """Return how many times as long a candidate takes as another; through the reference where they never met."""
        mine, theirs = self.lane(name), self.lane(other)
        if mine is None or theirs is None:
            return None
        heat = mine.heat if other == self.reference else theirs.heat if name == self.reference else mine.heat
        if (heat, name) in self.lanes and (heat, other) in self.lanes:
            return Ratio.of(*self.durations(heat, other, name))
        parts = (
            Ratio.of(*self.durations(mine.heat, self.reference, name)),
            Ratio.of(*self.durations(theirs.heat, self.reference, other)),
        )
        return parts[0].over(parts[1]) if parts[0] and parts[1] else None

    def is_slower(self, name: str, other: str) -> bool:
        """Whether a candidate surely takes longer than another, or than a third that surely takes longer than that."""

        def slower(one: str, two: str) -> bool:
            found = self.ratio(one, two)
            return found is not None and found.apart and found.value > 1

        others = {third for _, third in self.lanes} - {name, other}
        return slower(name, other) or any(slower(third, other) and slower(name, third) for third in others)

    def known(self, heat: int) -> bool:
        """Whether the order of those who are left is known: each and the next one differ, or tie within EQUAL."""
        if self.rounds(heat) < LEAST:
            return False
        names = sorted(self.live(heat), key=lambda name: self.lanes[heat, name].nanoseconds_per_text)
        for faster, slower in itertools.pairwise(names):
            found = Ratio.of(*self.durations(heat, faster, slower))
            if found is None or found.pair is None:
                return False
            if not (found.apart and found.pair.p < SURE) and found.half_width > EQUAL:
                return False
        return True


def rounds_of(turns: Sequence[Turn]) -> Iterator[list[Turn]]:
    """Yield the turns of a log round by round."""
    group: list[Turn] = []
    for turn in turns:
        if group and (turn.profile, turn.heat, turn.round) != (group[0].profile, group[0].heat, group[0].round):
            yield group
            group = []
        group.append(turn)
    if group:
        yield group


def looks(most: int = 1_000_000) -> frozenset[int]:
    """Return after how many rounds a race is looked at."""
    found, number = set(), float(EARLY)
    while number < most:
        found.add(round(number))
        number = max(number + 1, number * GROWTH)
    return frozenset(found)


LOOKS = looks()


def leaving_p(number: int) -> float:
    """Return below which p a candidate leaves after a round: over all looks, however many, that adds up to LEAVING."""
    look = sum(LEAST <= one <= number for one in LOOKS)
    return LEAVING / (look * (look + 1)) if look else 0.0


@dataclass(frozen=True)
class Ratio:
    """How many times as long one takes as another, with its 95% interval; `pair` where they met."""

    value: float
    low: float
    high: float
    pair: Pair | None = None

    @classmethod
    def of(cls, a: Sequence[int], b: Sequence[int]) -> "Ratio | None":
        """Compare b with a, which were taken in the same rounds; None for none."""
        if not a:
            return None
        pair = Pair.of(a, b)
        return cls(pair.ratio, *pair.interval, pair)

    def over(self, other: "Ratio") -> "Ratio":
        """Return the ratio of two ratios to the same third one; what is not sure of either adds up."""
        value = self.value / other.value
        spread = math.hypot(self.spread, other.spread)
        return Ratio(value, value / math.exp(spread), value * math.exp(spread))

    @cached_property
    def spread(self) -> float:
        """Half the interval's width, in logarithms."""
        return math.log(self.high / self.low) / 2

    @property
    def half_width(self) -> float:
        """Half the interval's width as a share."""
        return math.expm1(self.spread)

    @property
    def has_interval(self) -> bool:
        """Whether more than one round counts: of EARLY ones, the first is left out."""
        return self.pair is None or self.pair.n > 1

    @property
    def sure(self) -> bool:
        """Whether one is faster than the other beyond doubt: by the test, or the interval where no test can tell."""
        if not self.has_interval:
            return False
        if self.pair is None or self.pair.verdict is None:
            return not self.low <= 1 <= self.high
        return self.pair.verdict in ("faster", "slower")

    @property
    def apart(self) -> bool:
        """Whether the two surely differ, by more than what counts as equal."""
        return self.sure and abs(self.value - 1) >= EQUAL
