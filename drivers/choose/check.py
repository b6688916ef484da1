"""`--check FILE.json`: the command line of an earlier choice, and what it said to run, to be measured again."""

import json
from pathlib import Path
from typing import Any

from fmbench import lines
from fmbench.backend import Candidate
from fmbench.command_line import CommandLine, command_line
from fmbench.errors import UsageError, first_line

WORKLOAD = "choice"
AGAIN = ("log", "out", "check", "budget", "vs", "without")  # what a check has anew, or has no use for


def restore(path: Path, command: CommandLine, flags: set[str]) -> tuple[CommandLine, list[Candidate], dict[str, int]]:
    """Return the command line of a choice, under the one that was typed, and whatever it said to run.

    Where that is the reference, whoever ran: nothing may be faster. And the tokens a batch of each candidate: measured
    again, noise alone could make them others. Raises UsageError for a file that holds no choice, or no answer.
    """
    rows = read(path)
    said = [lines.Arg.parse(text.removeprefix("FMWORK ARG ")) for text in rows[0]["opts"]]
    then = command_line([(one.key, one.value) for one in said if one.key not in AGAIN], flags)
    winners = {row["variant"] for row in rows if row["choice"]["place"] == "winner"}
    if not winners:
        raise UsageError(f"--check {path}: it says to run nothing; choose again without --check")
    reference = rows[0]["choice"]["reference"]
    ran = {row["variant"] for row in rows if row["status"] != "ERR"} if reference in winners else winners
    only = {
        row["variant"]: Candidate(row["variant"], row["overrides"] or "", row["choice"]["reason"] or "")
        for row in rows if row["variant"] in ran - {reference}
    }  # fmt: skip
    batches = {row["variant"]: found for row in rows if (found := row["choice"].get("tokens_per_batch"))}
    return then.with_(command.without(["check"])), list(only.values()), batches


def read(path: Path) -> list[dict[str, Any]]:
    """Return the candidates' rows of a file. Raises UsageError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        rows = [
            row for row in found if row["workload"] == WORKLOAD and row["choice"] and row["variant"] and row["opts"]
        ]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(f"--check {path}: cannot be read ({first_line(error)}); --out FILE.json writes one") from None
    if not rows:
        raise UsageError(f"--check {path}: holds no choice; `fmbench choose --out FILE.json` writes one")
    return rows
