"""Which student: its kind and sizes, and what it begins with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fmbench.console import warn
from fmbench.errors import UsageError

from .loading import load_query_encoder
from .lookup import LookupStudent
from .recurrent import RecurrentStudent
from .student import Student
from .tokens import QueryTokenizer
from .transformer import TransformerStudent, keep_layers, random_bert, tie_embeddings

KINDS = ("lookup", "transformer", "bert", "gru", "lstm")
EMBEDDINGS = ("tied", "free", "own")


@dataclass(frozen=True)
class Design:
    """What a command line says of a student.

    `layers`: which layers of the teacher or of `model` stay (transformer). `depth`: how many layers a bert, gru or
    lstm has. `embeddings`: the teacher's word embeddings, frozen (tied) or learning along (free), or the student's
    own. `project`: whether a linear layer may bring vectors to the teacher's size. `length`: tokens a query.
    """

    kind: str
    layers: tuple[int, ...] = (0,)
    depth: int = 1
    model: Path | None = None
    hidden_size: int | None = None
    heads: int | None = None
    embeddings: str = "tied"
    project: bool = False
    length: int = 32


def load_teacher(folder: Path) -> tuple[TransformerStudent, QueryTokenizer]:
    """Return the teacher's query side. Raises UsageError where it is no transformer."""
    encoder, tokenizer = load_query_encoder(folder)
    if not isinstance(encoder, TransformerStudent):
        raise UsageError(f"{folder}: a teacher is a transformer, and this is none")
    return encoder, tokenizer


def build(design: Design, teacher: Path, seed: int = 0) -> tuple[Student, QueryTokenizer]:
    """Return a new student of a teacher's folder, and its tokenizer.

    Raises UsageError for sizes that do not go together; warns of a student that is larger than its teacher.
    """
    torch.manual_seed(seed)
    origin, _ = load_teacher(teacher)
    size = parameters(origin)
    table = origin.model.get_input_embeddings().weight.detach()
    if design.embeddings == "own":
        table = torch.nn.init.normal_(torch.empty_like(table), std=0.02)
    student: Student
    vocabulary = teacher
    if design.kind == "lookup":
        student = LookupStudent(table, origin.dimensions, free=design.embeddings != "tied")
    elif design.kind in ("gru", "lstm"):
        student = recurrent(design, table, origin.dimensions)
    else:
        student = transformer(design, origin, table, seed)
        if design.model is not None and design.embeddings == "own":
            vocabulary = design.model
    if parameters(student) > size:
        warn(f"the student has {parameters(student):,} parameters and its teacher {size:,}")
    return student, QueryTokenizer.from_folder(vocabulary, design.length, student.special_tokens)


def parameters(module: torch.nn.Module) -> int:
    """Return how many numbers a model holds."""
    return sum(parameter.numel() for parameter in module.parameters())


def recurrent(design: Design, table: Tensor, dimensions: int) -> RecurrentStudent:
    """Return a new recurrent student."""
    width = design.hidden_size or dimensions
    check_width(design, width, dimensions)
    free = design.embeddings != "tied"
    return RecurrentStudent(design.kind, table, dimensions, free, design.depth, width)


def transformer(design: Design, origin: TransformerStudent, table: Tensor, seed: int) -> TransformerStudent:
    """Return a new transformer student. The origin's model is used up."""
    model, pooling, projected = origin.model, origin.pooling, origin.projection
    if design.kind == "bert":
        width = design.hidden_size or table.shape[1]
        heads = design.heads or max(1, width // 32)
        model, projected = random_bert(design.depth, width, heads, len(table), design.length, seed), None
    elif design.model is not None:
        named, _ = load_teacher(design.model)
        model, pooling, projected = keep_layers(named.model, design.layers), named.pooling, None
    else:
        model = keep_layers(model, design.layers)
    if design.embeddings != "own":
        tie_embeddings(model, table, free=design.embeddings == "free")
    if projected is None:
        check_width(design, model.config.hidden_size, origin.dimensions)
    student = TransformerStudent(model, origin.dimensions, pooling)
    student.projection = projected or student.projection
    return student


def check_width(design: Design, width: int, dimensions: int) -> None:
    """Raise UsageError where vectors have another size than the teacher's and no projection was asked for."""
    if width != dimensions and not design.project:
        raise UsageError(
            f"the student's vectors have {width} dimensions and the teacher's {dimensions}: "
            "--projection linear adds a linear layer that brings them there"
        )


def describe(student: Student) -> dict[str, Any]:
    """Return what a table says of a student's size."""
    held = {one.data_ptr(): one for one in student.parameters()}.values()
    return {
        "parameters": sum(one.numel() for one in held),
        "bytes": sum(one.numel() * one.element_size() for one in held),
        "dimensions": student.dimensions,
    }
