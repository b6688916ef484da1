"""Everything about an encoder that can be checked before torch is imported."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from fmbench import backend
from fmbench.backend import Backend
from fmbench.errors import UsageError
from fmbench.options import Arguments
from fmbench.source import Source, locate

from . import folder as folders
from .folder import Folder
from .recipe import POOLINGS, ROLES, Recipe

# What a hub model's folder is read from, beside the weights that transformers fetches itself.
HUB_FILES = ("*.json", "*/*.json", "*.txt", "*.model", "[1-9]_*/*.safetensors")


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
            fetched = fetch(source, arguments)
            folder = folders.read(fetched) or Folder(fetched)
        said = recipe or Recipe()
        check(said, source)
        return cls(arguments, said, platform, source, folder)


def fetch(source: Source, arguments: Arguments) -> Path:
    """Return the folder of the hub's cache with a model's small files, fetched where they are not there."""
    import huggingface_hub

    options = {key: arguments.literal("model", key) for key in ("revision", "cache_dir", "token")}
    try:
        return Path(huggingface_hub.snapshot_download(source.location, allow_patterns=list(HUB_FILES), **options))
    except Exception as error:  # the hub's client has a dozen kinds
        raise UsageError(f"{source.location}: not to be had from the hub ({type(error).__name__})") from None


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
