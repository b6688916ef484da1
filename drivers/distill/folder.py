"""Folders in the layout of sentence-transformers: a query encoder alone, and a Router over both sides of a pair.

The layout is plain JSON and safetensors, so that writing it needs no library. Names of modules are those that
sentence-transformers 5 and 6 both know.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from fmbench.recurrent import RecurrentStudent
from fmbench.sentence_folder import MODULES, ROOT, Module, listed
from fmbench.student import Student
from fmbench.whole_file import share, write_whole, written

from .lookup import FoldedStudent, LookupStudent
from .published import RECURRENT, read_query_side
from .tokens import QueryTokenizer
from .transformer import TransformerStudent

PACKAGE = "sentence_transformers.models"


def save_student(
    folder: Path,
    student: Student,
    tokenizer: QueryTokenizer,
    normalise: bool = True,
    prompts: Mapping[str, str] | None = None,
) -> None:
    """Write a query encoder that loads as a SentenceTransformer and gives `student.vectors`.

    Where not to `normalise`, it gives the student's plain output. `prompts` are what it was trained with, by role.

    A recurrent student needs fmbench where it is loaded, and `trust_remote_code=True`: sentence-transformers has no
    such module. The others need sentence-transformers only.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(student, LookupStudent | FoldedStudent):
        modules = [write_lookup(folder / "0_StaticEmbedding", student, tokenizer)]
    elif isinstance(student, TransformerStudent):
        modules = write_transformer(folder, student, tokenizer)
    elif isinstance(student, RecurrentStudent):
        modules = [write_recurrent(folder / "0_Recurrent", student, tokenizer)]
    else:
        raise TypeError(f"no layout for {type(student).__name__}")
    if normalise:
        modules.append(write_module(folder / f"{len(modules)}_Normalize", "Normalize", {}))
    write_list(folder, modules)
    write_json(folder / ROOT, root_config(prompts or {}))


def write_lookup(folder: Path, student: LookupStudent | FoldedStudent, tokenizer: QueryTokenizer) -> Module:
    """Write the folded table as a StaticEmbedding, which averages a text's rows."""
    folder.mkdir(exist_ok=True)
    write_tensors(folder / "model.safetensors", {"embedding.weight": student.folded().contiguous()})
    tokenizer.backend.save(str(folder / "tokenizer.json"))
    return Module(f"{PACKAGE}.StaticEmbedding", folder.name)


def write_transformer(folder: Path, student: TransformerStudent, tokenizer: QueryTokenizer) -> list[Module]:
    """Write the transformer, its pooling and, where it has one, its projection."""
    inner = folder / "0_Transformer"
    with written(inner):
        student.model.save_pretrained(inner)
    share(inner)
    write_tokenizer(inner, tokenizer)
    write_json(inner / "sentence_bert_config.json", {"max_seq_length": tokenizer.length, "do_lower_case": False})
    width = student.model.config.hidden_size
    pooling = {
        "word_embedding_dimension": width,
        "pooling_mode_cls_token": student.pooling == "cls",
        "pooling_mode_mean_tokens": student.pooling == "mean",
    }
    modules = [Module(f"{PACKAGE}.Transformer", inner.name), write_module(folder / "1_Pooling", "Pooling", pooling)]
    if student.projection is not None:
        dense = {
            "in_features": width, "out_features": student.dimensions, "bias": False,
            "activation_function": "torch.nn.modules.linear.Identity",
        }  # fmt: skip
        modules.append(write_module(folder / "2_Dense", "Dense", dense))
        weights = {"linear.weight": student.projection.weight.detach().contiguous()}
        write_tensors(folder / "2_Dense" / "model.safetensors", weights)
    return modules


def write_tokenizer(folder: Path, tokenizer: QueryTokenizer) -> None:
    """Write the tokenizer with its special tokens and its length."""
    tokenizer.origin.model_max_length = tokenizer.length
    tokenizer.origin.save_pretrained(folder)


def write_recurrent(folder: Path, student: RecurrentStudent, tokenizer: QueryTokenizer) -> Module:
    """Write a recurrent student for our own module."""
    folder.mkdir(exist_ok=True)
    tensors = {name: tensor.contiguous() for name, tensor in student.state_dict().items()}
    write_tensors(folder / "model.safetensors", tensors)
    tokenizer.backend.save(str(folder / "tokenizer.json"))
    write_json(folder / "config.json", student.settings())
    return Module(RECURRENT, folder.name)


def save_pair(folder: Path, query: Path, document: Path, passage_prompt: str, similarity: str) -> None:
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
    asked = read_query_side(query).folder.recipe.query_prompt or ""
    write_json(folder / ROOT, root_config({"query": asked, "document": passage_prompt}, similarity))


def copy_module(origin: Path, module: Module, target: Path) -> None:
    """Copy a module's files; a module at the root shares its folder with those of the others."""
    target.mkdir(exist_ok=True)
    source = origin / module.path
    if not source.is_dir():  # Normalize has no files, and some folders leave it out
        return
    for path in sorted(source.iterdir()):
        if path.is_file() and path.name not in (MODULES, ROOT, "README.md"):
            shutil.copyfile(path, target / path.name)


def root_config(prompts: Mapping[str, str], similarity: str = "cosine") -> dict[str, Any]:
    """Return what sentence-transformers keeps of a whole model."""
    return {"prompts": dict(prompts), "default_prompt_name": None, "similarity_fn_name": similarity}


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
    write_whole(path, save(dict(tensors)))
