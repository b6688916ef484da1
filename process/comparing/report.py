"""A comparison as a table, as Markdown for a pull request, or as JSON."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fmbench.figures import significant
from fmbench.markdown import harmless, markdown, plain
from fmbench.resampling import Interval
from fmbench.table import table

from ..reading.copies import in_words
from ..writing.view import text
from .comparison import Comparison, GeometricMean, matrix
from .quality import QualityChange
from .sides import KEYS, QUALITY_KEYS, Facts, Key, Side
from .sight import unseen
from .speeds import SPEED_KEYS
from .variant_names import FIRST
from .verdicts import NO_DIFFERENCE, SIGNIFICANT, Change, Measured

Draw = Callable[[Sequence[str], Sequence[Sequence[str]], Sequence[int]], str]
FIGURES = ("base ms", "new ms", "ratio", "95% interval", "p", "verdict", "note")
QUALITY_FIGURES = ("metric", "base", "new", "difference", "95% interval", "p", "verdict", "note")
LEAST_P = 1e-4


@dataclass(frozen=True, slots=True)
class Style:
    """How a report is written: its tables, what is before a title, and how any text is kept from being markup."""

    draw: Draw
    title: str
    plain: Callable[[str], str]


TERMINAL = Style(table, "", harmless)
MARKDOWN = Style(markdown, "### ", plain)


def as_table(comparisons: Sequence[Comparison], threshold: float) -> str:
    """Return text for a terminal."""
    return report(comparisons, threshold, TERMINAL)


def as_markdown(comparisons: Sequence[Comparison], threshold: float) -> str:
    """Return Markdown for a pull request."""
    return report(comparisons, threshold, MARKDOWN)


def report(comparisons: Sequence[Comparison], threshold: float, style: Style) -> str:
    """Return a report: each comparison, and all against all where there are several."""
    parts = [part for comparison in comparisons for part in section(comparison, threshold, style)]
    if len(comparisons) > 1:
        parts += [f"{style.title}All against all\n", across_all(sides_of(comparisons), style.draw)]
    return "\n".join(parts)


def section(comparison: Comparison, threshold: float, style: Style) -> list[str]:
    """Return what is said of one comparison."""
    title = f"{comparison.new.name} against {comparison.base.name}: {headline(comparison)}"
    timed, sure = bool(comparison.changes or not comparison.quality), f"p below {100 * SIGNIFICANT:g}%"
    notes = []
    if timed:
        notes.append(
            f"ratio: new over base, above 1 is slower. A regression or an improvement is beyond {100 * threshold:g}% "
            f"with {sure} (Mann-Whitney U on the repetitions, of several processes or runs on their medians; "
            "Holm-corrected)."
        )
    if comparison.speeds:
        notes.append(
            "speeds: a run has one figure of each, so that several runs of both (`fmbench sweep --repeat`) are needed "
            f"to tell; ratio: times, new over base, above 1 is slower, and beyond {100 * threshold:g}% with {sure}."
        )
    if comparison.quality:
        notes.append(
            f"difference: new less base, below 0 is worse. A regression or an improvement has {sure} (randomisation "
            "test on the queries in pairs; Holm-corrected)."
        )
    notes += [f"Not seen: {text}." for text in unseen(comparison, threshold)]
    if comparison.same_runs:
        notes.append(
            f"On both sides, and where nothing else measured it compared with itself: {in_words(comparison.same_runs)}."
        )
    if comparison.differing:
        notes.append(f"Facts that differ: {facts(comparison.differing)}.")
    for name, every in (("base", comparison.only_base), ("new", comparison.only_new)):
        for what, names in (("shapes", KEYS), ("data sets", QUALITY_KEYS)):
            keys = [key for key in every if len(key) == len(names)]
            if not keys:
                continue
            notes.append(f"Only in {name}: {len(keys)} {what} ({shape(keys[0])}{', ...' if len(keys) > 1 else ''}).")
    tables = [style.draw(*rows_of(comparison))] if timed else []
    tables += [style.draw(*quality_rows(comparison))] if comparison.quality else []
    tables += [style.draw(*speed_rows(comparison))] if comparison.speeds else []
    texts = (f"{style.plain(note)}\n" for note in notes)
    return [f"{style.title}{style.plain(title)}\n", *tables, *texts]


def headline(comparison: Comparison) -> str:
    """Return the counts of each verdict and the overall ratio."""
    regressions, improvements = comparison.count("regression"), comparison.count("improvement")
    parts = [
        f"{regressions} regression{'' if regressions == 1 else 's'}",
        f"{improvements} improvement{'' if improvements == 1 else 's'}",
        f"{comparison.count(NO_DIFFERENCE)} without significant difference",
    ]
    unknown = comparison.count(None)
    parts += [f"{unknown} not compared"] if unknown else []
    timed = f"; overall ratio {mean_text(comparison.overall)}" if comparison.changes or not comparison.quality else ""
    left_out = sum(change.ratio is not None for change in comparison.changes) - comparison.overall.count
    return f"{', '.join(parts)}{timed}{f', without {left_out} simulated' if left_out else ''}"


def mean_text(mean: GeometricMean) -> str:
    """Return a geometric mean with its interval."""
    if mean.value is None:
        return "unknown"
    return f"{mean.value:.3f} ({interval_text(mean.interval) if mean.interval else 'too few to tell'})"


def interval_text(interval: Interval) -> str:
    """Return an interval as text."""
    return f"{interval[0]:.3f} to {interval[1]:.3f}"


def rows_of(comparison: Comparison) -> tuple[list[str], list[list[str]], list[int]]:
    """Return header, lines and right-hand columns. Of the keys, those that differ among the shapes are shown."""
    keys = [change.key for change in comparison.changes]
    shown = [
        place for place, name in enumerate(KEYS) if name in ("input", "batch") or len({key[place] for key in keys}) > 1
    ]
    header = [*(KEYS[place] for place in shown), *FIGURES]
    lines = [[*(key_text(KEYS[place], change.key[place]) for place in shown), *figures(change)]
             for change in comparison.changes]  # fmt: skip
    numeric = [index for index, name in enumerate(header) if name in ("input", "batch", *FIGURES[:5])]
    return header, [[harmless(cell) for cell in line] for line in lines], numeric


def quality_rows(comparison: Comparison) -> tuple[list[str], list[list[str]], list[int]]:
    """Return header, lines and right-hand columns of what became of rankings."""
    keys = [change.key for change in comparison.quality]
    shown = [place for place, name in enumerate(QUALITY_KEYS) if name == "dataset" or len({k[place] for k in keys}) > 1]
    header = [*(QUALITY_KEYS[place] for place in shown), *QUALITY_FIGURES]
    lines = []
    for change in comparison.quality:
        found = change.difference
        lines.append([
            *(text(change.key[place]) for place in shown), change.metric, f"{change.base:.4f}", f"{change.new:.4f}",
            f"{found.mean:+.4f}" if found else "",
            " to ".join(f"{end:+.4f}" for end in found.interval) if found and found.interval else "",
            p_text(change.p_holm),
            change.verdict or "not compared", change.reason or "",
        ])  # fmt: skip
    numeric = [index for index, name in enumerate(header) if name in ("base", "new", "difference", "p")]
    return header, [[harmless(cell) for cell in line] for line in lines], numeric


def speed_rows(comparison: Comparison) -> tuple[list[str], list[list[str]], list[int]]:
    """Return header, lines and right-hand columns of what became of the speeds of data sets."""
    keys = [change.key for change in comparison.speeds]
    shown = [
        place for place, name in enumerate(SPEED_KEYS)
        if name in ("dataset", "speed") or len({key[place] for key in keys}) > 1
    ]  # fmt: skip
    header = [*(SPEED_KEYS[place] for place in shown), "base", "new", *FIGURES[2:]]
    lines = [[*(text(change.key[place]) for place in shown), *figures(change)] for change in comparison.speeds]
    numeric = [index for index, name in enumerate(header) if name in ("base", "new", *FIGURES[2:5])]
    return header, [[harmless(cell) for cell in line] for line in lines], numeric


def key_text(name: str, value: Any) -> str:
    """Return a part of a shape's key as text; the variant without a name is the first one."""
    return FIRST if name == "variant" and value is None else text(value)


