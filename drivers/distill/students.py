"""Which student: its kind and sizes, and what it begins with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fmbench import positions
from fmbench.console import warn
from fmbench.encoder.network import Head, Linear, Network, RecurrentNetwork, TransformerNetwork, projection
from fmbench.errors import UsageError

ONE = 0.5413248546  # softplus of it is 1


class LookupStudent(Network):
    """One vector and one positive weight a token; their weighted sum, times a matrix. No attention, no order of words.

    Once trained, all three fold into one table of a vector a token: the direction of a text is then the sum of its
    rows. Special tokens are left out: they would add the same vector to every text.
    """

    special_tokens = False

    def __init__(self, table: Tensor, dimensions: int, free: bool) -> None:
        """Begin with word embeddings (tokens, width), which learn along where they are `free`."""
        super().__init__()
        self.dimensions = dimensions
        self.table = nn.Embedding.from_pretrained(table.detach().clone(), freeze=not free)
        self.weights = nn.Embedding.from_pretrained(torch.full((len(table), 1), ONE), freeze=False)
        self.linear = projection(table.shape[1], dimensions)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Return the weighted mean of the tokens' vectors, times the matrix."""
        weights = functional.softplus(self.weights(input_ids)) * attention_mask.unsqueeze(2)
        count = attention_mask.sum(dim=1, keepdim=True).clamp(min=1)
        return self.linear((self.table(input_ids) * weights).sum(dim=1) / count)

    @torch.no_grad()
    def folded(self) -> Tensor:
        """Return the table (tokens, dimensions) whose rows, averaged over a text's tokens, give `forward`."""
        return self.linear(self.table.weight * functional.softplus(self.weights.weight))


@dataclass(frozen=True)
class Design:
    """What a command line says of a student.

    `layers`: which layers of the teacher or of `model` stay (transformer). `depth`: how many layers a bert, gru or
    lstm has. `embeddings`: the teacher's word embeddings, frozen (tied) or learning along (free), or the student's
    own. `project`: whether a linear layer may bring vectors to the teacher's size. `length`: tokens a query. `ff`: how
    many feed-forward blocks follow a gru or lstm.
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
    ff: int = 0


def build(
    design: Design, origin: TransformerNetwork, named: TransformerNetwork | None, dimensions: int, seed: int = 0
) -> Network:
    """Return a new student.

    `origin` is the teacher and `named` the design's model, which are used up; `dimensions` is the size of the teacher's
    vectors. Raises UsageError for sizes that do not go together; warns of a student that is larger than its teacher.
    """
    torch.manual_seed(seed)
    largest = size(origin)["parameters"]
    table = origin.model.get_input_embeddings().weight.detach()
    if design.embeddings == "own":
        table = nn.init.normal_(torch.empty_like(table), std=0.02)
    student: Network
    if design.kind == "lookup":
        student = LookupStudent(table, dimensions, free=design.embeddings != "tied")
    elif design.kind in ("gru", "lstm"):
        student = recurrent(design, table, dimensions)
    else:
        student = transformer(design, origin, named, table, dimensions, seed)
    own = size(student)["parameters"]
    if own > largest:
        warn(f"the student has {own:,} parameters, more than its teacher with {largest:,}")
    return student


def recurrent(design: Design, table: Tensor, dimensions: int) -> RecurrentNetwork:
    """Return a new recurrent student."""
    width = design.hidden_size or dimensions
    check_width(design, width, dimensions)
    free = design.embeddings != "tied"
    return RecurrentNetwork(design.kind, table, dimensions, free, design.depth, width, design.ff)


def transformer(
    design: Design, origin: TransformerNetwork, named: TransformerNetwork | None, table: Tensor, dimensions: int,
    seed: int,
) -> TransformerNetwork:  # fmt: skip
    """Return a new transformer student; layers of the teacher keep what follows them there."""
    parent, head = named or origin, Head() if named else origin.head
    if design.kind == "bert":
        width = design.hidden_size or table.shape[1]
        heads = design.heads or max(1, width // 32)
        model = random_bert(design.depth, width, heads, len(table), design.length, seed)
        student = TransformerNetwork(model, origin.pooling)
    else:
        model = keep_layers(parent.model, design.layers)
        student = TransformerNetwork(model, parent.pooling, head, types=parent.types)
    check_length(design, model)
    if design.embeddings != "own":
        tie_embeddings(model, table, free=design.embeddings == "free")
    if student.dimensions == dimensions:
        return student
    check_width(design, student.width, dimensions)
    head = Head([Linear(projection(student.width, dimensions))])
    return TransformerNetwork(model, student.pooling, head, types=student.types)


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


def keep_layers(model: Any, kept: Sequence[int]) -> Any:
    """Cut a model down to some of its layers, counted from 0, and return it.

    Raises UsageError for a layer that it does not have, or where its layers are not found.
    """
    count = model.config.num_hidden_layers
    missing = [layer for layer in kept if not 0 <= layer < count]
    if missing or not kept:
        raise UsageError(
            f"--layers: the model has the layers 0 to {count - 1}, not {missing[0] if missing else 'none'}"
        )
    parent, name = find_layers(model, count)
    layers = getattr(parent, name)
    setattr(parent, name, nn.ModuleList(layers[layer] for layer in kept))
    for key, value in vars(model.config).items():
        if isinstance(value, list) and len(value) == count:  # one entry a layer, such as layer_types
            setattr(model.config, key, [value[layer] for layer in kept])
    model.config.num_hidden_layers = len(kept)
    return model


def find_layers(model: nn.Module, count: int) -> tuple[nn.Module, str]:
    """Return the module that holds the list of layers, and the list's name in it."""
    for path, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            parent, _, name = path.rpartition(".")
            return model.get_submodule(parent), name
    raise UsageError(f"{type(model).__name__} keeps its {count} layers in no list; name a model of the size you want")


def random_bert(layers: int, width: int, heads: int, vocabulary: int, length: int, seed: int) -> Any:
    """Return a BertModel with random weights. Raises UsageError where the heads do not divide the width."""
    import transformers

    if width % heads:
        raise UsageError(f"--heads {heads}: does not divide --hidden_size {width}")
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=vocabulary, hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=4 * width, max_position_embeddings=max(length, 16),
    )  # fmt: skip
    return transformers.BertModel(config, add_pooling_layer=False)


def tie_embeddings(model: Any, table: Tensor, free: bool) -> None:
    """Give a model the teacher's word embeddings, which learn along where they are `free`.

    Raises UsageError where the widths differ.
    """
    width = model.get_input_embeddings().weight.shape[1]
    if width != table.shape[1]:
        raise UsageError(
            f"the student's word embeddings are {width} wide and the teacher's {table.shape[1]}: "
            "--embeddings own leaves the student its own"
        )
    model.set_input_embeddings(nn.Embedding.from_pretrained(table.detach().clone(), freeze=not free))
    model.config.vocab_size = len(table)
