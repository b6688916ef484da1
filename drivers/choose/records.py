"""What the lines of a choice say beside its turns: who failed, how faithful one is, pairs, and the choice itself."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .arguments import ChooseArguments
from .decision import Choice, Known, Place
from .entrant import Entrant
from .quality import Keep, Quality
from .race import Race, Ratio

SECONDS = 3600  # of an hour, which --price is of
JUDGED = (  # fields of a Quality
    "overlap", "ndcg", "ndcg_change", "ndcg_interval", "ndcg_p", "ndcg_share", "ndcg_share_interval", "kept",
    "tasks_share", "tasks_interval", "worst_task", "worst_task_share",
)  # fmt: skip


def failure(entrant: Entrant, reference: str) -> dict[str, Any]:
    """Return a FID line of a candidate that cannot run."""
    return {**side(entrant.name, reference), "verdict": "unsupported", "failure": entrant.why_not}


def fidelity(
    name: str, reference: str, found: Quality, ratio: Ratio | None, passages: int, tokens: int | None
) -> dict[str, Any]:
    """Return a FID line of how faithful a candidate is, beside how fast in bulk.

    So many passages were encoded for it, with so many tokens a batch.
    """
    pair = ratio.pair if ratio else None
    speed = {} if pair is None else {
        "speed": 1 / pair.ratio, "speed_interval": [1 / pair.interval[1], 1 / pair.interval[0]],
        "speed_verdict": pair.verdict, "speed_reason": pair.reason,
    }  # fmt: skip
    return {
        **side(name, reference), "verdict": "equal" if name == reference else "different",
        "min_cosine": found.least_cosine, "mean_cosine": found.mean_cosine, "overlap": found.overlap,
        "ndcg": found.ndcg, "ndcg_change": found.ndcg_change, "ndcg_interval": found.ndcg_interval,
        "ndcg_p": found.ndcg_p, "passages": passages, "of_passages": passages,
        "tokens_per_batch": tokens, **speed,
    }  # fmt: skip


def side(name: str, reference: str) -> dict[str, str]:
    """Return what both of these lines begin with."""
    return {"artifact": f"ladder/{name}", "kind": "variant", "reference": reference, "variant": name}


def pairs(race: Race, found: Choice) -> Iterator[dict[str, Any]]:
    """Yield a PAIR line of each candidate that met the reference."""
    for place in found.places:
        pair = place.against.pair if place.against and place.against.has_interval else None
        if pair is not None and place.known.name != race.reference:
            yield {
                "a": race.reference, "b": place.known.name, "n": pair.n, "ratio": pair.ratio,
                "interval": list(pair.interval), "p": pair.p, "verdict": pair.verdict, "reason": pair.reason,
                "detectable": pair.detectable, "profile": race.profile, "overrides": place.known.overrides,
            }  # fmt: skip


def choice(race: Race, found: Choice, known: Mapping[str, Known], arguments: ChooseArguments, keep: Keep, status: str
            ) -> dict[str, Any]:  # fmt: skip
    """Return what a CHOICE line says; the candidates that cannot run come last."""
    front = on_front(found.places)
    places = sorted(found.places, key=lambda place: -place.speed)
    rows = [row_of(race.profile, place, arguments.price, place.known.name in front) for place in places]
    ran = {row["name"] for row in rows}
    rows += [about(one) for one in known.values() if one.name not in ran and (one.why_not or status == "standing")]
    return {
        "profile": race.profile, "status": status, "reference": race.reference, "keep": keep.as_json(),
        "budget_seconds": arguments.budget, "candidates": rows, "winner": found.winner, "ties": list(found.ties),
        "why": found.why,
    }  # fmt: skip


def about(one: Known) -> dict[str, Any]:
    """Return what is said of a candidate that took no turn too."""
    why_not = {"why_not": one.why_not} if one.why_not else {}
    untried = {"untried": True} if one.untried else {}
    return {"name": one.name, "overrides": one.overrides, "reason": one.reason, **why_not, **untried}


def row_of(profile: str, place: Place, price: float | None, front: bool) -> dict[str, Any]:
    """Return one candidate of a CHOICE line."""
    one, lane = place.known, place.lane
    left = {"left_in_round": lane.left.round, "left_because": lane.left.because} if lane.left else {}
    seconds = lane.nanoseconds_per_text / 1e9
    texts, tokens = (sum(getattr(turn, key) for turn in lane.turns.values()) for key in ("texts", "tokens"))
    cost = price / SECONDS * seconds * texts / tokens * 1e6 if price and tokens else None
    quality = one.quality
    return {
        **about(one), **left, "speed": place.speed, "interval": place.interval,
        "heat": lane.heat, "rounds": len(lane.turns), **({"latency_ms": 1e3 * seconds} if profile == "online" else
                                      {"texts_per_second": 1 / seconds, "tokens_per_batch": one.tokens_per_batch}),
        "memory_bytes": one.memory_bytes, **lane.energy(),
        **({} if cost is None else {"cost_per_million_tokens": cost}),
        "least_cosine": quality.least_cosine if quality else lane.least_cosine,
        "mean_cosine": quality.mean_cosine if quality else 1 - lane.loss,
        **judged(quality),
        "packages": len(one.brings), "front": front, "command": one.command, "program": one.program,
        "files": list(one.files),
    }  # fmt: skip


def judged(found: Quality | None) -> dict[str, Any]:
    """Return what is said of how good a candidate is; null where nobody measured it."""
    return {key: getattr(found, key, None) for key in JUDGED}


def on_front(places: Sequence[Place]) -> set[str]:
    """Return whom no other beats: none that is at least as faithful is faster.

    All have cosines of their turns, few are judged; and differences of nDCG among those are mostly chance.
    """
    return {
        place.known.name
        for place in places
        if not any(other.speed > place.speed and other.lane.as_faithful(place.lane) for other in places)
    }
