"""Results as lines of a plot: what is on the axes, what tells the lines apart, and what all of them share."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from fmbench.markdown import harmless

from ..comparing.variant_names import FIRST, VariantNames
from ..reading.joined import joined
from ..reading.row import Result
from ..workload import Plot
from ..writing.columns import cells, text_of
from ..writing.view import median

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What may tell two configurations apart, with how it is written, the plainest first; the rest of the fingerprint has
# no room in a legend.
SIMULATED = "simulated"
VARIANT = "variant"  # by name: a letter means something in its own run only
TELLING = {
    "model": "{}", "environment.platform": "{}", "environment.device": "{}", "precision": "{}", VARIANT: "variant {}",
    "environment.threads": "{} threads", "environment.compile": "{}", "environment.openvino_frontend": "{}",
    "environment.attention": "{} attention",
    "environment.packages.torch": "torch {}", "metadata_id": "{}", SIMULATED: "{}",
}  # fmt: skip
MAIN = ("model", "environment.platform", "precision")
SHARED = ("model", "environment.platform", "environment.device", "precision", "environment.threads")

Value = Callable[["Point"], tuple[float, float, float] | None]
Picture = Callable[[Sequence["Point"], str], "Figure | str"]  # of points, with what all of them share


@dataclass(frozen=True, slots=True)
class Point:
    """One measured shape. `name` says what configuration it is of, where there are several."""

    result: Result
    name: str
    input: int
    batch: int
    itl: float
    interval: tuple[float, float]
    sure: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a plot: x, y, and the band around y. `sure` is false where a figure should not be trusted."""

    name: str  # of the configuration
    size: int  # the one that is the same all along the line
    label: str
    place: tuple[int, int] = (0, 0)  # number of the colour, number of the line style
    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    sure: list[bool] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, x: float, band: tuple[float, float, float], point: Point, note: str) -> None:
        """Take in one point."""
        self.x.append(x)
        self.y.append(band[0])
        self.low.append(band[1])
        self.high.append(band[2])
        self.sure.append(point.sure)
        self.notes.append(note)


def points_of(results: Sequence[Result]) -> tuple[list[Point], str]:
    """Return every shape that has a latency, the last of those that are the same, and what all have in common."""
    measured = [result for result in joined(results) if is_measured(result.row)]
    found = {(name, result.row["input"], result.row["batch"]): point(result, name) for result, name in named(measured)}
    return list(found.values()), shared(measured)


def of_results(pictures: Mapping[str, Picture]) -> dict[str, Plot]:
    """Return pictures of points as pictures of results: each gets the points of these, which are found once."""
    last: list[Any] = [None, None]

    def plot(picture: Picture, results: Sequence[Result]) -> "Figure | str":
        if last[0] is not results:
            last[:] = results, points_of(results)
        points, subtitle = last[1]
        return picture(points, subtitle) if points else "no result has a latency"

    return {name: partial(plot, picture) for name, picture in pictures.items()}


def is_measured(row: dict[str, Any]) -> bool:
    """Whether a result can be a point."""
    return row["status"] != "ERR" and all((row[key] or 0) > 0 for key in ("itl", "input", "batch"))


def point(result: Result, name: str) -> Point:
    """Return a result as a point."""
    row, statistics = result.row, result.row["statistics"] or {}
    itl = median(row) or row["itl"]
    low, high = statistics.get("interval") or (itl, itl)
    sure = statistics.get("stable") is True and row["status"] == "OK"
    return Point(result, name, row["input"], row["batch"], itl, (low, high), sure)


def named(results: Sequence[Result]) -> list[tuple[Result, str]]:
    """Return each result with what tells its configuration from the others; nothing where there is only one."""
    variants = VariantNames()
    rows = [facts_of(result, variants) for result in results]
    telling = telling_keys(rows)
    names = [", ".join(shown(key, row[key]) for key in telling if row.get(key) is not None) for row in rows]
    places = {
        (name, result.source, result.row["input"], result.row["batch"])
        for name, result in zip(names, results, strict=True)
    }
    if len({(name, size, batch) for name, _, size, batch in places}) < len(places):  # the same again, in another log
        names = [
            ", ".join(part for part in (name, harmless(result.source)) if part)
            for name, result in zip(names, results, strict=True)
        ]
    return list(zip(results, names, strict=True))


