"""What compressed vectors keep of nDCG@10, over the bytes that a document takes."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from ..reading.row import Result
from ..workloads.compressed import name_of
from . import canvas
from .precision_at_k import name_of as data_name

NONE = "no result has judged compressed vectors"


def quality_bytes(results: Sequence[Result]) -> Figure | str:
    """Return the share of nDCG@10 that is kept with its interval, a point a type, or why there is none."""
    told = [
        (result.row, [said for said in result.row["retrieval"].get("compressed") or () if said.get("kept") is not None])
        for result in results
    ]
    told = [(row, compressed) for row, compressed in told if compressed]
    if not told:
        return NONE
    made, (axes,) = canvas.figure("Quality kept against bytes", "")
    for number, (row, compressed) in enumerate(told[: canvas.MOST_LINES]):
        look = canvas.style(number) | {"linestyle": ""}
        for place, said in enumerate(compressed):
            low, high = said.get("kept_interval") or (said["kept"], said["kept"])
            bars = [[max(0.0, said["kept"] - low)], [max(0.0, high - said["kept"])]]
            label = canvas.shorten(data_name(row), 60) if place == 0 else None
            axes.errorbar(said["bytes_per_document"], said["kept"], yerr=bars, capsize=3, label=label, **look)
            axes.annotate(name_of(said), (said["bytes_per_document"], said["kept"]), xytext=(5, 4),
                          textcoords="offset points", fontsize=8, color=canvas.GREY)  # fmt: skip
    axes.axhline(1, color=canvas.GREY, linewidth=1, zorder=0)
    canvas.log_axis(axes, "x")
    axes.margins(x=0.15)
    axes.set_xlabel("bytes a document")
    axes.set_ylabel("share of the exact search's nDCG@10")
    canvas.remark(axes, "bar: 95% interval, paired over queries")
    canvas.legend(made, axes)
    return made
