"""What can be pasted of a choice: the command and the Python lines of what to run, and what is said above them."""

import contextlib
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..workload import Row

WHERE = {"online": "for one text at a time", "bulk": "in bulk"}
COMMAND = "{}, {}: judges it again on the same {}passages{}, alone: its times are of no race"
PART = "without --other_documents it is of all passages, and nDCG another"
PROGRAM = "{}, {}: its vectors without fmbench"
ELSEWHERE = "paths are of the folder in which the choice was made"


def code_of(chosen: Row, winners: Sequence[Row]) -> list[str]:
    """Return what can be pasted of a winner, each under a comment that names all profiles that it is to be run in.

    It runs in any folder where this one is that of the choice: files that lie here are named from the root.
    """
    found, files = chosen["choice"], chosen["choice"].get("files") or ()
    here = {file: str(Path(file).resolve()) for file in files if os.path.exists(file)}  # noqa: PTH110 (any name)
    command, program = (found[key] and written(found[key], here) for key, written in WRITTEN.items())
    same = [one["choice"]["profile"] for one in winners if one["variant"] == chosen["variant"]]
    said = chosen["variant"], " and ".join(WHERE[profile] for profile in same)
    part = [PART] if "--other_documents" in (command or "") else []
    lost = [ELSEWHERE] if len(here) < len(files) else []
    parts = (
        (command, [COMMAND.format(*said, *judged(chosen)), *part, *lost]),
        (program, [PROGRAM.format(*said), *lost]),
    )
    return [f"# {'; '.join(comments)}.\n{text}" for text, comments in parts if text]


def judged(row: Row) -> tuple[str, str]:
    """Return how many passages a winner was judged on, and the nDCG that it had, as far as that is known."""
    count, ndcg = (row["environment"] or {}).get("passages"), row["choice"].get("ndcg")
    return f"{count:,} " if count else "", "" if ndcg is None else f" (nDCG@10 was {ndcg:.4f})"


def command_with(command: str, paths: Mapping[str, str]) -> str:
    """Return a command line with other paths in place of some; one that a damaged log has, as it is."""
    with contextlib.suppress(ValueError):
        return shlex.join(paths.get(word, word) for word in shlex.split(command)) if paths else command
    return command


def program_with(program: str, paths: Mapping[str, str]) -> str:
    """Return Python lines with other paths in place of some."""
    for old, new in paths.items():
        program = program.replace(repr(old), repr(new))
    return program


WRITTEN = {"command": command_with, "program": program_with}
