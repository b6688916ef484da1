"""Reading a query encoder's folder back: a student of ours, the teacher, or anybody's of the same layout."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fmbench import positions
from fmbench.console import note
from fmbench.encoder.steps import layer, read_weights
from fmbench.encoder.tokens import load_tokenizer, own_length, within_positions
from fmbench.errors import UsageError, first_line
from fmbench.json_file import read_required
from fmbench.model import dtype_key, encoder_options, encoder_part, for_encoding, import_class, quiet
from fmbench.recurrent import RecurrentStudent
from fmbench.source import Source, read_config
from fmbench.student import Student

from .lookup import FoldedStudent
from .published import RECURRENT, QuerySide, read_query_side
from .tokens import QueryTokenizer
from .transformer import TransformerStudent

LONGEST = 512  # tokens, where a folder says nothing
SIZES = ("layers", "hidden_size", "dimensions", "vocabulary", "width")


def load_query_encoder(folder: Path, length: int | None = None) -> tuple[Student, QueryTokenizer]:
    """Return a query encoder in evaluation mode and its tokenizer, which cuts at `length` or at the folder's own.

    Of a Router it is the query route. Raises UsageError for a folder that is not complete, or with modules that are
    not known here.
    """
    side = read_query_side(folder)
    first = side.modules[0]
    if first.type == RECURRENT:
        student, tokenizer = load_recurrent(side.first), bare_tokenizer(side.first, length)
    elif first.name == "StaticEmbedding":
        student, tokenizer = load_lookup(side.first), bare_tokenizer(side.first, length)
    else:
        student, tokenizer = load_transformer(side, length)
    tokenizer.begin_with(side.folder.recipe.query_prompt or "")
    return student.eval(), tokenizer


def load_lookup(folder: Path) -> Student:
    """Load a table of token vectors, folded where it has a mapping or weights of its tokens beside it (model2vec)."""
    tensors = read_weights(folder)
    table = tensors.get("embedding.weight")
    if table is None:
        table = folded(folder, tensors)
    return FoldedStudent(table.float())


def folded(folder: Path, tensors: dict[str, Tensor]) -> Tensor:
    """Return a row a token: `embeddings[mapping[token]] * weights[token]`. Raises UsageError where there are none."""
    table, mapping, weights = (tensors.get(name) for name in ("embeddings", "mapping", "weights"))
    if table is None:
        raise UsageError(f"{folder}: holds no embedding.weight")
    rows = table if mapping is None else table[mapping.long()]
    return rows if weights is None else rows.float() * weights.float()[:, None]


def load_recurrent(folder: Path) -> Student:
    """Load a recurrent student. Raises UsageError for a damaged folder."""
    config = read_required(folder / "config.json")
    if config.text("cell") not in ("gru", "lstm"):
        raise config.wrong("cell", "gru or lstm")
    student = RecurrentStudent.empty({"cell": config.text("cell"), **{key: config.known_count(key) for key in SIZES}})
    try:
        student.load_state_dict(read_weights(folder))
    except RuntimeError as error:
        raise UsageError(f"{folder}: the weights are not those of its config.json ({first_line(error)})") from None
    return student


def bare_tokenizer(folder: Path, length: int | None) -> QueryTokenizer:
    """Load a tokenizer.json that stands alone, to be used without special tokens. Raises UsageError."""
    import transformers

    path = folder / "tokenizer.json"
    read_required(path)
    try:
        origin = transformers.PreTrainedTokenizerFast(tokenizer_file=str(path))
    except Exception as error:  # the tokenizers library raises plain ones
        raise UsageError(f"{path}: no tokenizer to be loaded ({first_line(error)})") from None
    kept = length or (origin.backend_tokenizer.truncation or {}).get("max_length")
    if kept is None:
        note(f"{path} has no maximum length; queries are cut at {LONGEST} tokens")
    return QueryTokenizer(origin, kept or LONGEST, special_tokens=False)


def load_transformer(side: QuerySide, length: int | None) -> tuple[Student, QueryTokenizer]:
    """Load a transformer with its pooling and projection. Raises UsageError."""
    model = quietly_loaded(side.first)
    dense = None if side.dense is None else layer(read_weights(side.dense.folder), "linear")
    width = model.config.hidden_size
    if dense is not None and dense.in_features != width:
        raise UsageError(
            f"{side.first}: its vectors have {width} numbers, and the linear layer takes {dense.in_features}"
        )
    student = TransformerStudent(model, width if dense is None else dense.out_features, side.pooling)
    student.projection = dense
    tokenizer = load_tokenizer(side.folder)
    limit = positions.maximum_length(model)
    if length is not None and limit is not None and length > limit:
        raise UsageError(f"{side.first}: has {limit} positions, and {length} are asked for; ask for up to {limit}")
    asked = length or side.folder.recipe.query_max_length or own_length(side.folder, tokenizer)
    return student, QueryTokenizer(tokenizer, within_positions(side.folder, asked, limit) or LONGEST)


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
    except Exception as error:  # a damaged file or configuration: all the folder's
        raise UsageError(f"{folder}: cannot be loaded ({first_line(error)})") from None
    finally:
        transformers.utils.logging.set_verbosity(verbosity)
    model, _ = encoder_part(whole, model_class)
    for_encoding(model, asked=())
    return model
