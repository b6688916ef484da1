"""A capture's files: the manifest, rankings as text, and the types of numbers that tensors may hold."""

import hashlib
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self

from fmbench.errors import UsageError, first_line
from fmbench.ranking.order import Run, ordered


@dataclass(frozen=True, slots=True)
class DType:
    """One type: torch's name, its code in a safetensors file, bytes an element, significant bits (0: an integer).

    `atol` and `rtol` are what two computations of that type may differ by: integers not at all.
    """

    name: str
    code: str
    size: int
    bits: int = 0
    atol: float = 0.0
    rtol: float = 0.0

    @property
    def floating(self) -> bool:
        """Whether it is a floating-point type."""
        return self.bits > 0


DTYPES = {
    dtype.name: dtype
    for dtype in (
        DType("float64", "F64", 8, 53, 1e-6, 1e-5),  # no tighter: what feeds it is float32 in every model here
        DType("float32", "F32", 4, 24, 1e-6, 1e-5),
        DType("float16", "F16", 2, 11, 1e-4, 1e-3),
        DType("bfloat16", "BF16", 2, 8, 1e-3, 1e-2),
        DType("int64", "I64", 8),
        DType("int32", "I32", 4),
        DType("int16", "I16", 2),
        DType("int8", "I8", 1),
        DType("uint8", "U8", 1),
        DType("bool", "BOOL", 1),
    )
}


def narrower(one: DType, other: DType) -> DType:
    """Return the floating-point type with fewer significant bits; an integer type only where both are."""
    floating = [dtype for dtype in (one, other) if dtype.floating]
    return min(floating, key=lambda dtype: dtype.bits) if floating else one


FORMAT = 1
FILE = "manifest.json"
QRELS = "qrels.tsv"
TEXTS = "texts.tsv"

Kind = Literal["tensor", "ranking"]


