"""Records: what logs say of each configuration, joined over workloads, every figure with its doubt and its log."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from fmbench.configuration import Configuration, names
from fmbench.markdown import harmless

from .reading.doubts import is_sound
from .reading.joined import joined
from .reading.row import Result
from .workload import Column, Finding, Table, installed, workload_of
from .writing.view import trust

DOUBT = "*"
DIGITS = 4  # of a digest
SPEED = ("texts_per_second", "throughput", "latency_ms")  # the first that a record has says how fast it is
QUALITY = ("ndcg", "overlap", "min_cosine")  # and how good

Key = tuple[str, str]  # of a column; what it is of, where that is a column of its own


@dataclass(slots=True)
class Record:
    """What is known of one configuration.

    `machine` is that of the log, with all that ran there: a GPU and its host. `figures` are by column; `again` counts
    those that were measured anew later, where the newest counts. `front` says that no other configuration of the model
    on that machine is both faster and better.
    """

    configuration: Configuration
    name: str
    logs: list[str]
    machine: str
    figures: dict[Key, Finding] = field(default_factory=dict)
    again: int = 0
    front: bool = False

    def first(self, keys: Sequence[str]) -> tuple[Key, Finding] | None:
        """Return the first of some figures that there is."""
        found = ((key, figure) for wanted in keys for key, figure in self.figures.items() if key[0] == wanted)
        return next(found, None)

    @property
    def doubtful(self) -> bool:
        """Whether a figure is in doubt."""
        return any(figure.doubt for figure in self.figures.values())

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "configuration": self.configuration.id,
            "name": self.name,
            "model": self.configuration.model,
            "facts": dict(self.configuration.facts),
            "figures": [{"key": key[0], **said(figure)} for key, figure in self.figures.items()],
            "measured_again": self.again,
            "front": self.front,
            "logs": self.logs,
        }


def said(figure: Finding) -> dict[str, Any]:
    """Return a figure as JSON values."""
    return {key: value for key, value in asdict(figure).items() if key != "weight"}


def columns() -> dict[str, Column]:
    """Return the columns of all workloads that are installed, in the order of their table."""
    return {column.key: column for workload in installed().values() for column in workload.columns}


def belongs(result: Result) -> bool:
    """Whether a result is in a record: its log says what computed it, and is sound. Other doubts stand with it."""
    row = result.row
    return row["configuration"] is not None and row["status"] != "ERR" and is_sound(row["doubt"])


def records_of(results: Iterable[Result]) -> list[Record]:
    """Return a record a configuration, named among those of its model and machine, those of their front marked."""
    configurations: dict[str, Any] = {}
    machines: dict[str, str] = {}
    logs: dict[str, dict[str, None]] = defaultdict(dict)
    found: dict[str, dict[str, list[Finding]]] = defaultdict(lambda: defaultdict(list))
    for result in joined(results):
        key, workload = result.row["configuration"], workload_of(result.row)
        if not belongs(result):
            continue
        if key not in configurations:
            configurations[key] = workload.configuration(result.row)
            machines[key] = result.row["machine"] or configurations[key].facts.get("machine") or ""
        logs[key][result.source] = None
        for column in workload.columns:
            if (figure := column.read(result.row)) is not None:
                found[key][column.key].append(placed(figure, result))
    records = [Record(one, "", list(logs[key]), machines[key]) for key, one in configurations.items()]
    for members in comparable(records).values():
        named = names([one.configuration for one in members])
        for key in columns():
            tell_apart([found[one.configuration.id][key] for one in members])
        usual = {key: usual_of([found[one.configuration.id][key] for one in members]) for key in columns()}
        for record in members:
            record.name = named[record.configuration.id]
            for key, column in columns().items():
                choose(record, column, found[record.configuration.id][key], usual[key])
        mark_front(members)
    return [record for record in records if record.figures]


def placed(figure: Finding, result: Result) -> Finding:
    """Return a figure with its log, its time, and the doubt of its row."""
    reason = trust(result.row)
    doubt = None if reason in ("", "stable") else reason
    return replace(figure, log=result.source, at=float(result.row["timestamp"] or 0), doubt=figure.doubt or doubt)


def comparable(records: Iterable[Record]) -> dict[tuple[str, str], list[Record]]:
    """Return the records of each model on each machine, by their names: others cannot be held against each other."""
    found: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        found.setdefault((record.configuration.model or "unknown model", record.machine), []).append(record)
    return found


def tell_apart(figures: Sequence[list[Finding]]) -> None:
    """Give what is of other texts, judgements or prompts another name, by the first digits of their digest."""
    kinds: dict[str, set[str]] = defaultdict(set)
    for figure in itertools.chain.from_iterable(figures):
        kinds[figure.of].add(figure.same)
    for members in figures:
        members[:] = [
            replace(one, of=f"{one.of} #{one.same[:DIGITS]}".strip()) if len(kinds[one.of]) > 1 else one
            for one in members
        ]


def usual_of(figures: Sequence[Sequence[Finding]]) -> str | None:
    """Return what most configurations have a figure of; of several such, the one of most weight."""
    counts: Counter[str] = Counter()
    weights: dict[str, float] = {}
    for members in figures:
        counts.update({figure.of for figure in members})
        weights |= {figure.of: figure.weight for figure in members}
    return max(counts, key=lambda of: (counts[of], weights[of], of), default=None)


def choose(record: Record, column: Column, figures: Sequence[Finding], usual: str | None) -> None:
    """Put the figures of a column into a record: of what was measured twice the newest, of several ways the best."""
    newest: dict[tuple[str, str], Finding] = {}
    for figure in figures:
        old = newest.setdefault((figure.of, figure.way), figure)
        if (old.value, old.at) != (figure.value, figure.at):  # the same again is a copy of a log
            record.again += 1
            newest[figure.of, figure.way] = max(old, figure, key=lambda one: one.at)
    best = min if column.less_is_better else max
    there = list(dict.fromkeys(of for of, _ in newest))
    wanted = there if column.apart else [usual] if usual in there else []  # others could not be held against these
    for of in wanted:
        of_this = [figure for (other, _), figure in newest.items() if other == of]
        record.figures[column.key, of if column.apart else ""] = best(of_this, key=lambda figure: figure.value)


def mark_front(records: Sequence[Record]) -> None:
    """Mark the records of one model that no other is both faster and better than, by what most of them say."""
    speed, quality = axes(records)
    if speed is None or quality is None:
        return
    there = [record for record in records if speed in record.figures and quality in record.figures]
    sign = -1 if columns()[speed[0]].less_is_better else 1
    points = [(sign * record.figures[speed].value, record.figures[quality].value) for record in there]
    for record, (fast, good) in zip(there, points, strict=True):
        record.front = not any(
            other_fast >= fast and other_good >= good and (other_fast, other_good) != (fast, good)
            for other_fast, other_good in points
        )


def axes(records: Sequence[Record]) -> tuple[Key | None, Key | None]:
    """Return which figures say how fast and how good some records are: those that most of them have, in order."""

    def most(keys: Sequence[str]) -> Key | None:
        counts = Counter(key for record in records for key in record.figures if key[0] in keys)
        return max(counts, key=lambda key: (counts[key], -keys.index(key[0])), default=None)

    return most(SPEED), most(QUALITY)


def table_of(records: Sequence[Record], configuration: str = "configuration") -> Table:
    """Return a line a record, the fastest first: its name and every figure that one of them has, doubt marked."""
    speed, _ = axes(records)
    if speed is not None:
        sign = 1 if columns()[speed[0]].less_is_better else -1
        there = [record for record in records if speed in record.figures]
        there.sort(key=lambda record: sign * record.figures[speed].value)
        records = [*there, *(record for record in records if speed not in record.figures)]
    kinds = columns()
    order = list(kinds)
    keys = sorted({key for record in records for key in record.figures}, key=lambda key: (order.index(key[0]), key[1]))
    several = Counter(key[0] for key in keys)
    headings = [
        headed(kinds[key[0]], key, [one.figures[key] for one in records if key in one.figures], several) for key in keys
    ]
    lines = [
        [record.configuration.id, record.name, *(cell(kinds[key[0]], record.figures.get(key)) for key in keys)]
        for record in records
    ]
    return Table(["id", configuration, *headings], lines, range(2, 2 + len(keys)))


def headed(column: Column, key: Key, figures: Sequence[Finding], several: Mapping[str, int]) -> str:
    """Return a heading, with what its figures are of where that is one thing."""
    of = {figure.of for figure in figures if figure.of}
    if key[1] and several[key[0]] < 2:
        return f"{column.heading} {harmless(key[1])}"
    return f"{column.heading} {harmless(of.pop())}" if len(of) == 1 else column.heading


def cell(column: Column, figure: Finding | None) -> str:
    """Return a figure as text."""
    return "" if figure is None else column.text(figure) + (DOUBT if figure.doubt else "")
