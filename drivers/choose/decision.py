"""Who wins a profile: the fastest that is faithful enough, or a simpler one that is as fast as far as can be told."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .quality import Quality
from .race import Lane, Race, Ratio

PLAIN = ("float32", "bfloat16", "float16", "int8")  # precisions, the plainer first
SHARED_RANK = {"float16": "bfloat16"}
CLOSE = 1.05  # times as long as the fastest: a simpler one that is probably slower than that is not run instead
PROBABLY = 1 / 1.96  # of the 95% interval's spread: a standard error, five to one
FEW = 3  # rounds whose least lies below the median seven to one; the least of two, three to one


@dataclass(frozen=True)
class Known:
    """What is known of a candidate beside its turns: as planned, as set up, and how good it is."""

    name: str
    overrides: str
    reason: str
    why_not: str | None = None
    untried: bool = False
    memory_bytes: int | None = None
    tokens_per_batch: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    brings: frozenset[str] = frozenset()  # packages beyond torch
    quality: Quality | None = None
    command: str | None = None
    program: str | None = None
    files: Sequence[str] = ()  # that these two name by where they lie from here

    @property
    def simplicity(self) -> tuple[Any, ...]:
        """What makes it simpler than another: the less, the simpler."""
        precision = str(self.facts.get("precision") or self.facts.get("dtype"))
        rank = PLAIN.index(SHARED_RANK.get(precision, precision)) if precision in PLAIN else len(PLAIN)
        return len(self.brings), rank, bool(self.facts.get("compile")), self.facts.get("threads") or 0, self.name


@dataclass(frozen=True)
class Place:
    """One candidate in one profile."""

    known: Known
    lane: Lane
    against: Ratio | None  # the reference: how many times as long

    @property
    def speed(self) -> float:
        """How many times as fast as the reference."""
        return 1 / self.against.value if self.against else 0.0

    @property
    def interval(self) -> list[float] | None:
        """The 95% interval of that, where there is one."""
        found = self.against
        return [1 / found.high, 1 / found.low] if found and found.has_interval else None


@dataclass(frozen=True)
class Choice:
    """One profile's answer. `winner` is None while nobody is judged."""

    places: Sequence[Place]
    winner: str | None
    ties: Sequence[str]
    why: str


def choose(race: Race, known: Mapping[str, Known]) -> Choice:
    """Return the answer of a race as it stands."""
    places: list[Place] = []
    for (_, name), lane in race.lanes.items():
        if lane.turns and not any(place.known.name == name for place in places):
            places.append(Place(known[name], lane, race.ratio(name, race.reference)))
    judged = [place for place in places if place.known.quality is not None and place.known.why_not is None]
    enough = [place for place in judged if place.known.quality and place.known.quality.kept == "shown"]
    if not enough:
        return Choice(places, None, (), "nobody is judged yet" if not judged else "nobody is shown to keep enough")
    enough.sort(key=lambda place: -place.speed)
    fastest = enough[0]
    tied = [place for place in enough if place is fastest or ties(race, fastest.known.name, place.known.name)]
    close = [place for place in tied if place is fastest or is_close(race, fastest.known.name, place.known.name)]
    best = min(close, key=lambda place: place.known.simplicity)
    others = [place.known.name for place in tied if place is not best]
    simpler_than = [place.known.name for place in close if place is not best]
    return Choice(places, best.known.name, others, why(race, best, places, enough, simpler_than))


def ties(race: Race, fastest: str, other: str) -> bool:
    """Whether another candidate cannot be told from the fastest; who left was surely slower than somebody."""
    lane = race.lane(other)
    return not (lane and lane.left) and not race.is_slower(other, fastest)


def is_close(race: Race, fastest: str, other: str) -> bool:
    """Whether another candidate is not probably slower than the fastest."""
    found = race.ratio(other, fastest)
    if found is None:
        return False
    if found.pair is not None and found.pair.verdict is None:  # few: the interval is from the least to the greatest
        return found.pair.n < FEW or found.low <= CLOSE
    return found.value * math.exp(-found.spread * PROBABLY) <= CLOSE


def why(race: Race, best: Place, places: Sequence[Place], enough: Sequence[Place], simpler_than: Sequence[str]) -> str:
    """Return why it is the winner."""
    if simpler_than:
        return f"as fast as {', '.join(simpler_than)}, as far as can be told, and simpler"
    rest = [place for place in enough if place is not best]
    found = race.ratio(rest[0].known.name, best.known.name) if rest else None
    if found is None:
        if any(place.speed > best.speed for place in places):
            return "the only one that is shown to keep enough"
        unsure = any(place.interval and place.interval[1] > best.speed for place in places if place is not best)
        return f"nobody is faster{', as far as can be told' if unsure else ''}"
    said = f"faster than {rest[0].known.name}: {found.value:.2f} times ({found.low:.2f} to {found.high:.2f})"
    if found.pair is not None and found.pair.verdict is None:
        return f"{said}, in {found.pair.n} rounds that count, too few for a test"
    return said if found.sure else f"{said}, which is not sure"