def facts_of(result: Result, variants: VariantNames) -> dict[str, Any]:
    """Return what may tell a configuration; a shape that was cut off is of the same one as the others."""
    simulated = SIMULATED if result.row["status"] == "SIMULATED" else None
    variant = None if result.row["variant"] is None else variants.name(result) or FIRST
    return {**cells(result.row), VARIANT: variant, SIMULATED: simulated}


def telling_keys(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the keys that tell all configurations apart: MAIN where they differ, and no more others than it takes."""

    def kinds(keys: Sequence[str]) -> int:
        return len({tuple(text_of(row.get(key)) for key in keys) for row in rows})

    keys = list(TELLING)
    for key in reversed(TELLING):
        rest = [other for other in keys if other != key]
        if kinds([key]) == 1 or (key not in MAIN and kinds(rest) == kinds(keys)):
            keys = rest
    return keys


def shared(results: Sequence[Result]) -> str:
    """Return what all results have in common, as a subtitle."""
    rows = [cells(result.row) for result in results]
    common = [key for key in SHARED if len({text_of(row.get(key)) for row in rows}) == 1]
    words = dict.fromkeys(shown(key, rows[0][key]) for key in common if rows[0].get(key) is not None)
    return ", ".join(words)


def shown(key: str, value: Any) -> str:
    """Return a fact as a legend has it; of a model's name the last part."""
    text = harmless(text_of(value))
    if key == "environment.threads" and value == 1:
        return "1 thread"
    if key == "environment.compile" and isinstance(value, bool):
        return "compiled" if value else "eager"
    return TELLING[key].format(text.rpartition("/")[2] if key == "model" else text)


def lines_over(points: Iterable[Point], x: str, other: str, value: Value) -> list[Line]:
    """Return a line for each configuration and each `other` size, over the sizes `x`, where it has two points."""
    return lines_of(points, x, other, lambda point: getattr(point, x), value)


def lines_of(
    points: Iterable[Point], order: str, other: str, across: Callable[[Point], float], value: Value
) -> list[Line]:
    """Return such lines with any figure across, from the smallest size `order` on."""
    found: dict[tuple[str, int], Line] = {}
    for each in sorted(points, key=lambda point: (point.name, getattr(point, other), getattr(point, order))):
        band = value(each)
        if band is not None:
            label = ", ".join(part for part in (each.name, f"{other} {getattr(each, other)}") if part)
            size = getattr(each, other)
            line = found.setdefault((each.name, size), Line(each.name, size, label))
            line.add(across(each), band, each, str(getattr(each, order)))
    return place_lines([line for line in found.values() if len(line.x) > 1])


def spread(items: Sequence[Any], most: int) -> list[Any]:
    """Return some of many, evenly spread, with the first and the last."""
    if len(items) <= most:
        return list(items)
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]


def place_lines(lines: Sequence[Line]) -> list[Line]:
    """Return lines with their colours: one a size, and a style a configuration; one a configuration for one size."""
    names = list(dict.fromkeys(line.name for line in lines))
    sizes = sorted({line.size for line in lines})
    places = [
        (sizes.index(line.size), names.index(line.name)) if len(sizes) > 1 else (names.index(line.name), 0)
        for line in lines
    ]
    return [replace(line, place=place) for line, place in zip(lines, places, strict=True)]


def latency(point: Point) -> tuple[float, float, float]:
    """Return milliseconds a batch, with the interval."""
    return point.itl, *point.interval


def throughput(point: Point) -> tuple[float, float, float] | None:
    """Return sequences a second, with the interval."""
    low, high = point.interval
    return None if low <= 0 else (1e3 * point.batch / point.itl, 1e3 * point.batch / high, 1e3 * point.batch / low)


def exact(section: str, key: str, scale: float = 1.0) -> Value:
    """Return how to read a figure that has no interval."""

    def read(point: Point) -> tuple[float, float, float] | None:
        value = (point.result.row[section] or {}).get(key)
        return None if value is None else (value * scale,) * 3

    return read
