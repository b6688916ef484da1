"""Two choices: is what to run still the answer? Their speeds are ratios to the reference: times are never compared."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fmbench.facts import differences, said_of, short
from fmbench.figures import cosine_text, span
from fmbench.markdown import harmless, markdown, plain
from fmbench.table import table

from ..reading.row import Result
from ..workload import Row, by_workload
from ..workloads.choice_rounds import ENOUGH, counted, few, fewest

GOOD = "shown"
HEADER = ("profile", "base: run", "new: run", "times as fast, base", "new", "kept, base", "new", "answer", "why")
NOTE = (
    "The answer holds where what to run is the same, or cannot be told from it, now or then, still keeps enough, and "
    "is as fast beside the reference: its new 95% interval is not below the old one by more than {:g}%; and where the "
    "same environment variables decide the figures."
)
FEW = (
    "Too few rounds for 95% ({}): {} count in base, {} in new. An interval of fewer than {} is from the least to the "
    "greatest."
)
CANNOT_TELL = "too few rounds to tell whether it is as fast ({} count in base, {} in new): a larger --budget would"
NOT_AS_FAST = "it is not as fast beside the reference"
HOLDS, AS_FAR = "holds", "holds, as far as few rounds can tell"
SHOWN = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of the answer to one profile. `reasons` say why it does not hold, `differing` which facts differ.

    `told_apart` says who is faster now of those that the base could not tell from it. `rounds` are the fewest that it
    rests on, then and now.
    """

    profile: str
    base: str | None
    new: str | None
    speed: tuple[str, str]  # then and now, of what the base said to run
    kept: tuple[str | None, str | None]
    rounds: tuple[int | None, int | None]
    reasons: Sequence[str]
    told_apart: str | None
    differing: Mapping[str, tuple[Any, Any]]

    @property
    def holds(self) -> bool:
        """Whether what the base says to run is still what to run."""
        return not self.reasons

    @property
    def few(self) -> bool:
        """Whether either side had too few rounds for 95%."""
        return any(map(few, self.rounds))


@dataclass(frozen=True, slots=True)
class Answers:
    """What became of the answers of `base` in `new`, two paths."""

    base: str
    new: str
    answers: Sequence[Answer]

    def as_object(self) -> dict[str, Any]:
        """Return them as JSON values."""
        said = [{**asdict(one), "holds": one.holds, "few": one.few} for one in self.answers]
        return {"base": self.base, "new": self.new, "answers": said}


def chosen_among(results: Sequence[Result]) -> list[Row]:
    """Return the rows that say what to run."""
    return [one.row for workload, members in by_workload(results) if workload.answers for one in members]


def answers_between(base: Sequence[Row], new: Sequence[Row], threshold: float) -> list[Answer]:
    """Return what became of each profile's answer; `threshold` is the share of speed that is no concern."""
    profiles = dict.fromkeys(row["choice"]["profile"] for row in base)
    sides = [{profile: of_profile(rows, profile) for profile in profiles} for rows in (base, new)]
    return [answer_between(profile, sides[0][profile], sides[1][profile], threshold) for profile in profiles]


def of_profile(rows: Sequence[Row], profile: str) -> dict[str, Row]:
    """Return the candidates of one profile by name."""
    return {row["variant"]: row for row in rows if row["choice"]["profile"] == profile}


def answer_between(profile: str, base: Mapping[str, Row], new: Mapping[str, Row], threshold: float) -> Answer:
    """Return what became of one profile's answer."""
    names = [winner_of(rows) for rows in (base, new)]
    old, now = base.get(names[0] or ""), new.get(names[0] or "")
    differing = differences(old["environment"] or {}, now["environment"] or {}) if old and now else {}
    rounds, winner = (fewest(base, names[:1]), fewest(new, names)), new.get(names[1] or "")
    apart = told_apart(now, base.get(names[1] or ""), winner, threshold)
    return Answer(
        profile, names[0], names[1],
        (speed_of(old), speed_of(now)), (kept_of(old), kept_of(now)), rounds,
        [*reasons_between(old, now, winner, rounds, threshold, bool(apart)), *variables_among(differing)],
        apart, differing,
    )  # fmt: skip


def winner_of(rows: Mapping[str, Row]) -> str | None:
    """Return what to run; None where that is not known."""
    return next((name for name, row in rows.items() if row["choice"]["place"] == "winner"), None)


