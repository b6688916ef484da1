"""Reading a query encoder's folder back: a student of ours, the teacher, or anybody's of the same layout."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from fmbench import positions
from fmbench.console import warn
from fmbench.errors import UsageError, first_line
from fmbench.model import dtype_key, encoder_options, encoder_part, for_encoding, import_class, quiet
from fmbench.source import Source, read_config

from .folder import MODULES, Module, read_json, read_list
from .lookup import FoldedStudent
from .recurrent import RecurrentStudent
from .student import Student
from .tokens import QueryTokenizer
from .transformer import TransformerStudent

POOLINGS = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
LONGEST = 512  # tokens, where a folder says nothing


def load_query_encoder(folder: Path, length: int | None = None) -> tuple[Student, QueryTokenizer]:
    """Return a query encoder in evaluation mode and its tokenizer, which cuts at `length` or at the folder's own.

    Of a Router it is the query route. Raises UsageError for a folder without modules.json, or with modules that are
    not known here.
    """
    root, modules = route(folder)
    first = modules[0]
    inner = root / first.path
    if first.name == "StaticEmbedding":
        return load_lookup(inner, length)
    if first.name == "RecurrentModule":
        return load_recurrent(inner, length)
    if first.name == "Transformer":
        return load_transformer(root, modules, length)
    raise UsageError(f"{folder}: begins with a module {first.name}, which is not known here")


def route(folder: Path) -> tuple[Path, list[Module]]:
    """Return the folder and the modules that a query goes through. A plain transformer is pooled by its mean."""
    if not (folder / MODULES).is_file() and (folder / "config.json").is_file():
        return folder, [Module("Transformer", "")]
    modules = read_list(folder)
    if modules[0].name != "Router":
        return folder, modules
    root = folder / modules[0].path
    config = read_json(root / "router_config.json")
    try:
        return root, [*(Module(config["types"][name], name) for name in config["structure"]["query"]), *modules[1:]]
    except KeyError as error:
        raise UsageError(f"{root / 'router_config.json'}: has no {error}") from None


def load_lookup(folder: Path, length: int | None) -> tuple[Student, QueryTokenizer]:
    """Load a folded table."""
    tensors = load_file(folder / "model.safetensors")
    table = tensors.get("embedding.weight", tensors.get("embeddings"))
    if table is None:
        raise UsageError(f"{folder}: holds no embedding.weight")
    return FoldedStudent(table.float()).eval(), bare_tokenizer(folder, length)


def load_recurrent(folder: Path, length: int | None) -> tuple[Student, QueryTokenizer]:
    """Load a recurrent student."""
    student = RecurrentStudent.empty(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    student.load_state_dict(load_file(folder / "model.safetensors"))
    return student.eval(), bare_tokenizer(folder, length)


def bare_tokenizer(folder: Path, length: int | None) -> QueryTokenizer:
    """Load a tokenizer.json that stands alone, to be used without special tokens."""
    import transformers

    origin = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    kept = (origin.backend_tokenizer.truncation or {}).get("max_length", LONGEST)
    return QueryTokenizer(origin, length or kept, special_tokens=False)


def load_transformer(folder: Path, modules: list[Module], length: int | None) -> tuple[Student, QueryTokenizer]:
    """Load a transformer with its pooling and projection. Raises UsageError for modules beyond these."""
    inner = folder / modules[0].path
    model = quietly_loaded(inner)
    pooling, dense = "mean", None
    for module in modules[1:]:
        if module.name == "Pooling":
            pooling = read_pooling(folder / module.path)
        elif module.name == "Dense":
            dense = load_dense(folder / module.path)
        elif module.name != "Normalize":
            raise UsageError(f"{folder}: holds a module {module.name}, which is not known here")
    dimensions = model.config.hidden_size if dense is None else dense.out_features
    student = TransformerStudent(model, dimensions, pooling)
    student.projection = dense
    kept = read_json(inner / "sentence_bert_config.json").get("max_seq_length")
    return student.eval(), QueryTokenizer.from_folder(inner, usable_length(model, folder, length, kept))


def usable_length(model: Any, folder: Path, length: int | None, kept: int | None) -> int:
    """Return where texts are cut: at `length`, else at what the folder says, `kept`, as far as the model goes.

    Raises UsageError for a `length` that is asked for and beyond the model.
    """
    limit = positions.maximum_length(model)
    if limit is None:
        return length or kept or LONGEST
    if length is not None and length > limit:
        raise UsageError(f"{folder}: has {limit} positions, and {length} are asked for; ask for up to {limit}")
    if kept is not None and length is None and kept > limit:
        warn(f"{folder}: texts are cut at {limit} tokens, which is all the model takes, not at {kept}")
    return length or min(kept or LONGEST, limit)


def quietly_loaded(folder: Path) -> Any:
    """Return a transformer in float32. Its pooler, which is dropped, may be missing: nothing is said of that.

    Raises UsageError for a folder that cannot be loaded.
    """
    import transformers

    quiet()
    verbosity = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    source = Source("folder", str(folder), read_config(folder / "config.json"))
    model_class = import_class("AutoModel", source)
    options = {dtype_key(transformers.__version__): torch.float32, **encoder_options(model_class)}
    try:
        whole = model_class.from_pretrained(source.location, **options, use_safetensors=True)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{folder}: cannot be loaded ({first_line(error)})") from None
    finally:
        transformers.utils.logging.set_verbosity(verbosity)
    model, _ = encoder_part(whole, model_class)
    for_encoding(model, asked=())
    return model


def read_pooling(folder: Path) -> str:
    """Return a folder's pooling. Raises UsageError for one that students do not have."""
    config: dict[str, Any] = read_json(folder / "config.json")
    modes = [name for key, name in POOLINGS.items() if config.get(key)]
    found = config.get("pooling_mode") or "+".join(modes)
    if found not in POOLINGS.values():
        raise UsageError(f"{folder}: pools by {found or 'nothing'}; mean and cls are known here")
    return str(found)


def load_dense(folder: Path) -> nn.Linear:
    """Load a linear layer. Raises UsageError for one that is more than linear."""
    config = read_json(folder / "config.json")
    if not str(config.get("activation_function", "")).endswith("Identity") or config.get("use_residual"):
        raise UsageError(f"{folder}: is more than a linear layer, which is all that is known here")
    layer = nn.Linear(config["in_features"], config["out_features"], bias=bool(config.get("bias", True)))
    tensors = load_file(folder / "model.safetensors")
    layer.load_state_dict({name.removeprefix("linear."): tensor for name, tensor in tensors.items()})
    return layer
