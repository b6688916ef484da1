"""PLAID indexes, as colbert-ai writes them: their files as tensors, and what became of each from one build to the next.

Santhanam et al., 2022, PLAID. An index is files of tensors (centroids, codes, packed residuals, buckets, the average
residual, inverted lists) and of counts (vectors a passage), in any number of chunks.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmbench import lines
from fmbench.capture.manifest import Artifact
from fmbench.errors import UsageError, first_line
from fmbench.json_file import JsonFile, read_any, read_required
from fmbench.session import LogWriter

from .comparison import Row
from .difference import Difference, between
from .records import ACCEPTED, WHOLE, Names, artifact_line, fid

if TYPE_CHECKING:
    import torch

PROBE = "plaid"
METADATA, PLAN = "metadata.json", "plan.json"
NEEDED = ("centroids.pt", "avg_residual.pt", "buckets.pt", "ivf.pid.pt", METADATA)
# In the order in which an indexer writes them: what comes later may differ for the sake of what came before.
ORDER = ("centroids", "avg_residual", "buckets", "doclens", "codes", "residuals", "ivf")
SAID = ("num_chunks", "num_partitions", "num_embeddings", "avg_doclen")
CONFIGURED = ("checkpoint", "dim", "nbits", "doc_maxlen", "query_maxlen", "mask_punctuation", "kmeans_niters",
              "index_bsize", "nranks")  # fmt: skip
DEFAULT = (1e-8, 1e-5)  # the tolerances of torch.allclose


@dataclass(frozen=True)
class PlaidIndex:
    """The folder of one index."""

    folder: Path

    @cached_property
    def files(self) -> list[str]:
        """The names of its files of tensors and of counts, in the order in which they are made. Raises UsageError."""
        missing = [name for name in NEEDED if not (self.folder / name).is_file()]
        if missing:
            raise UsageError(f"{self.folder}: has no {missing[0]}; it is no whole index of colbert-ai")
        found = {path.name for pattern in ("*.pt", "doclens.*.json") for path in self.folder.glob(pattern)}
        return sorted(found, key=place)

    @cached_property
    def metadata(self) -> JsonFile:
        """What the index says of itself."""
        return read_required(self.folder / METADATA)

    def facts(self) -> dict[str, Any]:
        """Return how it was made, as JSON values; of a checkpoint its name, not where it lies."""
        config = self.metadata.object("config").values
        found = {**{name: self.metadata.values.get(name) for name in SAID}, **{n: config.get(n) for n in CONFIGURED}}
        return {**found, "checkpoint": Path(str(found["checkpoint"])).name}

    def tensors(self, name: str) -> "dict[str, torch.Tensor]":
        """Return what a file holds, by label: a tensor, or several in a tuple. Raises UsageError for anything else."""
        path = self.folder / name
        found = counts(path) if path.suffix == ".json" else load(path)
        if len(found) == 1:
            return {name: found[0]}
        return {f"{name}[{number}]": tensor for number, tensor in enumerate(found)}

    def passages(self) -> int:
        """Return how many passages it holds."""
        return sum(len(counts(self.folder / name)[0]) for name in self.files if name.startswith("doclens."))


def is_index(folder: Path) -> bool:
    """Whether a folder holds a PLAID index, or a part of one."""
    return any((folder / name).is_file() for name in ("centroids.pt", "ivf.pid.pt", PLAN))


def place(name: str) -> tuple[int, int, str]:
    """Return where a file stands in the order of making: by kind, then by chunk."""
    words = name.split(".")
    kind = next((place for place, word in enumerate(ORDER) if word in words), len(ORDER))
    return kind, next((int(word) for word in words if word.isdigit()), 0), name


def load(path: Path) -> "list[torch.Tensor]":
    """Return the tensors of a file, as torch reads them where nothing else may be in it. Raises UsageError."""
    import torch

    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # it is damaged, or holds more than tensors: torch has no class for either
        raise UsageError(f"{path}: is no file of tensors alone, and is not loaded ({first_line(error)})") from None
    parts = list(found) if isinstance(found, tuple | list) else [found]
    other = next((part for part in parts if not isinstance(part, torch.Tensor)), None)
    if other is not None or not parts:
        raise UsageError(f"{path}: holds {type(other).__name__}; an index holds tensors")
    return parts


def counts(path: Path) -> "list[torch.Tensor]":
    """Return a file's list of whole numbers as a tensor. Raises UsageError for anything else."""
    import torch

    found = read_any(path)
    if not isinstance(found, list) or not all(type(number) is int for number in found):
        raise UsageError(f"{path}: holds no list of whole numbers")
    return [torch.tensor(found, dtype=torch.int64)]


