"""Attention with a window, of a text beside a far longer one: some tokens of padding may see nothing at all."""

import pytest
import torch
import transformers

pytest.importorskip("openvino", reason="pip install 'fmbench[openvino]'")

from fmbench.backends.openvino import OpenvinoBackend
from fmbench.options import parse_arguments

ARGV = ("--platform", "openvino", "--model_class", "AutoModel", "--model_name", "m", "--input_sizes", "16")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("restore_torch")]


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_a_window_of_padding_makes_no_nan(precision: str) -> None:
    config = transformers.ModernBertConfig(
        vocab_size=200, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64,
        local_attention=16, pad_token_id=0, max_position_embeddings=128,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(config, attn_implementation="sdpa", dtype=torch.float32).eval()
    hint = ("--compile:options:config:INFERENCE_PRECISION_HINT", precision)
    arguments = parse_arguments([*ARGV, "--batch_sizes", "2", "--reps", "2", *hint])
    platform = OpenvinoBackend()
    platform.check(arguments)
    platform.setup(arguments)
    forward = platform.prepare(model, arguments.evaluated())
    ids = torch.randint(5, 200, (3, 100))
    mask = torch.ones_like(ids)
    mask[1, 3:] = mask[2, 40:] = 0
    batch = {"input_ids": ids, "attention_mask": mask}
    platform.warm_up(forward, batch)
    found = forward(batch).last_hidden_state
    with torch.no_grad():
        expected = model(**batch).last_hidden_state
    own = mask.bool()
    assert found.isfinite().all()
    assert torch.nn.functional.cosine_similarity(found[own], expected[own]).min() > 0.999
