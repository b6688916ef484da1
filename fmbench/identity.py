"""Which model it is: a digest of each part that decides what it computes, and one over them all.

Two models are the same where every part is; a part that differs can be named. Names, places and versions of what wrote
the files are no part of a model, nor is how it is computed (dtype, attention, device): those are facts of their own.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fmbench.digest import digest_of_files, digest_of_json, seen, weights_files
from fmbench.errors import UsageError
from fmbench.facts import DIGEST, MODEL
from fmbench.options import Arguments
from fmbench.secrets import hidden, masked_tree
from fmbench.sentence_folder import MODULES, ROOT, TRANSFORMER_CONFIGS, listed
from fmbench.source import Source, snapshot

# What a file says of where it is from and who wrote it.
ORIGIN = {
    "_name_or_path", "name_or_path", "_commit_hash", "transformers_version", "__version__", "tokenizer_file",
    "special_tokens_map_file",
}  # fmt: skip
# What from_pretrained takes and no vector shows. Secrets are among them.
WITHOUT_EFFECT = {
    "cache_dir", "force_download", "local_files_only", "low_cpu_mem_usage", "revision", "token", "use_safetensors",
    "weights_only",
}  # fmt: skip
# Facts of their own, and what the code is told by.
OTHER_FACTS = {"dtype", "torch_dtype", "attn_implementation", "_attn_implementation", "auto_map", "trust_remote_code"}
TOKENIZER_FILES = (
    "tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab*", "*.vocab", "merges.txt", "*.model",
    "*.codes", "*.tiktoken", "tekken.json",
)  # fmt: skip
CONFIGURATION_FILES = ("*.index.json", "adapter_config.json")  # which file a weight is in; what is put over them
# Weights, which are a part of their own, what others made of them, texts on the model, and what other parts hold.
NOT_READ = (
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".gguf",
    ".onnx",
    ".h5",
    ".msgpack",
    ".ot",
    ".md",
    ".pyc",
    "",
    ".json",
    ".py",
)
FOLDER_FILES = (".json", ".safetensors", ".txt", ".model", ".py")
MODULE_FILES = ("*.json", "*.safetensors", "*.bin")


@dataclass(frozen=True)
class Identity:
    """The sha256 of each part; None for one that the model has not, and for weights that are not to be found."""

    parts: Mapping[str, str | None]

    @property
    def digest(self) -> str | None:
        """The sha256 of the whole model; None where the weights are not to be found."""
        return None if self.parts["weights"] is None else digest_of_json(self.parts)

    def facts(self) -> dict[str, Any]:
        """Return what the fingerprint says."""
        return {DIGEST: self.digest, MODEL: dict(self.parts)}


def identify(source: Source, arguments: Arguments, root: Path | None = None) -> Identity:
    """Return which model a command line names, its options evaluated. Reads every file of it once.

    `root` is the sentence-transformers folder, where the model lies in a folder below it.
    Raises UsageError for a file that cannot be read.
    """
    folder = folder_of(source, arguments, root)
    said = masked_tree(arguments.options["model"], hidden)  # a digest would tell who guesses a secret that he is right
    try:
        return Identity(
            {
                "weights": weights(source, arguments, said, folder),
                "configuration": digest_of_json(configuration(source, said, folder)),
                "code": code(source, arguments, folder),
                "tokenizer": digest_of_contents(folder, found(folder, TOKENIZER_FILES)) if folder else None,
                "modules": modules(root or folder, folder) if folder else None,
            }
        )
    except OSError as error:
        raise UsageError(f"{error.filename}: cannot be read ({error.strerror})") from None


def folder_of(source: Source, arguments: Arguments, root: Path | None) -> Path | None:
    """Return where the model's files are; None for one of the catalogue, which has none."""
    if source.kind == "folder":
        return Path(source.location)
    return None if source.kind == "catalogue" else root or snapshot(source.location, arguments)


def weights(source: Source, arguments: Arguments, said: Mapping[str, Any], folder: Path | None) -> str | None:
    """Return the digest of the weights' files, or of what random ones are drawn from."""
    if arguments.weights == "random":
        config = {
            key: masked_tree({key: value}, hidden)[key] if key in said else value
            for key, value in source.config.items()
        }
        return digest_of_json([without(config, ORIGIN), arguments.model_class, arguments.seed, said])
    inside = (folder or Path()) / str(said.get("subfolder") or "")
    files = weights_files(inside) if folder else []
    if said.get("gguf_file"):
        files.append(inside / str(said["gguf_file"]))
    return digest_of_files(files) if files else None


def configuration(source: Source, said: Mapping[str, Any], folder: Path | None) -> dict[str, Any]:
    """Return the configuration that the model is made with: the file's, and over it what the command line says.

    What neither says is the library's default, and its version is a fact of its own.
    """
    whole = without({**source.config, **said}, ORIGIN | WITHOUT_EFFECT | OTHER_FACTS)
    files = found(folder, CONFIGURATION_FILES) if folder else []
    if folder and said.get("subfolder"):
        inside = folder / str(said["subfolder"])
        files += [inside / "config.json", *found(inside, CONFIGURATION_FILES)]
    return {"config": whole, "files": {path.name: content(path) for path in files if path.is_file()}}