@dataclass(frozen=True)
class FileRow:
    """What became of one tensor: by the tolerance of its type, and by torch.allclose's own."""

    file: str
    row: Row
    default: Difference | None

    @property
    def verdicts(self) -> tuple[str, str]:
        """Both verdicts."""
        return self.row.verdict, "missing" if self.default is None else self.default.verdict


def compare(
    a: PlaidIndex, b: PlaidIndex, atol: float | None = None, rtol: float | None = None
) -> Iterator[FileRow]:  # fmt: skip
    """Yield each tensor of two indexes, file by file; files are compared as sets, whatever their order."""
    for name in sorted({*a.files, *b.files}, key=place):
        one, other = (index.tensors(name) if name in index.files else {} for index in (a, b))
        for label in dict.fromkeys([*one, *other]):
            pair = one.get(label), other.get(label)
            found = None if None in pair else between(*pair, atol, rtol)  # type: ignore[arg-type]
            default = None if None in pair else between(*pair, *DEFAULT)  # type: ignore[arg-type]
            sides = [artifact(name, label, tensor) for tensor in pair]
            yield FileRow(name, Row(sides[0], sides[1], found), default)


def artifact(file: str, label: str, tensor: "torch.Tensor | None") -> Artifact | None:
    """Return what a record says of a tensor; nothing of one that is not there."""
    if tensor is None:
        return None
    shape, dtype = tuple(tensor.shape), str(tensor.dtype).removeprefix("torch.")
    return Artifact(PROBE, label, "tensor", file, shape, "", dtype)


def write_comparison(
    log: LogWriter, a: PlaidIndex, b: PlaidIndex, names: Names, atol: float | None, rtol: float | None,
    show: Callable[[Row], None],
) -> list[Row]:  # fmt: skip
    """Compare two indexes, and say what becomes of each tensor, then of all files."""
    for name, index in zip(names, (a, b), strict=True):
        log.write(lines.JsonLine("ENV", {"variant": name, "index": index.facts()}))
    log.write(fid(WHOLE, WHOLE, "incomplete", names, {}))
    found: list[FileRow] = []
    for one in compare(a, b, atol, rtol):
        line = artifact_line(one.row, names)
        log.write(lines.JsonLine(line.kind, {**line.data, "close_default": one.verdicts[1] in ACCEPTED["close"]}))
        found.append(one)
        show(one.row)
    log.write(index_line(found, a, b, names))
    return [one.row for one in found]


def index_line(found: Sequence[FileRow], a: PlaidIndex, b: PlaidIndex, names: Names) -> lines.JsonLine:
    """Return what the comparison of two indexes comes to. A file is as its worst tensor is; `tensors` counts files."""
    files: dict[str, list[FileRow]] = {}
    for one in found:
        if one.file.endswith(".pt"):
            files.setdefault(one.file, []).append(one)

    def count(accepted: Sequence[str], which: int = 0) -> int:
        return sum(all(one.verdicts[which] in accepted for one in rows) for rows in files.values())

    unequal = [one.row for one in found if one.row.verdict != "equal"]
    beyond = [row for row in unequal if row.verdict != "close"]
    firsts = {key: rows[0] if rows else None for key, rows in (("first", unequal), ("beyond", beyond))}
    facts = (a.facts(), b.facts())
    said = {
        "artifacts": len(found),
        "unequal": len(unequal),
        "tensors": len(files),
        **{name: count(accepted) for name, accepted in ACCEPTED.items()},
        "close_default": count(ACCEPTED["close"], 1),
        "rankings": 0,
        "rankings_changed": 0,
        **{key: row and row.artifact.label for key, row in firsts.items()},
        **{f"{key}_verdict": row and row.verdict for key, row in firsts.items()},
        "probes": [PROBE] if unequal else [],
        "facts": {name: [facts[0][name], facts[1][name]] for name in facts[0] if facts[0][name] != facts[1][name]},
        "incomplete": [],
    }
    return fid(WHOLE, WHOLE, "different" if beyond else "close" if unequal else "equal", names, said)
