"""Everything about an encoder that can be checked before torch is imported."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from fmbench import backend
from fmbench.backend import Backend
from fmbench.errors import UsageError
from fmbench.options import Arguments
from fmbench.source import Source, locate, snapshot

from . import folder as folders
from .folder import Folder
from .recipe import POOLINGS, ROLES, Recipe


@dataclass(frozen=True)
class EncoderPlan:
    """A checked command line: the platform, where the model is, its folder, and what the command line says of it."""

    arguments: Arguments
    said: Recipe
    platform: Backend
    source: Source
    folder: Folder

    @classmethod
    def of(cls, arguments: Arguments, recipe: Recipe | None = None) -> "EncoderPlan":
        """Check a command line without importing torch. Raises UsageError and PlatformError."""
        platform = backend.find(arguments.platform)
        if not platform.builds_model:
            raise UsageError(f"--platform {platform.name}: no model runs there, so there are no vectors")
        platform.check(arguments)
        path = Path(arguments.model_root or "", arguments.model_name).expanduser()
        folder = folders.read(path) or Folder(path)
        name = f"{arguments.model_name}/{folder.transformer}" if folder.transformer else arguments.model_name
        source = locate(dataclasses.replace(arguments, model_name=name))
        if source.kind == "catalogue":
            raise UsageError(f"{arguments.model_name}: the catalogue has no tokenizer; texts need a model's folder")
        if source.kind == "hub":
            fetched = snapshot(source.location, arguments)
            folder = folders.read(fetched) or Folder(fetched)
        said = recipe or Recipe()
        check(said, source)
        return cls(arguments, said, platform, source, folder)


def check(recipe: Recipe, source: Source) -> None:
    """Raise UsageError for what no model could honour, or not this one."""
    unknown = sorted(set(recipe.pooling or ()) - set(POOLINGS))
    if unknown:
        raise UsageError(f"--pooling {','.join(unknown)}: write {', '.join(POOLINGS)}")
    check_lengths(recipe, source, source.claimed_length)


def check_lengths(recipe: Recipe, source: Source, limit: int | None) -> None:
    """Raise UsageError for a maximum length beyond a limit."""
    for role in ROLES:
        length = recipe.max_length(role)
        source.check_lengths([] if length is None else [length], limit, said=f"--{role}_max_len")
