"""Where a model comes from: a folder, the hub, or the catalogue. Decided before torch is imported."""

import importlib.util
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from fmbench import model_class
from fmbench.errors import UsageError, first_line, nearest
from fmbench.json_file import read_required
from fmbench.options import Arguments
from fmbench.remote_code import check_map, is_trusted
from fmbench.sentence_folder import check_inside


@dataclass(frozen=True)
class Entry:
    """One model: its transformers class, published facts, and the architecture keys of its config.json."""

    name: str
    model_class: str
    parameters: int
    published: str
    max_length: int
    source: str
    config: dict[str, Any]


@cache
def catalogue() -> dict[str, Entry]:
    """Return the catalogue by model name."""
    import yaml

    text = resources.files("fmbench").joinpath("catalogue.yaml").read_text(encoding="utf-8")
    return {name: Entry(name=name, **facts) for name, facts in yaml.safe_load(text).items()}


HUB_ID = re.compile(r"(?!\.{1,2}(/|$))[\w.-]+(/[\w.-]+)?")  # ./name and ../name are folders
SAFE_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
ADAPTER = "adapter_config.json"
PICKLED_WEIGHTS = ("pytorch_model.bin", "pytorch_model.bin.index.json")
PROBE_SECONDS = 10.0
# What a hub model's folder is read from, beside the weights that transformers fetches itself.
HUB_FILES = ("*.json", "*/*.json", "*.txt", "*.model", "*.py", "artifact.metadata", "[1-9]_*/*.safetensors")
MOST_LAYERS = 10_000  # far beyond every model; one by one they are made before anything else could fail
LAYERS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "encoder_layers", "decoder_layers",
          "num_decoder_layers")  # fmt: skip

DTYPE_KEYS = ("dtype", "torch_dtype")


@dataclass(frozen=True)
class Source:
    """A model that can be loaded. `location` is a folder, a hub id or a catalogue name; `config` is raw JSON.

    `trusted`: whether code that comes with it may run.
    """

    kind: Literal["folder", "hub", "catalogue"]
    location: str
    config: Mapping[str, Any]
    trusted: bool = False

    @property
    def dtype(self) -> str | None:
        """The type of numbers that the configuration names, as torch has it; None where it names none."""
        found = next(filter(None, map(self.config.get, DTYPE_KEYS)), None)
        return found.removeprefix("torch.") if isinstance(found, str) else None

    @property
    def claimed_length(self) -> int | None:
        """Positions that the configuration claims, or None. The model may have fewer: see `fmbench.positions`."""
        claimed = self.config.get("max_position_embeddings")
        return claimed if isinstance(claimed, int) and claimed > 0 else None

    def check_lengths(self, lengths: Sequence[int], limit: int | None, said: str = "--input_sizes") -> None:
        """Raise UsageError for lengths beyond a limit. `said` is the option that gave them."""
        beyond = [length for length in lengths if limit is not None and length > limit]
        if beyond:
            raise UsageError(
                f"{said} {','.join(map(str, beyond))}: {self.location} has {limit} positions; give up to {limit}"
            )


def locate(arguments: Arguments) -> Source:
    """Find the model that a command line names, without importing torch.

    Raises UsageError for an unknown class, a folder that is missing or holds no configuration or weights, a model
    without a configuration for random weights, one that is code of its own, and a hub that does not answer.
    """
    model_class.check_exists(arguments.model_class)
    path = named_folder(arguments)
    if (path / "config.json").is_file():
        source = Source("folder", str(path), read_config(path / "config.json"))
        if arguments.weights == "pretrained":
            check_weights(path, arguments)
    elif arguments.weights == "random":
        source = from_catalogue(arguments.model_name, path)
    elif path.is_dir():
        raise UsageError(f"{path}: the folder holds no config.json")
    elif arguments.model_root or path.is_file() or not HUB_ID.fullmatch(arguments.model_name):
        raise UsageError(f"no model folder at {path}{hub_hint(arguments)}")
    else:
        source = from_hub(arguments)
    if arguments.weights == "pretrained":
        known = any(kind == source.config.get("model_type") for kind, _ in model_class.listed())
        check_map(source.location, source.config, arguments, known)
    model_class.check_suits(arguments.model_class, source.config, source.location)
    overrides = {key: arguments.literal("model", key) for key in arguments.options["model"]}
    for key in DTYPE_KEYS:
        if overrides.get(key) == "auto":  # means what the configuration says, which must not be written over
            del overrides[key]
    return Source(source.kind, source.location, {**source.config, **overrides}, is_trusted(arguments))


def named_folder(arguments: Arguments) -> Path:
    """Return the folder that a command line means, if it means one."""
    return Path(arguments.model_path).expanduser()


def hub_hint(arguments: Arguments) -> str:
    """Return what else a missing folder's name could have meant."""
    name = arguments.model_name
    hint = f" (tried --model_root {arguments.model_root} and --model_name {name})" if arguments.model_root else ""
    if name in catalogue():
        return f"{hint}; --weights random builds {name} without a download"
    if arguments.model_root and HUB_ID.fullmatch(name):
        return f"{hint}; to take {name} from the hub, leave --model_root out"
    return hint


