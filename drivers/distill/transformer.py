"""The transformer student: some layers of the teacher, of a named model, or random ones."""

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from fmbench.errors import UsageError
from fmbench.student import Student, pooled, projection


class TransformerStudent(Student):
    """A transformer of the transformers library, pooled, and projected where its width is not the teacher's."""

    def __init__(self, model: Any, dimensions: int, pooling: str = "mean") -> None:
        super().__init__()
        if getattr(model, "pooler", None) is not None:
            model.pooler = None  # a layer on [CLS] that no vector goes through
        self.model = model
        self.pooling = pooling
        self.dimensions = dimensions
        width = model.config.hidden_size
        self.projection = None if width == dimensions else projection(width, dimensions)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return pooled states."""
        states = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        vectors = pooled(states, attention_mask, self.pooling)
        return vectors if self.projection is None else self.projection(vectors)

    def train(self, mode: bool = True) -> Self:
        """Leave the model in evaluation mode: a student that imitates has targets enough, dropout only slows it."""
        super().train(mode)
        self.model.eval()
        return self


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
