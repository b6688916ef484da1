"""What a person is told at the end of a run: significant figures, doubts, and what would settle them."""

import shlex
from collections.abc import Sequence
from typing import Any

from fmbench import lines
from fmbench.figures import plus_minus, significant
from fmbench.secrets import masked_text
from fmbench.table import table

HEADER = ("input", "batch", "variant", "latency ms", "sequences/s", "n", "trust")
LEAST_REPS = 100
ANSWERED = (
    "--reps",
    "--precision",
    "--max_seconds",
    "--resume",
)  # what the settling command says anew, or must not repeat


def overview(outcomes: Sequence[lines.JsonLine], argv: Sequence[str], program: str) -> str:
    """Return the table of a run, the comparisons, and the command that would settle what is unstable."""
    if not outcomes:
        return ""
    rows = [row(line) for line in outcomes if not isinstance(line, lines.Pair)]
    text = table(HEADER, rows, right=(0, 1, 3, 4, 5))
    for line in outcomes:
        if isinstance(line, lines.Pair):
            text += comparison(line.data) + "\n"
    doubtful = [line.data for line in outcomes if isinstance(line, lines.Stat) and not line.data["stable"]]
    if any(str(data["reason"]).startswith("throttled") for data in doubtful):
        text += "a CPU quota decides these figures: raise it (`fmbench doctor` says how many threads it has use for)\n"
    elif doubtful:
        first = "stop the other work on this machine, then " if contended(doubtful) else ""
        text += f"unstable figures; to settle them: {first}{settling_command(doubtful, argv, program)}\n"
    return text


def row(line: lines.JsonLine) -> list[str]:
    """Return one line of the table."""
    data = line.data
    head = [str(data["input_size"]), str(data["batch_size"]), data.get("variant", "")]
    if isinstance(line, lines.Err):
        return [*head, "-", "-", "-", f"failed: {data['type']}: {data['message']}"]
    trust = "stable" if data["stable"] else f"unstable: {data['reason']}"
    throughput = significant(data["batch_size"] / data["p50"] * 1e3) if data["p50"] else "-"
    return [*head, plus_minus(data["p50"], *data["interval"]), throughput, str(data["n"]), trust]


def comparison(data: dict[str, Any]) -> str:
    """Return what one variant is against the first."""
    size = f"{data['input_size']} / {data['batch_size']}"
    named = f"{size}: {data['b']} ({data['overrides'] or 'the same command'}) against {data['a']}"
    if data["ratio"] is None:
        return f"{named}: no answer, {data['reason']}"
    ratio = f"latency ratio {plus_minus(data['ratio'], *data['interval'])}"
    if data["verdict"] in ("faster", "slower"):
        ratio += f" ({significant(1 / data['ratio'])} times the speed)"
    said = f"{data['verdict']} ({data['reason']})" if data["verdict"] and data.get("reason") else data["verdict"]
    return f"{named}: {said or data['reason']}, {ratio}"


def contended(doubtful: Sequence[dict[str, Any]]) -> bool:
    """Whether other work disturbed a shape."""
    return any(str(data["reason"]).startswith("contended") for data in doubtful)


def settling_command(doubtful: Sequence[dict[str, Any]], argv: Sequence[str], program: str) -> str:
    """Return the same command with as many repetitions as should make the median known to 1%."""
    reps = max(LEAST_REPS, *(10 * (data["n"] + data["dropped"]) for data in doubtful))
    kept: list[str] = []
    skip = False
    for token in argv:
        if not skip and token.partition("=")[0] not in ANSWERED:
            kept.append(token)
        skip = token in ANSWERED
    return f"{program} {masked_text(shlex.join(kept))} --precision 1% --reps {reps}"
