import pytest
import torch
import transformers

from fmbench.cost import cost_of, weight_bytes


class TwoLayers(torch.nn.Module):
    """An embedding table and one linear layer, small enough to count by hand."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(1000, 8, dtype=dtype)
        self.linear = torch.nn.Linear(8, 16, dtype=dtype)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.linear(self.table(input_ids))


def test_by_hand() -> None:
    cost = cost_of(TwoLayers(), input_size=5, batch_size=3)
    assert cost.flops == 2 * 15 * 8 * 16
    weights = (8 * 16 + 16) * 4  # the table is read by the row
    intermediate = (15 * 8 + 15 * 16) * 4
    assert cost.bytes == weights + 2 * intermediate
    assert cost.intensity == cost.flops / cost.bytes


def test_the_shape_of_what_a_model_returns() -> None:
    assert cost_of(TwoLayers(), input_size=5, batch_size=3).shape == (3, 5, 16)
    config = transformers.BertConfig(vocab_size=100, hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
    assert cost_of(transformers.BertModel(config), 5, 3).shape == (3, 5, 32)
    assert cost_of(transformers.BertForSequenceClassification(config), 5, 3).shape == (3, 2)


def test_half_the_bytes_in_half_the_precision() -> None:
    assert cost_of(TwoLayers(torch.bfloat16), 5, 3).bytes * 2 == cost_of(TwoLayers(), 5, 3).bytes
    assert weight_bytes(TwoLayers(torch.bfloat16)) == (8 * 16 + 16) * 2


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_an_encoder_by_the_textbook(attention: str) -> None:
    """Per layer and token: four projections, two feed-forward products, and two products of attention."""
    hidden, inner, layers, length, batch = 32, 64, 2, 16, 3
    config = transformers.BertConfig(
        vocab_size=100, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=inner,
        attn_implementation=attention,
    )  # fmt: skip
    built = transformers.BertModel(config, add_pooling_layer=False).eval()
    tokens = length * batch
    projections = 2 * tokens * (4 * hidden * hidden + 2 * hidden * inner)
    products = 2 * 2 * tokens * length * hidden
    assert cost_of(built, length, batch).flops == layers * (projections + products)


def test_counting_needs_neither_time_nor_memory() -> None:
    """A batch that no machine could hold is counted all the same."""
    config = transformers.BertConfig(vocab_size=100, hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
    built = transformers.BertModel(config).eval()
    assert cost_of(built, 512, 10**7).flops > 10**15
    assert all(parameter.device.type == "cpu" for parameter in built.parameters())
