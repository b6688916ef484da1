"""A comparison as JSON: what FMWORK FID lines, the JSON format and other programs read."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from .comparison import Comparison, Row
from .difference import Difference
from .drift import Drift


def row_record(row: Row) -> dict[str, Any]:
    """Return what is known of one artifact, as JSON values; of a ranking without its single queries."""
    record: dict[str, Any] = {
        "artifact": row.artifact.label,
        "probe": row.artifact.probe,
        "kind": row.artifact.kind,
        "verdict": row.verdict,
    }
    if row.difference is not None:
        return finite(record | difference_record(row.difference))
    if row.drift is not None:
        return finite(record | drift_record(row.drift))
    return record | {"missing_in": "a" if row.a is None else "b"}


def difference_record(found: Difference) -> dict[str, Any]:
    """Return the difference of two tensors."""
    record = asdict(found)
    tolerance = record.pop("tolerance")
    return {**record, **tolerance}


def drift_record(found: Drift) -> dict[str, Any]:
    """Return the drift of a ranking: how many queries changed, not each of them."""
    record = asdict(found)
    return {
        **record,
        "changed": len(found.changed),
        "metrics": {metric.pop("name"): metric for metric in record["metrics"]},
    }


def comparison_record(found: Comparison, names: tuple[str, str]) -> dict[str, Any]:
    """Return a whole comparison, each query whose ranking changed included."""
    first, beyond = found.first, found.first_beyond
    rows = [row_record(row) for row in found.rows]
    for row, record in zip(found.rows, rows, strict=True):
        if row.drift is not None:
            record["changed_queries"] = [finite(asdict(query)) for query in row.drift.changed]
    return {
        "a": names[0],
        "b": names[1],
        "facts": {name: list(pair) for name, pair in found.facts.items()},
        "first_not_equal": first.artifact.label if first else None,
        "first_not_close": beyond.artifact.label if beyond else None,
        "artifacts": rows,
    }


def as_json(found: Comparison, names: tuple[str, str]) -> str:
    """Return one JSON object."""
    return json.dumps(comparison_record(found, names), indent=2, allow_nan=False) + "\n"


def finite(value: Any) -> Any:
    """Return JSON values with null for what JSON cannot say, such as the distance of two opposite infinities."""
    if isinstance(value, Mapping):
        return {key: finite(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [finite(below) for below in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
