"""Speed and quality of retrieval in one picture: how good the ranking is against how fast texts are encoded."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..writing.columns import text_of
from . import canvas

METRIC = "ndcg_cut_10"
NONE = "no result has nDCG@10 and a rate"
RATES = {"passages": "documents encoded a second", "queries": "queries encoded a second"}


def quality(rows: Sequence[Mapping[str, Any]], subtitle: str) -> Figure | str:
    """Return nDCG@10 with its interval over documents/s and over queries/s, a point a result; or why there is none.

    A result whose vectors came from the cache has no rate, and so no point.
    """
    found = [row for row in rows if value_of(row) is not None and any(rate_of(row, part) for part in RATES)]
    if not found:
        return NONE
    alone = name_of(found[0]) if len(found) == 1 else subtitle
    made, axes = canvas.figure("Quality against speed", alone, columns=len(RATES))
    for panel, (part, label) in zip(axes, RATES.items(), strict=True):
        for number, row in enumerate(found):
            draw(panel, number, row, part)
        panel.set_xlim(left=0)
        panel.set_xlabel(label)
    axes[0].set_ylabel("nDCG@10; bar: 95% interval")
    canvas.legend(made, axes[0])
    return made


def draw(axes: Axes, number: int, row: Mapping[str, Any], part: str) -> None:
    """Draw one result; where its rate is not known, its name still gets its place in the legend."""
    value, rate = value_of(row), rate_of(row, part)
    signs = canvas.style(number) | {"linestyle": "", "label": name_of(row)}
    if value is None or rate is None:
        axes.plot([], [], **signs)
        return
    low, high = (quality_of(row).get("intervals") or {}).get(METRIC) or (value, value)
    axes.errorbar([rate], [value], yerr=[[value - low], [high - value]], capsize=3, **signs)


def quality_of(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a result says of quality."""
    return (row.get("retrieval") or {}).get("quality") or {}


def value_of(row: Mapping[str, Any]) -> float | None:
    """Return nDCG@10."""
    return (quality_of(row).get("metrics") or {}).get(METRIC)


def rate_of(row: Mapping[str, Any], part: str) -> float | None:
    """Return how many texts a second were encoded."""
    return ((row.get("retrieval") or {}).get(part) or {}).get("texts_per_second")


def name_of(row: Mapping[str, Any]) -> str:
    """Return what tells a result from others: model, platform, precision and data set."""
    environment = row.get("environment") or {}
    parts = (row.get("model"), environment.get("platform"), row.get("precision"), row["retrieval"]["dataset"])
    return canvas.shortened(", ".join(text_of(part) for part in parts if part), 60)
