"""What a person is told at the end of a run: significant figures, doubts, and what would settle them."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from fmbench import lines, variants
from fmbench.command_line import CommandLine
from fmbench.figures import plus_minus, significant
from fmbench.summary import contended
from fmbench.table import table

HEADER = ("input", "batch", "variant", "latency ms", "sequences/s", "n", "against A", "trust")
RIGHT = (0, 1, 3, 4, 5)
ONLY_OF_VARIANTS = (2, 6)  # columns
LEAST_REPS = 100
ANSWERED = ("reps", "precision", "max_seconds", "resume")  # what the settling command says anew, or must not repeat


def overview(
    outcomes: Sequence[lines.JsonLine], command: CommandLine, program: str, simulated: Mapping[str, str]
) -> str:
    """Return the table of a run, the comparisons, what is `simulated`, and the command that would settle the unstable.

    `simulated` says why, a variant.
    """
    if not outcomes:
        return ""
    text = variants_table(outcomes)
    for line in outcomes:
        if lines.is_json(line, "PROC"):
            text += agreement(line.data) + "\n"
    several = any(line.data.get("variant") for line in outcomes)
    for label, why in simulated.items():
        text += f"simulated, no hardware computed {label if several else 'it'}: {why}\n"
    doubtful = [line.data for line in outcomes if lines.is_json(line, "STAT") and not line.data["stable"]]
    if any(str(data["reason"]).startswith("throttled") for data in doubtful):
        text += "a CPU quota decides these figures: raise it (`fmbench doctor` says how many threads it has use for)\n"
    elif doubtful:
        first = (
            "stop the other work on this machine, then " if any(contended(one["reason"]) for one in doubtful) else ""
        )
        text += f"unstable figures; to settle them: {first}{settling_command(doubtful, command, program)}\n"
    return text


def variants_table(outcomes: Sequence[lines.JsonLine]) -> str:
    """Return the table, the variants of a shape in the order of their speed, and which of them is the fastest."""
    pairs = {place(line): line.data for line in outcomes if lines.is_json(line, "PAIR")}
    shapes: dict[tuple[int, int], list[lines.JsonLine]] = {}
    for line in outcomes:
        if not lines.is_json(line, "PAIR", "PROC"):
            shapes.setdefault(place(line)[:2], []).append(line)
    rows = [row(line, pairs.get(place(line))) for shape in shapes.values() for line in sorted(shape, key=milliseconds)]
    shown = [column for column in range(len(HEADER)) if column not in ONLY_OF_VARIANTS or any(r[column] for r in rows)]
    right = [position for position, column in enumerate(shown) if column in RIGHT]
    text = table([HEADER[column] for column in shown], [[cells[column] for column in shown] for cells in rows], right)
    judged = [[pair for key, pair in pairs.items() if key[:2] == shape] for shape in shapes]
    said = variants.fastest(judged, (line.data.get("reason") for lines_of in shapes.values() for line in lines_of))
    return f"{text}{said}\n" if said else text


def place(line: lines.JsonLine) -> tuple[int, int, str | None]:
    """Return what a line is of: input size, batch size and variant, of two variants the one that is compared."""
    return line.data["input_size"], line.data["batch_size"], line.data.get("b", line.data.get("variant"))


def milliseconds(line: lines.JsonLine) -> float:
    """Return the median latency; what failed is the slowest of all."""
    return float("inf") if lines.is_json(line, "ERR") else float(line.data["p50"])


def row(line: lines.JsonLine, pair: dict[str, Any] | None) -> list[str]:
    """Return one line of the table."""
    data = line.data
    overrides = None if pair is None else pair["overrides"]
    head = [str(data["input_size"]), str(data["batch_size"]), variants.label(data.get("variant"), overrides)]
    if lines.is_json(line, "ERR"):
        return [*head, "-", "-", "-", "", f"failed: {data['type']}: {data['message']}"]
    compared = variants.against(pair) if pair else ""
    trust = "stable" if data["stable"] else f"unstable: {data['reason']}"
    throughput = significant(data["batch_size"] / data["p50"] * 1e3) if data["p50"] else "-"
    return [*head, plus_minus(data["p50"], *data["interval"]), throughput, str(data["n"]), compared, trust]


def agreement(data: dict[str, Any]) -> str:
    """Return how the processes that measured one shape differ."""
    size = " ".join([f"{data['input_size']} / {data['batch_size']}", data.get("variant", "")]).rstrip()
    trust = "stable" if data["stable"] else f"unstable: {data['reason']}"
    return f"{size}: {data['n']} processes, {plus_minus(data['p50'], *data['interval'])} ms between them, {trust}"


def settling_command(doubtful: Sequence[dict[str, Any]], command: CommandLine, program: str) -> str:
    """Return the same command with as many repetitions as should make the median known to 1%."""
    reps = max(LEAST_REPS, *(10 * (data["n"] + data["dropped"]) for data in doubtful))
    kept = command.without(ANSWERED).masked()
    return f"{program} {shlex.join(kept.words)} --precision 1% --reps {reps}"