def from_catalogue(name: str, path: Path) -> Source:
    """Return the catalogue's configuration of a model."""
    known = catalogue()
    if name not in known:
        raise UsageError(
            f"--weights random: no configuration of {name}: no config.json in {path}, and the catalogue does not "
            f"have it{nearest(name, known)} (`fmbench models` lists the catalogue)"
        )
    return Source("catalogue", name, known[name].config)


def read_config(path: Path) -> dict[str, Any]:
    """Read a config.json; what is read of it here has its type. Raises UsageError."""
    config = read_required(path)
    for key in ("model_type", *DTYPE_KEYS):
        config.text(key)
    config.texts("architectures")
    for key in LAYERS:
        if not 0 <= (config.integer(key) or 0) <= MOST_LAYERS:
            raise config.wrong(key, f"a whole number up to {MOST_LAYERS:,}")
    for key in ("vocab_size", "hidden_size"):
        config.count(key)
    for key in ("max_position_embeddings", "n_positions", "pad_token_id"):
        config.integer(key)
    return dict(config.values)


def check_weights(folder: Path, arguments: Arguments) -> None:
    """Raise UsageError where a folder holds no weights that may be read, or an adapter that nobody would apply."""
    if (folder / ADAPTER).is_file() and importlib.util.find_spec("peft") is None:
        raise UsageError(
            f"{folder / ADAPTER}: an adapter belongs to this model, and the library that applies it is missing: pip "
            "install peft, or merge it into the weights (merge_and_unload)"
        )
    check_indexes(folder)
    if any((folder / name).is_file() for name in SAFE_WEIGHTS):
        check_shards(folder)
        return
    pickled = [name for name in PICKLED_WEIGHTS if (folder / name).is_file()]
    allowed = arguments.literal("model", "use_safetensors") is False
    if pickled and not allowed:
        raise UsageError(
            f"{folder}: the weights are pickled ({pickled[0]}), which can run code; convert them to safetensors, "
            "or trust them with --model:use_safetensors@ False"
        )
    if not pickled:
        raise UsageError(f"{folder}: no model.safetensors; --weights random builds the model from config.json alone")


def check_shards(folder: Path) -> None:
    """Raise UsageError where the weights are divided over files, and one of them is missing."""
    if (folder / SAFE_WEIGHTS[0]).is_file():
        return
    shards = read_required(folder / SAFE_WEIGHTS[1]).object("weight_map")
    for name in sorted({shards.text(key) or "" for key in shards.values}):
        if not (folder / name).is_file():
            raise UsageError(f"{folder / name} is missing, and {SAFE_WEIGHTS[1]} names it; the folder is not complete")


def check_indexes(folder: Path) -> None:
    """Raise UsageError for an index of weights, of any variant, that names files elsewhere, or a safe one pickles."""
    for path in sorted({*folder.glob("*.index*.json"), *folder.glob("*/*.index*.json")}):
        index = read_required(path).object("weight_map")
        shards = sorted({index.text(key) or "" for key in index.values})
        check_inside(path, shards)
        pickled = [name for name in shards if ".safetensors." in path.name and not name.endswith(".safetensors")]
        if pickled:
            raise UsageError(
                f"{path}: names {pickled[0]!r}, which is no file of safetensors: it may be code; convert it"
            )


def from_hub(arguments: Arguments) -> Source:
    """Return a model of the hub, its config.json fetched (or found in the cache). Raises UsageError."""
    import huggingface_hub

    name = arguments.model_name
    options = {key: arguments.literal("model", key) for key in arguments.options["model"]}
    where = {key: options[key] for key in ("revision", "cache_dir") if key in options}
    cached = huggingface_hub.try_to_load_from_cache(name, "config.json", **where)
    if not isinstance(cached, str):
        if why := why_no_hub():
            raise UsageError(f"{no_model(name)}: {why}")
        try:
            cached = huggingface_hub.hf_hub_download(name, "config.json", token=options.get("token"), **where)
        except Exception as error:  # the hub's client has a dozen kinds; all mean that the model cannot be had
            raise UsageError(f"{no_model(name)}: {type(error).__name__}: {first_line(error)}") from None
    return Source("hub", name, read_config(Path(cached)))


def snapshot(name: str, arguments: Arguments) -> Path:
    """Return the folder of the hub's cache with a model's small files, fetched where they are not there.

    Raises UsageError where they are not to be had.
    """
    import huggingface_hub

    options = {key: arguments.literal("model", key) for key in ("revision", "cache_dir", "token", "local_files_only")}
    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=list(HUB_FILES), **options))
    except Exception as error:  # the hub's client has a dozen kinds
        raise UsageError(f"{name}: not to be had from the hub ({type(error).__name__})") from None


def why_no_hub() -> str | None:
    """Return why the hub does not answer one quick request, or None; its client would try for half a minute."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE forbids to ask the hub"
    try:
        get_session().head(constants.ENDPOINT, timeout=PROBE_SECONDS)
    except Exception as error:  # requests or httpx, by version
        return f"{constants.ENDPOINT} does not answer ({first_line(error)}; asked for {PROBE_SECONDS:g} s at most)"
    return None


def no_model(name: str) -> str:
    """Return the beginning of every error about a model that the hub does not give."""
    known = "; --weights random needs no download" if name in catalogue() else ""
    return f"no folder {name} here, and it is not to be had from the hub{known}"
