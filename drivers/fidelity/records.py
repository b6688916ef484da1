"""What FMWORK FID lines say: each is of one thing that is held against the same thing of a reference."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fmbench import facts, lines
from fmbench.capture.manifest import Manifest
from fmbench.capture.reader import ArtifactReader
from fmbench.session import LogWriter

from .comparison import Comparison, Row, compare
from .difference import Difference
from .drift import Drift

Names = tuple[str | None, str | None]  # of the reference, and of the variant that is held against it
WHOLE = "comparison"
PARTS = {"both": "index and search", "search": "search drift", "index": "index drift"}
ACCEPTED = {"same_shape": ("equal", "close", "different"), "equal": ("equal",), "close": ("equal", "close")}


def fid(kind: str, artifact: str, verdict: str, names: Names, said: Mapping[str, Any]) -> lines.JsonLine:
    """Return a line: both sides are called as ENV lines call their variants."""
    sides = {key: name for key, name in zip(("reference", "variant"), names, strict=True) if name is not None}
    return lines.JsonLine("FID", finite({"artifact": artifact, "kind": kind, "verdict": verdict, **sides, **said}))


def names_of(a: Path, b: Path) -> tuple[str, str]:
    """Return what two captures are called: their folders' names alone, and which is which where these are the same."""
    names = (a.resolve().name, b.resolve().name)
    return names if names[0] != names[1] else (f"{names[0]} (A)", f"{names[1]} (B)")


def write_facts(log: LogWriter, name: str | None, reader: ArtifactReader) -> None:
    """Say what made a capture: the facts of a variant."""
    log.write(
        lines.JsonLine("ENV", {"variant": name, facts.DIGEST: reader.manifest.model, **reader.manifest.fingerprint})
    )


def write_comparison(
    log: LogWriter, a: ArtifactReader, b: ArtifactReader, names: Names,
    atol: float | None = None, rtol: float | None = None, done: Callable[[Row], None] = lambda row: None,
) -> Comparison:  # fmt: skip
    """Compare two captures, and say what becomes of each artifact as soon as that is known.

    Raises what `compare` raises; the log then says that the comparison is incomplete.
    """
    log.write(fid(WHOLE, WHOLE, "incomplete", names, {}))

    def say(row: Row) -> None:
        log.write(artifact_line(row, names))
        done(row)

    found = compare(a, b, atol=atol, rtol=rtol, done=say)
    log.write(comparison_line(found, names))
    return found


def artifact_line(row: Row, names: Names) -> lines.JsonLine:
    """Return what became of one artifact."""
    artifact = row.artifact
    said: dict[str, Any] = {"probe": artifact.probe}
    if row.difference is not None:
        said |= difference_record(row.difference)
    elif row.drift is not None:
        said |= drift_record(row.drift)
    else:
        sides = (row.a, row.b)
        said |= {"missing_in": "a" if row.a is None else "b"}
        said |= {"shapes": [side and side.shape for side in sides], "dtypes": [side and side.dtype for side in sides]}
    return fid(artifact.kind, artifact.label, row.verdict, names, said)


def difference_record(found: Difference) -> dict[str, Any]:
    """Return the difference of two tensors."""
    record = asdict(found)
    return {**record, **record.pop("tolerance")}


def drift_record(found: Drift) -> dict[str, Any]:
    """Return the drift of a ranking, each query whose ranking changed included."""
    record = asdict(found)
    metrics = {metric.pop("name"): metric for metric in record["metrics"]}
    return {**record, "metrics": metrics, "changed": len(found.changed), "changed_queries": record["changed"]}


def write_parts(log: LogWriter, label: str, drifts: Mapping[str, Drift], names: Names) -> None:
    """Say the drifts of a swap, by part; `label` is of the ranking."""
    for part, change in drifts.items():
        log.write(fid("swap", f"{label}: {PARTS[part]}", change.verdict, names, {"part": part, **drift_record(change)}))


def comparison_line(found: Comparison, names: Names) -> lines.JsonLine:
    """Return what a whole comparison comes to: how many artifacts agree, and the first that do not."""
    tensors, rankings = ([row for row in found.rows if row.artifact.kind == kind] for kind in ("tensor", "ranking"))
    first, beyond = found.first, found.first_beyond
    verdict = "equal" if first is None else "close" if beyond is None else "different"
    said = {
        "artifacts": len(found.rows),
        "unequal": sum(row.verdict != "equal" for row in found.rows),
        "tensors": len(tensors),
        **{name: sum(row.verdict in good for row in tensors) for name, good in ACCEPTED.items()},
        "rankings": len(rankings),
        "rankings_changed": sum(row.verdict not in ACCEPTED["close"] for row in rankings),
        **{key: row and row.artifact.label for key, row in (("first", first), ("beyond", beyond))},
        **{f"{key}_verdict": row and row.verdict for key, row in (("first", first), ("beyond", beyond))},
        "probes": list(dict.fromkeys(row.artifact.probe for row in found.rows if row.verdict != "equal")),
        "facts": {name: list(pair) for name, pair in found.facts.items()},
        "incomplete": [name for name, side in zip(names, (found.a, found.b), strict=True) if not side.complete],
    }
    return fid(WHOLE, WHOLE, verdict, names, said)


def capture_line(name: str, manifest: Manifest, names: Names = (None, None)) -> lines.JsonLine:
    """Return what a capture holds so far."""
    said = {"artifacts": len(manifest.artifacts), "probes": list(manifest.probes)}
    return fid("capture", f"capture/{name}", "complete" if manifest.complete else "incomplete", names, said)


def finite(value: Any) -> Any:
    """Return JSON values with null for what JSON cannot say, such as the distance of two opposite infinities."""
    if isinstance(value, Mapping):
        return {key: finite(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [finite(below) for below in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
