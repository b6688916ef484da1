"""Whether a model class exists and suits a model, told from the transformers library's sources.

They are read as text: importing the library, and torch with it, takes seconds.
"""

import importlib.util
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from fmbench.errors import UsageError, nearest
from fmbench.suggestions import MODEL_CLASSES


@cache
def models_folder() -> Path:
    """Return the folder of transformers' models. Raises UsageError where the library is missing."""
    spec = importlib.util.find_spec("transformers")
    if spec is None or spec.origin is None:
        raise UsageError("the transformers library is missing: pip install transformers")
    return Path(spec.origin).parent / "models"


@cache
def listed() -> frozenset[tuple[str, str]]:
    """Return every (model type, class) that the library's own table pairs."""
    text = (models_folder() / "auto" / "modeling_auto.py").read_text(encoding="utf-8")
    return frozenset(re.findall(r'\("([\w-]+)", "([A-Z]\w+)"\)', text))


def check_exists(name: str) -> None:
    """Raise UsageError, with the nearest names, where the installed transformers has no such class."""
    known = {model_class for _, model_class in listed()}
    if name in known:
        return
    definition = f"class {name}(".encode()
    if not any(definition in path.read_bytes() for path in models_folder().glob("*/modeling_*.py")):
        hint = nearest(name, known | {"AutoModel"}, synonyms=MODEL_CLASSES)
        raise UsageError(f"--model_class {name}: no class of transformers{hint}")


def check_suits(name: str, config: Mapping[str, Any], where: str) -> None:
    """Raise UsageError where a class is known to belong to another type of model than the configuration's.

    Weights would not fit it and be drawn at random, and the figures would be another model's.
    """
    model_type = config.get("model_type")
    types = {kind for kind, model_class in listed() if model_class == name}
    suitable = sorted(model_class for kind, model_class in listed() if kind == model_type)
    if types and suitable and model_type not in types:
        best = min(
            (model_class for model_class in suitable if model_class.endswith("Model")), key=len, default=suitable[0]
        )
        raise UsageError(f"--model_class {name}: {where} is of type {model_type}; its class is {best}, or AutoModel")
