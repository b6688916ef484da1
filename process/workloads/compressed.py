"""What compressed vectors keep, as a table, and what is wrong with what a log says of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fmbench.consistency import holds
from fmbench.figures import significant

from ..reading.doubts import differ
from ..reading.row import Result
from ..workload import Row, Table
from ..writing.view import CONFIGURATION, number, table_of, text

BITS = {"float32": 32, "float16": 16, "bfloat16": 16, "int8": 8, "binary": 1}  # of a component
FIGURES = ("bytes a document", "recall@10", "nDCG@10", "change", "95% interval", "kept", "queries/s", "ms a query")
RIGHT = frozenset(FIGURES)
NOTE = (
    "Vectors: what is stored of a document. Recall@10: of the exact search's ten documents, how many are in the ten. "
    "Change and kept: of the nDCG@10 of the exact search, paired over queries. Speeds: of an index of faiss in memory."
)
ROUNDING = 1e-4  # of a change, which is a difference of means
LEAST = 5e-5  # of a figure in four digits


Told = tuple[Result, str, Mapping[str, Any]]  # whose vectors, of which data set or profile, what is said of a type


def compressed_table(of: str, told: Sequence[Told]) -> Table | None:
    """Return a table, a line a type of vectors; None where nothing is told. `of` is what the second of each is."""
    if not told:
        return None
    found = [line_of(result.row, name, said) for result, name, said in told]
    cells = table_of((*CONFIGURATION, of, "vectors", *FIGURES, "note"), found, (of, "vectors"), RIGHT)
    return Table(*cells, [result.source for result, _, _ in told], notes=[NOTE], title="Compressed vectors")


def line_of(row: Row, name: str, said: Mapping[str, Any]) -> list[str]:
    """Return the cells of one type."""
    latency, kept = said.get("latency_ms") or {}, said.get("kept")
    return [
        *(read(row) for read in CONFIGURATION.values()),
        text(name),
        name_of(said),
        text(said["bytes_per_document"]),
        share(said.get("recall_at_10")),
        four((said.get("metrics") or {}).get("ndcg_cut_10")),
        signed(said.get("ndcg_change")),
        " to ".join(map(signed, said.get("ndcg_interval") or ())),
        share(kept),
        number(said.get("queries_per_second")),
        number(latency.get("p50")),
        text((row.get("retrieval") or row).get("speed_doubt")),
    ]


def name_of(said: Mapping[str, Any]) -> str:
    """Return what a type is called, with how many were rescored."""
    return f"{said['vectors']}, rescored {said['rescore']}" if said.get("rescore") else str(said["vectors"])


def four(value: float | None) -> str:
    """Return a metric in four digits, as retrieval's literature has them."""
    return "" if value is None else f"{value:.4f}"


def signed(value: float | None) -> str:
    """Return a change in four digits; what rounds to nothing has no sign but plus."""
    return "" if value is None else f"{0.0 if abs(value) < LEAST else value:+.4f}"


def share(value: float | None) -> str:
    """Return a share in per cent."""
    return "" if value is None else f"{significant(100 * value, digits=4)}%"


def compressed_doubts(compressed: Sequence[Mapping[str, Any]], quality: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the CODE lines of a data set say that cannot be, or that its other lines do not."""
    seen = set()
    whole = (quality.get("metrics") or {}).get("ndcg_cut_10")
    for said in compressed:
        name = name_of(said)
        if name in seen:
            yield f"mixed: CODE of {name} comes twice"
        seen.add(name)
        bits = BITS.get(said["vectors"].partition("@")[0])
        if bits is not None and said["bytes_per_document"] != -(-bits * said["dimensions"] // 8):
            size = said["bytes_per_document"]
            yield f"contradicted: CODE of {name} has {size} bytes for {said['dimensions']} numbers"
        for key, interval in (("ndcg_change", "ndcg_interval"), ("kept", "kept_interval")):
            if not holds(said.get(interval), said.get(key), ROUNDING):
                yield f"contradicted: CODE of {name}: the interval of {key} does not hold it"
        found = (said.get("metrics") or {}).get("ndcg_cut_10")
        change = said.get("ndcg_change")
        if found is not None and whole is not None and change is not None and abs(found - whole - change) > ROUNDING:
            yield f"contradicted: CODE of {name}: its ndcg_change is not what its nDCG@10 and that of IRM differ by"
        if whole and found is not None and differ(said.get("kept"), found / whole):
            yield f"contradicted: CODE of {name}: kept is not its share of IRM's nDCG@10"
