"""Folders in the layout of sentence-transformers: a query encoder alone, and a Router over both sides of a pair.

The layout is plain JSON and safetensors, so that writing it needs no library. Names of modules are those that
sentence-transformers 5 and 6 both know.
"""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from fmbench.encoder.folder import OURS, POOLING_FLAGS, POOLING_NAMES
from fmbench.encoder.network import Network, RecurrentNetwork, TableNetwork, TransformerNetwork, UnitLength
from fmbench.encoder.tokens import Tokenizer
from fmbench.json_file import read_optional
from fmbench.sentence_folder import MODULES, ROOT, Module, listed
from fmbench.whole_file import share, write_whole, written

from .students import LookupStudent

PACKAGE = "sentence_transformers.models"


def save_student(
    folder: Path, student: Network, tokenizer: Tokenizer, normalise: bool = False,
    prompts: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """Write an encoder that loads as a SentenceTransformer and gives what `student` gives, normalised where asked.

    `prompts` are what it was trained with, by role.

    A recurrent student needs fmbench where it is loaded, and `trust_remote_code=True`: sentence-transformers has no
    such module. The others need sentence-transformers only.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cut = None
    if isinstance(student, LookupStudent | TableNetwork):
        modules = [write_lookup(folder / "0_StaticEmbedding", student, tokenizer)]
    elif isinstance(student, TransformerNetwork):
        modules, cut = write_transformer(folder, student, tokenizer), student.head.truncate_dim
        normalise = normalise or student.head.normalise
    elif isinstance(student, RecurrentNetwork):
        modules = [write_recurrent(folder / "0_Recurrent", student, tokenizer)]
    else:
        raise TypeError(f"no layout for {type(student).__name__}")
    if normalise and modules[-1].name != UnitLength.kind:
        modules.append(write_module(folder / f"{len(modules)}_Normalize", UnitLength.kind, {}))
    write_list(folder, modules)
    write_json(folder / ROOT, root_config(prompts or {}, truncate_dim=cut))


def write_lookup(folder: Path, student: LookupStudent | TableNetwork, tokenizer: Tokenizer) -> Module:
    """Write the folded table as a StaticEmbedding, which averages a text's rows."""
    folder.mkdir(exist_ok=True)
    write_tensors(folder / "model.safetensors", {"embedding.weight": student.folded()})
    tokenizer.rules.save(str(folder / "tokenizer.json"))
    return Module(f"{PACKAGE}.StaticEmbedding", folder.name)


def write_transformer(folder: Path, student: TransformerNetwork, tokenizer: Tokenizer) -> list[Module]:
    """Write the transformer, its pooling, and the modules of its head."""
    inner = folder / "0_Transformer"
    with written(inner):
        student.model.save_pretrained(inner)
    share(inner)
    write_tokenizer(inner, tokenizer)
    write_json(inner / "sentence_bert_config.json", {"max_seq_length": tokenizer.max_length, "do_lower_case": False})
    pooling = {
        "word_embedding_dimension": student.width // len(student.pooling), **pooling_modes(student.pooling),
        "include_prompt": not student.prompt_length,
    }  # fmt: skip
    modules = [Module(f"{PACKAGE}.Transformer", inner.name), write_module(folder / "1_Pooling", "Pooling", pooling)]
    steps: Iterable[Any] = student.head.steps
    for place, step in enumerate(steps, len(modules)):
        modules.append(write_module(folder / f"{place}_{step.kind}", step.kind, step.settings()))
        if tensors := step.state_dict():
            write_tensors(folder / modules[-1].path / "model.safetensors", tensors)
    return modules


def pooling_modes(modes: Sequence[str]) -> dict[str, Any]:
    """Return how tokens are pooled, one by a flag, which older releases of sentence-transformers know too."""
    names = {mode: name for name, mode in POOLING_NAMES.items()}
    if len(modes) > 1:
        return {"pooling_mode": [names[mode] for mode in modes]}
    return {flag: names[modes[0]] == name for flag, name in POOLING_FLAGS.items()}


def write_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    """Write the tokenizer with its special tokens and its length."""
    if tokenizer.max_length is not None:
        tokenizer.origin.model_max_length = tokenizer.max_length
    tokenizer.origin.save_pretrained(folder)


def write_recurrent(folder: Path, student: RecurrentNetwork, tokenizer: Tokenizer) -> Module:
    """Write a recurrent student for our own module."""
    folder.mkdir(exist_ok=True)
    write_tensors(folder / "model.safetensors", student.state_dict())
    tokenizer.rules.save(str(folder / "tokenizer.json"))
    write_json(folder / "config.json", student.settings())
    return Module(OURS, folder.name)


def save_pair(
    folder: Path, query: Path, document: Path, passage_prompt: str, similarity: str, truncate_dim: int | None = None
) -> None:
    """Write a SentenceTransformer whose Router leads queries and documents to the modules of two folders.

    The modules are copied. Queries have the prompt of the query folder, documents `passage_prompt`.
    Raises UsageError where a folder is no sentence-transformers folder.
    """
    routes: dict[str, list[str]] = {"query": [], "document": []}
    types = {}
    folder.mkdir(parents=True, exist_ok=True)
    for route, origin in (("query", query), ("document", document)):
        for number, module in enumerate(listed(origin)):
            name = f"{route}_{number}_{module.name}"
            copy_module(origin, module, folder / name)
            types[name] = module.type
            routes[route].append(name)
    parameters = {"default_route": "document", "allow_empty_key": True}
    write_json(folder / "router_config.json", {"types": types, "structure": routes, "parameters": parameters})
    write_list(folder, [Module(f"{PACKAGE}.Router", "")])
    asked = read_optional(query / ROOT).object("prompts").text("query") or ""
    prompts = {"query": asked, "document": passage_prompt}
    write_json(folder / ROOT, root_config(prompts, similarity, truncate_dim))


def copy_module(origin: Path, module: Module, target: Path) -> None:
    """Copy a module's files; a module at the root shares its folder with those of the others."""
    target.mkdir(exist_ok=True)
    source = origin / module.path
    if not source.is_dir():  # Normalize has no files, and some folders leave it out
        return
    for path in sorted(source.iterdir()):
        if path.is_file() and path.name not in (MODULES, ROOT, "README.md"):
            shutil.copyfile(path, target / path.name)


def root_config(
    prompts: Mapping[str, str], similarity: str = "cosine", truncate_dim: int | None = None
) -> dict[str, Any]:
    """Return what sentence-transformers keeps of a whole model."""
    shared = {"prompts": dict(prompts), "default_prompt_name": None, "similarity_fn_name": similarity}
    return shared if truncate_dim is None else {**shared, "truncate_dim": truncate_dim}


def write_module(folder: Path, name: str, config: Mapping[str, Any]) -> Module:
    """Write a module that is a configuration."""
    folder.mkdir(exist_ok=True)
    write_json(folder / "config.json", config)
    return Module(f"{PACKAGE}.{name}", folder.name)


def write_list(folder: Path, modules: Sequence[Module]) -> None:
    """Write modules.json."""
    rows = [
        {"idx": number, "name": str(number), "path": module.path, "type": module.type}
        for number, module in enumerate(modules)
    ]
    write_json(folder / MODULES, rows)


def write_json(path: Path, value: Any) -> None:
    """Write JSON that a person can read."""
    write_whole(path, f"{json.dumps(value, indent=2)}\n".encode())


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors; `save_file` of safetensors makes files that their owner alone can read."""
    write_whole(path, save({name: tensor.detach().contiguous() for name, tensor in tensors.items()}))