def reasons_between(
    old: Row | None, now: Row | None, winner: Row | None, rounds: tuple[int | None, int | None], threshold: float,
    apart: bool,
) -> list[str]:  # fmt: skip
    """Return why what was to be run is not what to run now, which is the `winner`; nothing where it is.

    Nor where the winner is only told `apart` from it.
    """
    if old is None:
        return ["the base has no answer"]
    if now is None:
        return [f"{old['variant']} did not take part"]
    if now["status"] == "ERR":
        return [f"{old['variant']} cannot run: {now['error']['message']}"]
    found = now["choice"]
    reasons = [*([f"in base: {old['doubt']}"] if old["doubt"] else []), *([now["doubt"]] if now["doubt"] else [])]
    lost = loss(found)
    kept = [lost] if lost else [] if found["kept"] else ["what it keeps is not measured"]
    slow = is_slower(old["choice"]["interval"], found["interval"], threshold)
    overtaken = not apart and found["place"] is None
    if not lost and ((slow and any(map(few, rounds))) or (overtaken and winner and few(rounds[1]))):
        reasons.append(CANNOT_TELL.format(*map(counted, rounds)))
        slow, overtaken, kept = False, overtaken and not few(rounds[1]), []
    reasons += [*([NOT_AS_FAST if found["interval"] else "how fast it is is not measured"] if slow else []), *kept]
    if overtaken:
        faster = winner and speed_of(winner)
        reasons.append(
            f"run {winner['variant']}{f', {faster} times' if faster else ''}" if winner else "there is no answer"
        )
    return [*reasons, *(["the race is not over"] if found["status"] == "standing" else [])]


def told_apart(now: Row | None, then: Row | None, winner: Row | None, threshold: float) -> str | None:
    """Return in words that who is to be run now is faster than what was, where no more than that was not told before.

    That is, the base could not tell the two apart, and the new one is not surely faster than it was `then`: nothing
    that the base says is contradicted.
    """
    if now is None or now["choice"]["place"] is not None or winner is None or then is None:
        return None
    if then["choice"]["place"] != "tie" or is_slower(
        winner["choice"]["interval"], then["choice"]["interval"], threshold
    ):
        return None
    faster = speed_of(winner)
    said = f"{winner['variant']}, which the base could not tell from it, is faster now"
    return f"{said}: {faster} times" if faster else said


def is_slower(then: Sequence[float] | None, there: Sequence[float] | None, threshold: float) -> bool:
    """Whether a new interval is below the old one, or there is none although there was."""
    return then is not None and (there is None or there[1] < then[0] * (1 - threshold))


def loss(found: Row) -> str | None:
    """Return what was measured to be lost, or not shown to be kept; who is slower is not judged, and has cosines."""
    if found["kept"] not in (GOOD, None):
        return f"what it keeps is {found['kept']}"
    least, measured = (found.get("keep") or {}).get("cosine"), found.get("least_cosine")
    below = least is not None and measured is not None and measured < least
    return f"its least cosine is {cosine_text(measured)}, below {least:g}" if below else None


def variables_among(differing: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """Return the environment variables that differ, each of which decides a figure, as reasons."""
    return [said_of(name, *pair) for name, pair in differing.items() if name.startswith("variables.")]


def speed_of(row: Row | None) -> str:
    """Return how many times as fast as the reference something is: its interval."""
    return "" if row is None else span(row["choice"]["interval"], ".2f")


def kept_of(row: Row | None) -> str | None:
    """Return the verdict on what something keeps."""
    return None if row is None else row["choice"]["kept"]


def told(one: Answer, pair: tuple[str | None, str | None]) -> tuple[str, str]:
    """Return what was and is said of what the base said to run, by its name where another one stands beside it."""
    then, now = (said or "" for said in pair)
    return then, f"{one.base}: {now}" if now and one.new not in (None, one.base) else now


def as_text(among: Answers, threshold: float, form: str) -> str:
    """Return answers as a table, Markdown or JSON."""
    if form == "json":
        return json.dumps(among.as_object(), indent=2) + "\n"
    answers = among.answers
    draw, safe = (markdown, plain) if form == "markdown" else (table, harmless)
    lines = [
        [
            one.profile, one.base or "", one.new or "", *told(one, one.speed), *told(one, one.kept),
            (AS_FAR if one.few else HOLDS) if one.holds else "changed",
            "; ".join(filter(None, [*one.reasons, one.told_apart])),
        ]
        for one in answers
    ]  # fmt: skip
    changed = [one.profile for one in answers if not one.holds]
    holds = AS_FAR if any(one.few for one in answers) else HOLDS
    head = f"{among.new} against {among.base}: the answer {'changed: ' + ', '.join(changed) if changed else holds}"
    short = [FEW.format(one.profile, *map(counted, one.rounds), ENOUGH) for one in answers if one.few]
    facts = {name: pair for one in answers for name, pair in one.differing.items()}
    return "\n".join([
        f"{'### ' if form == 'markdown' else ''}{safe(head)}\n", draw(HEADER, lines, ()),
        *(f"{safe(note)}\n" for note in (*short, NOTE.format(100 * threshold), *facts_that_differ(facts))),
    ])  # fmt: skip


def facts_that_differ(facts: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """Return the facts that differ as a sentence, if any."""
    said = [f"{name}: {short(one)} in base, {short(other)} in new" for name, (one, other) in facts.items()]
    more = [f"and {len(said) - SHOWN} more"] if len(said) > SHOWN else []
    return [f"Facts that differ: {'; '.join([*said[:SHOWN], *more])}."] if said else []
