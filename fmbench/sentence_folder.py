"""The layout of a sentence-transformers folder: the names of its files, and its list of modules."""

import json
from pathlib import Path, PurePosixPath

from fmbench.errors import UsageError, first_line

MODULES, ROOT = "modules.json", "config_sentence_transformers.json"
# sentence_bert_config.json had the model's type in its name once.
TRANSFORMER_CONFIGS = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)


def listed(path: Path) -> list[tuple[str, str]]:
    """Return the kind and the sub-folder of each module, in order.

    Raises UsageError for a damaged list, and for a path that leads out of the folder.
    """
    file = path / MODULES
    try:
        modules = json.loads(file.read_text(encoding="utf-8"))
        found = [(str(module["type"]).rpartition(".")[2], str(module["path"])) for module in modules]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file}: not readable as a list of modules ({first_line(error)})") from None
    for _, where in found:
        if PurePosixPath(where).is_absolute() or ".." in PurePosixPath(where).parts:
            raise UsageError(f"{file}: {where} leads out of the folder")
    if not found:
        raise UsageError(f"{file}: lists no module")
    return found
