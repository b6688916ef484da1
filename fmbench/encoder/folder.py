"""Reading a sentence-transformers folder: which modules there are, and what they publish about encoding."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fmbench.console import warn
from fmbench.errors import UsageError
from fmbench.sentence_folder import MODULES, ROOT, TRANSFORMER_CONFIGS, listed

from .recipe import POOLINGS, Recipe
from .steps import Normalise, Step, read_dense, read_json, read_layer_norm

POOLING_NAMES = {"cls": "cls", "max": "max", "mean": "mean", "lasttoken": "last"}
# As older releases wrote it, in the order in which several are concatenated.
POOLING_FLAGS = {
    "pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max", "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean", "pooling_mode_lasttoken": "lasttoken",
}  # fmt: skip
PASSAGE_PROMPTS = ("document", "passage", "corpus")


@dataclass
class Folder:
    """What a folder says. `transformer` is where the model and its tokenizer are, seen from the folder."""

    path: Path
    transformer: str = ""
    recipe: Recipe = field(default_factory=Recipe)
    steps: list[Step] = field(default_factory=list)
    similarity: str = "cosine"
    max_length: int | None = None
    lower_case: bool = False
    tokenizer_options: dict[str, Any] = field(default_factory=dict)


def read(path: Path) -> Folder | None:
    """Read a sentence-transformers folder, or return None where it is none (it has no modules.json).

    Imports neither torch nor weights. Raises UsageError for what cannot be honoured: an unknown module, pickled
    weights, a file that is damaged, a path that leads out of the folder.
    """
    if not (path / MODULES).is_file():
        return None
    folder = Folder(path)
    for position, (kind, where) in enumerate(listed(path)):
        reader = READERS.get(kind)
        if reader is None or (position == 0) != (reader is add_transformer):
            known = ", ".join(sorted(READERS))
            raise UsageError(
                f"{path}/modules.json: module {position} is a {kind}, which is not supported here ({known})"
            )
        reader(folder, path / where)
    if folder.recipe.pooling is None:
        raise UsageError(f"{path}/modules.json: no Pooling module says how tokens become a text's vector")
    folder.recipe = add_prompts(folder, read_json(path / ROOT))
    return folder


def add_transformer(folder: Folder, path: Path) -> None:
    """Take over maximum length, lower case and what the tokenizer is to be told."""
    config: dict[str, Any] = next(filter(None, (read_json(path / name) for name in TRANSFORMER_CONFIGS)), {})
    folder.transformer = path.relative_to(folder.path).as_posix().removeprefix(".")
    folder.max_length = config.get("max_seq_length")
    folder.lower_case = bool(config.get("do_lower_case"))
    options = config.get("processor_kwargs") or config.get("tokenizer_args") or {}
    folder.tokenizer_options = {key: value for key, value in options.items() if key != "trust_remote_code"}
    check_transformer(config, path)
    lengths = {"query_max_length": config.get("query_length"), "passage_max_length": config.get("document_length")}
    folder.recipe = Recipe(**lengths)


def check_transformer(config: dict[str, Any], path: Path) -> None:
    """Refuse what makes more than one vector a text out of it, and say what is not taken over."""
    task = config.get("transformer_task", "feature-extraction")
    text = config.get("modality_config", {}).get("text", {})
    outputs = text.get("method_output_name", "last_hidden_state")
    plain = task == "feature-extraction" and "message" not in config.get("modality_config", {})
    if not plain or outputs not in ("last_hidden_state", ["last_hidden_state"]) or config.get("query_expansion"):
        raise UsageError(f"{path}: this kind of Transformer module is not supported; only one that reads plain text")
    for name in ("model_kwargs", "model_args", "config_kwargs", "config_args", "processing_kwargs"):
        if config.get(name):
            warn(f"{path}: {name} {json.dumps(config[name])} is not taken over; say it with --model:")


def add_pooling(folder: Folder, path: Path) -> None:
    """Take over how tokens are pooled, and whether a prompt's tokens are."""
    config = read_json(path / "config.json")
    modes = config.get("pooling_mode") or [mode for flag, mode in POOLING_FLAGS.items() if config.get(flag)] or "mean"
    names = [modes] if isinstance(modes, str) else list(modes)
    pooling = tuple(POOLING_NAMES[name] for name in names if name in POOLING_NAMES)
    if len(pooling) != len(names) or folder.recipe.pooling is not None:
        raise UsageError(f"{path}: pooling {', '.join(names)} is not supported (known: {', '.join(POOLINGS)})")
    folder.recipe = Recipe(pooling=pooling, include_prompt=config.get("include_prompt", True)).over(folder.recipe)


def add_step(read_step: Callable[[Path], Step]) -> Callable[[Folder, Path], None]:
    """Return the reader of a module that follows the pooling."""

    def add(folder: Folder, path: Path) -> None:
        if folder.recipe.pooling is None:
            raise UsageError(f"{folder.path}/modules.json: {path.name} stands before the Pooling module")
        folder.steps.append(read_step(path))

    return add


def add_prompts(folder: Folder, config: dict[str, Any]) -> Recipe:
    """Return the recipe with what config_sentence_transformers.json says.

    The prompts of the two roles have names; the default prompt is meant where there is none of them.
    """
    folder.similarity = config.get("similarity_fn_name") or "cosine"
    prompts = {name: text or "" for name, text in (config.get("prompts") or {}).items()}
    default = config.get("default_prompt_name")
    if default is not None and default not in prompts:
        raise UsageError(f"{folder.path}: default_prompt_name {default} is none of the prompts ({', '.join(prompts)})")
    passage = next((name for name in PASSAGE_PROMPTS if name in prompts), None)
    fallback = prompts.get(default, "") if passage is None and "query" not in prompts else ""
    prompted = Recipe(
        query_prompt=prompts.get("query", fallback),
        passage_prompt=prompts.get(passage, fallback),
        truncate_dim=config.get("truncate_dim"),
    )
    return prompted.over(folder.recipe)


# By the last part of the type's name. A further kind of module is one more line.
READERS: dict[str, Callable[[Folder, Path], None]] = {
    "Transformer": add_transformer,
    "Pooling": add_pooling,
    "Dense": add_step(read_dense),
    "LayerNorm": add_step(read_layer_norm),
    "Normalize": add_step(lambda path: Normalise()),
    "Dropout": lambda folder, path: None,  # does nothing when nothing is trained
}