def figures(change: Change) -> list[str]:
    """Return a shape's figures and what to think of them."""
    doubts = [f"{name} {side.doubt}" for name, side in (("base", change.base), ("new", change.new)) if side.doubt]
    return [
        latency(change.base),
        latency(change.new),
        "" if change.ratio is None else f"{change.ratio:.3f}",
        "" if change.interval is None else interval_text(change.interval),
        p_text(change.p_holm),
        change.verdict or "not compared",
        "; ".join(part for part in (change.reason, *doubts) if part),
    ]


def latency(side: Measured) -> str:
    """Return a median in milliseconds."""
    return "" if side.itl is None else significant(side.itl, digits=4)


def p_text(p: float | None) -> str:
    """Return a p value as text."""
    if p is None:
        return ""
    return f"<{LEAST_P:.4f}" if p < LEAST_P else f"{p:.4f}"


def facts(differing: Facts) -> str:
    """Return facts that differ as text."""
    return "; ".join(f"{name}: {base} in base, {new} in new" for name, (base, new) in differing.items())


def shape(key: Key) -> str:
    """Return what a shape is called."""
    return (
        ", ".join(f"{name} {value}" for name, value in key_object(key).items() if value is not None) or "of any model"
    )


def sides_of(comparisons: Sequence[Comparison]) -> list[Side]:
    """Return the first side and all that were compared with it."""
    return [comparisons[0].base, *(comparison.new for comparison in comparisons)]


