"""Results as people read them: the configuration as far as it tells rows apart, the interval beside the figure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fmbench.figures import plus_minus, significant
from fmbench.markdown import harmless

from ..reading.row import ROUNDING, THROUGHPUT_ROUNDING

Lines = list[list[str]]
Row = Mapping[str, Any]

NAMED = {"--model:dtype": "dtype", "--compile:backend": "compile"}  # options that a column of a fact shows


def fact(name: str) -> Callable[[Row], str]:
    """Return how to read a fact of a result as text."""
    return lambda row: text((row["environment"] or {}).get(name))


def package(name: str) -> Callable[[Row], str]:
    """Return how to read the version of a library as text."""

    def read(row: Row) -> str:
        packages = (row["environment"] or {}).get("packages")
        return text(packages.get(name)) if isinstance(packages, dict) else ""

    return read


def compiler(row: Row) -> str:
    """Return what a model went through: `eager`, a compiler's name, or `compiled` where the platform has its own."""
    facts = row["environment"] or {}
    if facts.get("compile") is None:
        return ""
    named = [option.split(" ", 1)[1] for option in options_of(row) if option.startswith("--compile:backend ")]
    return "eager" if not facts["compile"] else named[0] if named else "compiled"


def options_of(row: Row) -> list[str]:
    """Return the sub-options that a result was measured with; where its facts have none, those of the arguments."""
    options = (row["environment"] or {}).get("options")
    return list(map(str, options)) if isinstance(options, list) else [text for text in row["opts"] if ":" in text]


def other_options(row: Row) -> str:
    """Return the sub-options that no other column shows."""
    facts = row["environment"] or {}
    return " ".join(option for option in options_of(row)
                    if facts.get(NAMED.get(option.partition(" ")[0].rstrip("@"), "")) is None)  # fmt: skip


# What a figure is a figure of. The first three are always shown, the others where they tell rows apart.
CONFIGURATION: Mapping[str, Callable[[Row], str]] = {
    "model": lambda row: text(row["model"]),
    "platform": fact("platform"),
    "precision": lambda row: text(row["precision"]),
    "dtype": fact("dtype"),
    "model_class": lambda row: text(row["model_class"]),
    "machine": lambda row: text(row["machine"]),
    "compile": compiler,
    "frontend": fact("openvino_frontend"),
    "threads": fact("threads"),
    "attention": fact("attention"),
    "weights": fact("weights"),
    "options": other_options,
    "torch": package("torch"),
    "transformers": package("transformers"),
    "configuration": lambda row: text(row["configuration"]),  # whatever else there is that tells rows apart
}
MAIN = 3
HALF = 0.500001  # of the last digit of RES, which rounding may have taken; and what binary fractions add to that
IF_ANY = ("variant", "against A")  # columns that are left out where they are empty


def table_of(
    header: Sequence[str], lines: Lines, telling: Sequence[str], right: Iterable[str]
) -> tuple[list[str], Lines, list[int]]:
    """Return the columns of a table that are shown. `telling` are those that tell rows apart besides the configuration.

    A terminal obeys control characters, so there are none in the cells.
    """
    places = {name: place for place, name in enumerate(header)}
    configuration = shown_facts(lines, [places[name] for name in telling])
    empty = {places[name] for name in IF_ANY if name in places and not any(line[places[name]] for line in lines)}
    shown = [*configuration, *(place for place in range(len(CONFIGURATION), len(header)) if place not in empty)]
    flush = [position for position, place in enumerate(shown) if header[place] in right]
    return [header[place] for place in shown], [[harmless(line[place]) for place in shown] for line in lines], flush


def shown_facts(lines: Lines, telling: Sequence[int]) -> list[int]:
    """Return the columns of the configuration that are shown: each further one tells rows apart that were alike."""

    def kinds(columns: Sequence[int]) -> int:
        return len({tuple(line[column] for column in (*columns, *telling)) for line in lines})

    names = list(CONFIGURATION)
    precision, dtype = names.index("precision"), names.index("dtype")
    shown = [column for column in range(MAIN) if any(line[column] for line in lines)]
    shown += [dtype] if any(line[dtype] not in ("", line[precision]) for line in lines) else []
    found = kinds(shown)
    for column in range(MAIN, len(names)):
        more = kinds([*shown, column])
        if more > found:
            shown, found = [*shown, column], more
    return sorted(set(shown))


def median(row: Row) -> float | None:
    """Return the median in milliseconds, in all digits that the repetitions give: RES is rounded already."""
    said, found = row["itl"], (row["statistics"] or {}).get("p50")
    return said if said is None or found is None or abs(said - found) > HALF * ROUNDING else float(found)


def rate(row: Row) -> float | None:
    """Return the throughput in sequences a second, in all digits that the repetitions give."""
    said, milliseconds = row["thp"], median(row)
    if said is None or not milliseconds or not row["batch"] or (row["statistics"] or {}).get("p50") is None:
        return None if said is None else float(said)
    found = 1000 * row["batch"] / milliseconds
    return found if abs(said - found) <= HALF * THROUGHPUT_ROUNDING else float(said)


def latency(row: Row) -> str:
    """Return the median with half its interval."""
    value, interval = median(row), (row["statistics"] or {}).get("interval")
    if value is None:
        return ""
    return plus_minus(value, *interval) if interval else significant(value)


def trust(row: Row, done: str | None = None) -> str:
    """Return whether a result can be trusted, and why not; `done` says how far it came where it has no repetitions."""
    status, statistics = row["status"], row["statistics"] or {}
    if status == "ERR":
        error = row["error"] or {}
        return ": ".join(["failed", *(part for part in (text(error.get("type")), text(error.get("message"))) if part)])
    doubts = []
    if status == "PARTIAL":
        if statistics:
            done = f"{statistics.get('repetitions', 0)} of {statistics.get('requested') or '?'} repetitions"
        doubts.append(f"partial: {done}" if done else "partial")
    if status == "SIMULATED":
        doubts.append("simulated: no hardware computed it")
    if statistics.get("stable") is False:
        doubts.append(f"unstable: {statistics.get('reason')}")
    elif row.get("doubt"):
        doubts.append(row["doubt"])
    return "; ".join(doubts) or ("stable" if statistics.get("stable") else "")


def text(value: Any) -> str:
    """Return a value as text, null as nothing."""
    return "" if value is None else str(value)


def number(value: float | None) -> str:
    """Return three digits of a number, null as nothing."""
    return "" if value is None else significant(value)
