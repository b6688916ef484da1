"""Why a choice should not be believed: what its CHOICE line says, and its TURN lines or itself do not.

A reason begins with a word of docs/reference/lines.md: mixed, lost, contradicted.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fmbench import stats
from fmbench.consistency import holds
from fmbench.figures import span
from fmbench.kept import verdict
from fmbench.pairs import Pair

from ..reading.doubts import differ, quotient
from .compressed import compressed_doubts
from .doubts import METRIC_ROUNDING

SIGNIFICANT = 0.05
GOOD = "shown"
MEASURES = {"ndcg": "ndcg_share_interval", "tasks": "tasks_interval", "cosine": "least_cosine"}  # what decides on each

Said = Mapping[str, Any]
Round = tuple[int, int]  # heat, and round in it
Turns = dict[str, dict[Round, tuple[int, int]]]  # nanoseconds and texts, by candidate


def turns_of(lines: Iterable[Said]) -> Turns:
    """Return what each turn of a profile took; of one that is there twice, no time."""
    found: Turns = {}
    for said in lines:
        place, own = (said.get("heat") or 0, said["round"]), found.setdefault(said["variant"], {})
        own[place] = (0 if place in own else said["nanoseconds"], said["texts"])
    return found


def choice_doubt(said: Said, turns: Turns | None) -> str | None:
    """Return why a choice is not to be believed, or None. `turns` are None where the log of it is not at hand."""
    return next(choice_doubts(said, turns), None)


def choice_doubts(said: Said, turns: Turns | None) -> Iterator[str]:
    """Yield what a CHOICE line says that cannot be, or that its turns do not."""
    line = f"CHOICE of {said['profile']}"
    known = {one["name"]: one for one in said["candidates"]}
    if len(known) < len(said["candidates"]):
        yield f"mixed: {line} has two candidates of one name"
    named = [said["reference"], *filter(None, [said.get("winner")]), *(said.get("ties") or ())]
    for name in named:
        if name not in known or known[name].get("why_not"):
            yield f"contradicted: {line} names {name}, which is none of the candidates that ran"
            return
    for name, one in known.items():
        yield from figure_doubts(one, known[said["reference"]], f"{line}: {name}")
        yield from race_doubts(one, known[said["reference"]], f"{line}: {name}")
        if turns is not None:
            yield from turn_doubts(one, said["reference"], turns, f"{line}: {name}")
    if said.get("winner"):
        winner = known[said["winner"]]
        yield from compressed_doubts(said.get("compressed") or (), {"metrics": {"ndcg_cut_10": winner.get("ndcg")}})
        yield from winner_doubts(said, known, line)
    elif enough := [name for name, one in known.items() if one.get("kept") == GOOD]:
        yield f"contradicted: {line} says to run nothing, and {enough[0]} keeps enough"
    for name, one in known.items():
        yield from kept_doubts(one, said["keep"], f"{line}: {name}")


def winner_doubts(said: Said, known: Mapping[str, Said], line: str) -> Iterator[str]:
    """Yield why the winner cannot be the fastest that is good enough."""
    winner = known[said["winner"]]
    others = [one for name, one in known.items() if name not in (said["winner"], *(said.get("ties") or ()))]
    if said["winner"] != said["reference"] and winner.get("kept") != GOOD:
        yield f"contradicted: {line}: what the winner keeps is not shown"
    end = (winner.get("interval") or (None, None))[1]
    for one in others:
        if end is not None and one.get("kept") == GOOD and one.get("interval") and one["interval"][0] > end:
            yield f"contradicted: {line}: {one['name']} keeps enough, and is faster than the winner"


def figure_doubts(one: Said, reference: Said, of: str) -> Iterator[str]:
    """Yield what the figures of a candidate say against each other."""
    for name, interval in (("speed", "interval"), ("ndcg_change", "ndcg_interval"),
                           ("ndcg_share", "ndcg_share_interval"), ("tasks_share", "tasks_interval")):  # fmt: skip
        if not holds(one.get(interval), one.get(name), METRIC_ROUNDING):
            yield f"contradicted: {of}: the interval of {name} does not hold it"
    p, ends = one.get("ndcg_p"), one.get("ndcg_interval")
    if p is not None and ends is not None and (p < SIGNIFICANT) == (ends[0] <= 0 <= ends[1]):
        yield f"contradicted: {of}: ndcg_p and ndcg_interval do not agree"
    known = None not in (one.get("ndcg"), one.get("ndcg_change"), reference.get("ndcg"))
    if known and abs(one["ndcg"] - reference["ndcg"] - one["ndcg_change"]) > METRIC_ROUNDING:
        yield f"contradicted: {of}: ndcg_change is not its ndcg less that of the reference"
    if differ(one.get("ndcg_share"), quotient(one.get("ndcg"), reference.get("ndcg"))):
        yield f"contradicted: {of}: ndcg_share is not its share of the reference's ndcg"
    least, mean = one.get("least_cosine"), one.get("mean_cosine")
    if least is not None and mean is not None and least > mean + METRIC_ROUNDING:
        yield f"contradicted: {of}: least_cosine is above mean_cosine"


def kept_doubts(one: Said, keep: Said, of: str) -> Iterator[str]:
    """Yield that the verdict on what is kept is not that of the measure; of equal vectors everything is kept."""
    if one.get("kept") is None or (one["kept"] == GOOD and one.get("least_cosine") == 1):
        return
    for name, least in keep.items():
        found = one.get(MEASURES.get(name, name))
        if found is not None and verdict(found, least) != one["kept"]:
            yield f"contradicted: {of}: kept is {one['kept']}, and {name} says {verdict(found, least)}"


def race_doubts(one: Said, reference: Said, of: str) -> Iterator[str]:
    """Yield that a candidate of the first heat has more rounds than the reference, or other times than its speed.

    The reference ran all of its rounds, one of which may not be over.
    """
    own, every = one.get("rounds"), reference.get("rounds")
    if one.get("heat") != 0 or own is None or every is None:
        return
    if own > every + 1:
        yield f"contradicted: {of} counts {own} rounds, and the reference {every}"
    paces = (quotient(reference.get("latency_ms"), one.get("latency_ms")),
             quotient(one.get("texts_per_second"), reference.get("texts_per_second")))  # fmt: skip
    for pace in paces if own == every else ():
        if differ(one.get("speed"), pace):
            yield f"contradicted: {of} says a speed of {one['speed']:.3g}, and its times {pace:.3g}"


def turn_doubts(one: Said, reference: str, turns: Turns, of: str) -> Iterator[str]:
    """Yield that the turns of a candidate are not as many as it counts, or give another speed.

    The reference takes part in every heat, and what is said of it is of the first one.
    """
    own, beside = turns.get(one["name"], {}), turns.get(reference, {})
    first = min(own, default=(0, 0))[0]
    own = {place: own[place] for place in sorted(own) if place[0] == first}
    if any(not nanoseconds or not texts for nanoseconds, texts in own.values()):
        yield f"mixed: {of} has two turns in one round, or one that took no time"
        return
    if one.get("rounds") is not None and len(own) != one["rounds"]:
        yield f"lost: {of} counts {one['rounds']} rounds, and has {len(own)} turns"
    if own:
        seconds = stats.median(stats.settled([nanoseconds / texts for nanoseconds, texts in own.values()])) / 1e9
        for name, computed in (("latency_ms", 1e3 * seconds), ("texts_per_second", 1 / seconds)):
            if differ(one.get(name), computed):
                yield f"contradicted: {of} says {name} {one[name]:.4g}, and its turns {computed:.4g}"
    pairs = [(beside[place][0], took) for place, (took, _) in own.items() if place in beside]
    if one.get("speed") is None or not pairs or not all(took for took, _ in pairs):
        return
    pair = Pair.of([reference for reference, _ in pairs], [took for _, took in pairs])
    if differ(one["speed"], 1 / pair.ratio):
        yield f"contradicted: {of} says a speed of {one['speed']:.3g}, and its turns {1 / pair.ratio:.3g}"
    ends, known = one.get("interval"), (1 / pair.interval[1], 1 / pair.interval[0])
    if ends is not None and any(map(differ, ends, known)):
        yield f"contradicted: {of} says an interval of {span(ends, '.3g')}, and its turns {span(known, '.3g')}"