class ArtifactError(UsageError):
    """A capture that cannot be trusted: a file is missing, damaged, or of another version. Its text names the file."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """One thing that a probe computed.

    A tensor has torch's name of its type, its shape, and the sha256 of its elements in row-major, little-endian order
    (not of the file), so that equal tensors have equal digests. A ranking has no dtype; its shape is (queries, most
    documents a query), and its sha256 is that of the file.
    """

    probe: str
    name: str
    kind: Kind
    file: str  # relative to the folder
    shape: tuple[int, ...]
    sha256: str
    dtype: str = ""

    @property
    def label(self) -> str:
        """What messages and tables call it; no two artifacts of a capture share one."""
        return f"{self.probe}/{self.name}"

    @property
    def rows(self) -> int:
        """The size of the first dimension: texts, tokens, or queries of a ranking."""
        return self.shape[0]

    @property
    def bytes(self) -> int:
        """How many bytes a tensor's elements take."""
        return math.prod(self.shape) * DTYPES[self.dtype].size

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read an artifact. Raises KeyError, TypeError or ValueError for anything else."""
        found = cls(**{**data, "shape": tuple(data["shape"])})
        path = PurePosixPath(found.file)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{found.file} is outside the folder")
        if not found.shape or not all(isinstance(size, int) and size >= 0 for size in found.shape):
            raise ValueError(f"{found.label} has no shape")
        if found.kind not in ("tensor", "ranking") or (found.kind == "tensor" and found.dtype not in DTYPES):
            raise ValueError(f"{found.label} is a {found.kind} of {found.dtype or 'no type'}")
        return found


@dataclass(frozen=True, slots=True)
class Manifest:
    """A capture: what must be known before it starts, and the artifacts in execution order once it has ended."""

    fingerprint: dict[str, Any]  # fmbench.facts
    model: str  # digest of the weights
    texts: str  # digest of the texts
    text_count: int
    seed: int
    probes: dict[str, dict[str, Any]]  # name -> options, in execution order
    queries: int | None = None  # how many were searched: what rankings are averaged over
    qrels: str | None = None  # sha256 of QRELS, where there are judgements
    named: str | None = None  # sha256 of TEXTS; captures of an older torch have none
    artifacts: tuple[Artifact, ...] = field(default=())
    complete: bool = False
    version: int = FORMAT

    def only(self, probes: Collection[str]) -> Self:
        """Return the same with what some probes computed alone."""
        kept = {name: options for name, options in self.probes.items() if name in probes}
        return replace(self, probes=kept, artifacts=tuple(item for item in self.artifacts if item.probe in probes))

    def to_json(self) -> str:
        """Return the text of the file."""
        return json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read a manifest. Raises KeyError, TypeError or ValueError for anything else."""
        artifacts = tuple(Artifact.from_json(artifact) for artifact in data["artifacts"])
        labels = [artifact.label for artifact in artifacts]
        if len(set(labels)) < len(labels):
            raise ValueError("two artifacts share a name")
        found = cls(**{**data, "artifacts": artifacts})
        kinds = {"fingerprint": dict, "probes": dict, "model": str, "texts": str, "text_count": int, "seed": int}
        for name, kind in kinds.items():
            if not isinstance(getattr(found, name), kind):
                raise TypeError(f"{name} is no {kind.__name__}")
        return found


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a capture; of one that did not end, with the probes that had ended alone.

    Raises ArtifactError for a folder that holds none, a capture of which no probe had ended, another version, or a file
    that is no manifest.
    """
    path = folder / FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        reason = f"no {FILE} in it: name a folder that `fmbench fidelity capture --out` wrote"
        raise ArtifactError(f"{folder}: {reason if folder.is_dir() else 'no such folder'}") from None
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror or first_line(error)})") from None
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: is damaged ({first_line(error)}); capture again") from None
    check_version(path, data)
    try:
        manifest = Manifest.from_json(data)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: is no manifest of a capture ({first_line(error)}); capture again") from None
    if manifest.complete is not True and not manifest.artifacts:
        raise ArtifactError(f"{folder}: the capture is incomplete, no probe of it ended; capture again")
    return manifest


def check_version(path: Path, data: Any) -> None:
    """Raise ArtifactError for a manifest of another version than this one."""
    version = data.get("version") if isinstance(data, dict) else None
    if not isinstance(version, int):
        raise ArtifactError(f"{path}: is no manifest of a capture (it has no version)")
    if version > FORMAT:
        raise ArtifactError(f"{path}: artifacts of version {version}; this fmbench reads {FORMAT}: upgrade it")
    if version < FORMAT:
        raise ArtifactError(f"{path}: artifacts of version {version}; this fmbench reads {FORMAT}: capture again")


def digest_of_text(text: str) -> str:
    """Return what TEXTS calls a text: the sha256 of its UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def run_text(run: Run) -> str:
    """Return the text of a run file: ranks from 1, scores so that reading gives the same number back.

    Raises ValueError for an id that would break its line, and UsageError for a score that is NaN.
    """
    rows = [
        f"{check_id(query)}\t{check_id(document)}\t{rank}\t{float(scores[document])!r}\n"
        for query, scores in run.items()
        for rank, document in enumerate(ordered(scores), start=1)
    ]
    return "".join(rows)


def parse_run(path: Path, text: str) -> dict[str, dict[str, float]]:
    """Read a run file's text: for each query its documents, best first, with their scores.

    Raises ArtifactError with the line for anything that `run_text` does not write.
    """
    run: dict[str, dict[str, float]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            query, document, rank, score = line.split("\t")
            scores = run.setdefault(query, {})
            if int(rank) != len(scores) + 1 or document in scores:
                raise ValueError
            scores[document] = float(score)
        except ValueError:
            raise ArtifactError(f"{path}:{number}: no line of a ranking: {line[:100]!r}; capture again") from None
    for query, scores in run.items():
        if any_nan(scores) or ordered(scores) != list(scores):
            raise ArtifactError(f"{path}: query {query!r} is not in the order of its scores; capture again")
    return run


def any_nan(scores: Mapping[str, float]) -> bool:
    """Whether a score is no number."""
    return any(score != score for score in scores.values())


def check_id(identifier: str) -> str:
    """Return an id. Raises ValueError where it would break the line that it stands in."""
    if not identifier or "\t" in identifier or identifier.splitlines() != [identifier]:
        raise ValueError(f"{identifier!r} cannot stand in a run file")
    return identifier