def across_all(sides: Sequence[Side], draw: Draw) -> str:
    """Return the matrix of the geometric mean ratios, row over column."""
    names = [harmless(side.name) for side in sides]
    rows = [[name, *map(mean_text, line)] for name, line in zip(names, matrix(sides), strict=True)]
    return draw(["ratio of row over column", *names], rows, range(1, len(names) + 1))


def as_json(comparisons: Sequence[Comparison], threshold: float, choices: Sequence[dict[str, Any]] = ()) -> str:
    """Return one JSON object; `choices` are what became of answers, where there are any."""
    found: dict[str, Any] = {
        "threshold": threshold,
        "significance": SIGNIFICANT,
        "comparisons": [comparison_object(comparison) for comparison in comparisons],
    }
    if len(comparisons) > 1:
        found["matrix"] = [[mean_object(mean) for mean in line] for line in matrix(sides_of(comparisons))]
    if choices:
        found["choices"] = choices
    return json.dumps(found, indent=2, allow_nan=False) + "\n"


def comparison_object(comparison: Comparison) -> dict[str, Any]:
    """Return one comparison as JSON values."""
    return {
        "base": comparison.base.name,
        "new": comparison.new.name,
        "differing": {name: list(pair) for name, pair in comparison.differing.items()},
        "overall": mean_object(comparison.overall),
        "shapes": [shape_object(change) for change in comparison.changes],
        "quality": [quality_object(change) for change in comparison.quality],
        "speeds": [speed_object(change) for change in comparison.speeds],
        "only_base": [key_object(key) for key in comparison.only_base],
        "only_new": [key_object(key) for key in comparison.only_new],
    }


def mean_object(mean: GeometricMean) -> dict[str, Any]:
    """Return a geometric mean as JSON values."""
    return {"ratio": mean.value, "interval": mean.interval, "shapes": mean.count}


def speed_object(change: Change) -> dict[str, Any]:
    """Return one speed of a data set as JSON values; `base` and `new` are in its own unit."""
    return {**dict(zip(SPEED_KEYS, change.key, strict=True)), **change_object(change)}


def shape_object(change: Change) -> dict[str, Any]:
    """Return one shape as JSON values."""
    return {**key_object(change.key), **change_object(change)}


def change_object(change: Change) -> dict[str, Any]:
    """Return what became of a time as JSON values."""
    sides = {
        name: {"itl": side.itl, "n": side.n, "doubt": side.doubt}
        for name, side in (("base", change.base), ("new", change.new))
    }
    keys = ("ratio", "interval", "p", "p_holm", "detectable", "verdict", "reason")
    return {**sides, **{key: getattr(change, key) for key in keys}}


def quality_object(change: QualityChange) -> dict[str, Any]:
    """Return a metric of a data set as JSON values."""
    keys = ("metric", "base", "new", "p_holm", "verdict", "reason")
    said = asdict(change.difference) if change.difference else None
    return {**key_object(change.key), **{key: getattr(change, key) for key in keys}, "difference": said}


def key_object(key: Key) -> dict[str, Any]:
    """Return the key of a shape, or of a data set, as JSON values."""
    return dict(zip(KEYS if len(key) == len(KEYS) else QUALITY_KEYS, key, strict=True))