def code(source: Source, arguments: Arguments, folder: Path | None) -> str | None:
    """Return the digest of the code that comes with the model and runs: of each file that is reached from `auto_map`.

    None where the command line does not trust it, and where there is none: the library's own version is a fact.
    """
    said, mapped = arguments.options["model"], source.config.get("auto_map")
    if not (mapped and said.get("trust_remote_code")) or arguments.weights == "random" or folder is None:
        return None
    from transformers.dynamic_module_utils import get_relative_import_files

    parts: list[Any] = [{key: [local(name) for name in names(value)] for key, value in mapped.items()}]
    for name in sorted({name for value in mapped.values() for name in names(value)}):
        first = code_folder(name, folder, said) / f"{local(name).partition('.')[0]}.py"
        files = sorted({first, *map(Path, get_relative_import_files(first) if first.is_file() else ())})
        parts += [[path.name, digest_of_files([path]) if path.is_file() else None] for path in files]
    return digest_of_json([*parts, digest_of_contents(folder, readable(folder))])


def readable(folder: Path) -> list[Path]:
    """Return the files that a folder's code may read, but for weights, texts on the model and what other parts hold."""
    others = {*found(folder, (*TOKENIZER_FILES, *CONFIGURATION_FILES)), folder / "config.json"}
    below = (path for path in sorted(folder.rglob("*")) if path.is_file() and path not in others)
    return [path for path in below if path.suffix not in NOT_READ and not path.name.startswith(".")]


def names(value: Any) -> list[str]:
    """Return the classes that an entry of `auto_map` names: one, or a list with gaps."""
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]


def local(name: str) -> str:
    """Return `module.Class` of a class in `auto_map`, without the repository that it is from."""
    return name.rpartition("--")[2]


def code_folder(name: str, folder: Path, said: Mapping[str, Any]) -> Path:
    """Return where the code of a class in `auto_map` is: the model's folder, or that of the repository it names."""
    repository, _, reference = name.rpartition("--")
    if not repository:
        return folder
    if Path(repository).is_dir():
        return Path(repository)
    import huggingface_hub

    where = {"revision": said.get("code_revision"), "cache_dir": said.get("cache_dir")}
    path = huggingface_hub.try_to_load_from_cache(repository, f"{reference.partition('.')[0]}.py", **where)
    return Path(path).parent if isinstance(path, str) else folder / repository


def modules(root: Path, folder: Path | None) -> str | None:
    """Return the digest of what makes a text's vector of the model's output; None for a plain model.

    That is the list of modules, the files of each, prompts, lengths and similarity.
    """
    if not (root / MODULES).is_file():
        return None
    files = [root / MODULES, root / ROOT]
    for place, where in enumerate(module.path for module in listed(root)):
        inside = root / where
        if place == 0:
            files += [inside / name for name in TRANSFORMER_CONFIGS]
        elif inside not in (root, folder):
            files += found(inside, MODULE_FILES)
    return digest_of_contents(root, [path for path in files if path.is_file()])


def digest_of_folder(folder: Path) -> str | None:
    """Return the digest of a model's folder of any layout: of every file below it that a model is read from."""
    below = (path for path in sorted(folder.rglob("*")) if path.suffix in FOLDER_FILES and path.is_file())
    return digest_of_contents(folder, below)


def digest_of_input(path: Path) -> str | None:
    """Return the digest of a file, or of every file of a folder, whatever it is called; None where nothing is there."""
    if path.is_file():
        return digest_of_contents(path.parent, [path])
    return digest_of_contents(path, (below for below in sorted(path.rglob("*")) if below.is_file()))


def found(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Return the files of a folder that match a pattern."""
    return sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})


def digest_of_contents(folder: Path, files: Iterable[Path]) -> str | None:
    """Return the digest over files' names below a folder and what they say; None for no file.

    Files that were read before, and are what they were, are not read again: a tokenizer has megabytes.
    """
    return digest_of_said(folder, tuple((path, seen(path)) for path in files))


@cache
def digest_of_said(folder: Path, files: tuple[tuple[Path, tuple[int, ...]], ...]) -> str | None:
    """Return the digest over what files say that were seen."""
    said = {path.relative_to(folder).as_posix(): content(path) for path, _ in files}
    return digest_of_json(said) if said else None


def content(path: Path) -> Any:
    """Return what a file says: JSON whatever its layout, a configuration without its origin; else its sha256."""
    try:
        value = json.loads(path.read_text(encoding="utf-8")) if path.suffix == ".json" else None
    except ValueError:  # damaged: whoever needs it says so
        value = None
    if value is None:
        return digest_of_files([path])
    return without(value, ORIGIN) if "config" in path.name else value  # a vocabulary has words for keys


def without(value: Any, keys: set[str]) -> Any:
    """Return a configuration without some of its keys, and those of the configurations in it."""
    if not isinstance(value, Mapping):
        return value
    return {
        key: without(below, keys) if str(key).endswith("_config") else below
        for key, below in value.items()
        if key not in keys
    }
