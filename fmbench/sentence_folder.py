"""The layout of a sentence-transformers folder: the names of its files, and its list of modules."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fmbench.errors import UsageError
from fmbench.json_file import read_any

MODULES, ROOT = "modules.json", "config_sentence_transformers.json"
LIBRARY = "sentence_transformers."
# sentence_bert_config.json had the model's type in its name once.
TRANSFORMER_CONFIGS = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)


@dataclass(frozen=True)
class Module:
    """One module of a folder: its class, and the folder below that holds its files."""

    type: str
    path: str

    @property
    def name(self) -> str:
        """The class without its package."""
        return self.type.rpartition(".")[2]


def listed(path: Path) -> list[Module]:
    """Return the modules of a folder, in order.

    Raises UsageError for a damaged list, and for a path that leads out of the folder.
    """
    file = path / MODULES
    rows = read_any(file)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{file}: not readable as a list of modules")
    found: list[Module] = []
    for row in rows:
        kind, where = row.get("type"), row.get("path")
        if not isinstance(kind, str) or not isinstance(where, str):
            raise UsageError(f"{file}: module {len(found)} has no type and path, two texts")
        check_inside(file, [where])
        found.append(Module(kind, where))
    if not found:
        raise UsageError(f"{file}: lists no module")
    return found


def check_inside(file: Path, paths: Sequence[str]) -> None:
    """Raise UsageError for a path in a file that leads out of the folder."""
    for path in paths:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\0" in path:
            raise UsageError(f"{file}: {path!r} leads out of the folder")
