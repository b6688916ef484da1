"""Which student: its kind and sizes, and what it begins with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fmbench import positions
from fmbench.console import warn
from fmbench.errors import UsageError
from fmbench.recurrent import RecurrentStudent
from fmbench.student import Student

from .loading import load_query_encoder
from .lookup import LookupStudent
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


def load_teacher(folder: Path, pooling: str | None = None) -> tuple[TransformerStudent, QueryTokenizer]:
    """Return the teacher's query side, pooled as its folder says or otherwise. Raises UsageError for no transformer."""
    encoder, tokenizer = load_query_encoder(folder)
    if not isinstance(encoder, TransformerStudent):
        raise UsageError(f"{folder}: a teacher is a transformer, and this is none")
    encoder.pooling = pooling or encoder.pooling
    return encoder, tokenizer


def build(design: Design, origin: TransformerStudent, dimensions: int, seed: int = 0) -> tuple[Student, Path | None]:
    """Return a new student, and the folder of its tokenizer where it is not the teacher's.

    `origin` is the teacher, which is used up; `dimensions` the size of its vectors, which may be cut (Matryoshka).
    Raises UsageError for sizes that do not go together; warns of a student that is larger than its teacher.
    """
    torch.manual_seed(seed)
    largest = size(origin)["parameters"]
    table = origin.model.get_input_embeddings().weight.detach()
    if design.embeddings == "own":
        table = torch.nn.init.normal_(torch.empty_like(table), std=0.02)
    student: Student
    if design.kind == "lookup":
        student = LookupStudent(table, dimensions, free=design.embeddings != "tied")
    elif design.kind in ("gru", "lstm"):
        student = recurrent(design, table, dimensions)
    else:
        student = transformer(design, origin, table, dimensions, seed)
    own = size(student)["parameters"]
    if own > largest:
        warn(f"the student has {own:,} parameters, more than its teacher with {largest:,}")
    return student, design.model if design.embeddings == "own" else None


def recurrent(design: Design, table: Tensor, dimensions: int) -> RecurrentStudent:
    """Return a new recurrent student."""
    width = design.hidden_size or dimensions
    check_width(design, width, dimensions)
    free = design.embeddings != "tied"
    return RecurrentStudent(design.kind, table, dimensions, free, design.depth, width)


def transformer(
    design: Design, origin: TransformerStudent, table: Tensor, dimensions: int, seed: int
) -> TransformerStudent:
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
    check_length(design, model)
    if design.embeddings != "own":
        tie_embeddings(model, table, free=design.embeddings == "free")
    if projected is not None and projected.out_features == dimensions:
        student = TransformerStudent(model, model.config.hidden_size, pooling)
        student.projection, student.dimensions = projected, dimensions
        return student
    check_width(design, model.config.hidden_size, dimensions)
    return TransformerStudent(model, dimensions, pooling)


def check_length(design: Design, model: Any) -> None:
    """Raise UsageError where queries may be longer than the student's model goes."""
    limit = positions.maximum_length(model)
    if limit is not None and design.length > limit:
        raise UsageError(f"--student_length {design.length}: the student has {limit} positions; give up to {limit}")


def check_width(design: Design, width: int, dimensions: int) -> None:
    """Raise UsageError where vectors have another size than the teacher's and no projection was asked for."""
    if width != dimensions and not design.project:
        raise UsageError(
            f"the student's vectors have {width} dimensions and the teacher's {dimensions}: "
            "--projection linear adds a linear layer that brings them there"
        )


def size(module: torch.nn.Module) -> dict[str, int]:
    """Return how many numbers a model holds, and in how many bytes."""
    held = list(module.parameters())
    return {
        "parameters": sum(one.numel() for one in held),
        "bytes": sum(one.numel() * one.element_size() for one in held),
    }
