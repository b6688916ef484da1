"""`--check FILE.json`: the command line of an earlier choice, and what it said to run, to be measured again."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fmbench import lines
from fmbench.backend import Candidate
from fmbench.command_line import CommandLine, command_line
from fmbench.consistency import holds
from fmbench.errors import UsageError, first_line

WORKLOAD = "choice"
AGAIN = ("log", "out", "check", "budget", "vs", "without")  # what a check has anew, or has no use for


@dataclass(frozen=True)
class Restored:
    """What a check measures again: candidates, who of them races in which profile, and the tokens a batch of each.

    Measured again, noise alone could make these others. `budget` are the choice's seconds, where none were typed.
    """

    only: Sequence[Candidate] = ()
    races: Mapping[str, Collection[str]] = field(default_factory=dict)
    batches: Mapping[str, int] = field(default_factory=dict)
    budget: float | None = None

    def enters(self, name: str, profile: str) -> bool:
        """Whether a candidate races in a profile: what the choice said to run there; whoever it does not know."""
        return name in self.races.get(profile, ()) or all(one.name != name for one in self.only)


def restore(path: Path, command: CommandLine, flags: set[str]) -> tuple[CommandLine, Restored]:
    """Return the command line of a choice, under the one that was typed, and what it said to run in each profile.

    Where that is the reference, whoever ran: nothing may be faster. Raises UsageError for a file that holds no choice,
    or no answer.
    """
    rows = read(path)
    said = [lines.Arg.parse(text.removeprefix("FMWORK ARG ")) for text in rows[0]["opts"]]
    then = command_line([(one.key, one.value) for one in said if one.key not in AGAIN], flags)
    winners = {row["choice"]["profile"]: row["variant"] for row in rows if row["choice"]["place"] == "winner"}
    if not winners:
        raise UsageError(f"--check {path}: it says to run nothing; choose again without --check")
    reference = rows[0]["choice"]["reference"]
    races: dict[str, set[str]] = {}
    for row in rows:
        winner = winners.get(row["choice"]["profile"])
        if row["variant"] != reference and row["status"] != "ERR" and winner in (reference, row["variant"]):
            races.setdefault(row["choice"]["profile"], set()).add(row["variant"])
    only = {
        row["variant"]: Candidate(row["variant"], row["overrides"] or "", row["choice"]["reason"] or "")
        for row in rows if row["variant"] in set[str]().union(*races.values())
    }  # fmt: skip
    batches = {row["variant"]: found for row in rows if (found := row["choice"].get("tokens_per_batch"))}
    budget = None if command.values("budget") else rows[0]["choice"].get("budget_seconds")
    if budget is not None:  # the last one, where the same log went on with a larger one
        then = then.with_(CommandLine.parse(["--budget", str(budget)], flags))
    return then.with_(command.without(["check"])), Restored(list(only.values()), races, batches, budget)


def read(path: Path) -> list[dict[str, Any]]:
    """Return the candidates' rows of a file. Raises UsageError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        rows = [
            row for row in found if row["workload"] == WORKLOAD and row["choice"] and row["variant"] and row["opts"]
        ]
        wrong = [row["variant"] for row in rows if not holds(row["choice"].get("interval"), row["choice"].get("speed"))]
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise UsageError(f"--check {path}: cannot be read ({first_line(error)}); --out FILE.json writes one") from None
    if not rows:
        raise UsageError(f"--check {path}: holds no choice; `fmbench choose --out FILE.json` writes one")
    if wrong:
        raise UsageError(
            f"--check {path}: contradicts itself: the interval of how fast {wrong[0]} is does not hold that"
        )
    return rows
