"""Attention with a window, of a text beside a far longer one: some tokens of padding may see nothing at all."""

import pytest
import torch
import transformers

pytest.importorskip("openvino", reason="pip install 'fmbench[openvino]'")

from fmbench.backend import Forward
from fmbench.backends.openvino import OpenvinoBackend
from fmbench.errors import PlatformError
from fmbench.options import parse_arguments

ARGV = ("--platform", "openvino", "--model_class", "AutoModel", "--model_name", "m", "--input_sizes", "16")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("restore_torch")]


def prepared(model: torch.nn.Module, precision: str) -> tuple[OpenvinoBackend, Forward]:
    hint = ("--compile:options:config:INFERENCE_PRECISION_HINT", precision)
    arguments = parse_arguments([*ARGV, "--batch_sizes", "2", "--reps", "2", *hint])
    platform = OpenvinoBackend()
    platform.check(arguments)
    platform.setup(arguments)
    return platform, platform.prepare(model, arguments.evaluated())


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_a_window_of_padding_makes_no_nan(precision: str) -> None:
    config = transformers.ModernBertConfig(
        vocab_size=200, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64,
        local_attention=16, pad_token_id=0, max_position_embeddings=128,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(config, attn_implementation="sdpa", dtype=torch.float32).eval()
    platform, forward = prepared(model, precision)
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


def test_a_window_in_both_directions_is_refused_in_one_line_that_says_what_to_take() -> None:
    """Its mask is made by torch.vmap, which OpenVINO's tracing knows nothing of."""
    config = transformers.Gemma3TextConfig(
        vocab_size=200, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=8,
        intermediate_size=16, sliding_window=8, use_bidirectional_attention=True, use_cache=False, pad_token_id=0,
        layer_types=["sliding_attention", "full_attention"],
    )  # fmt: skip
    _, forward = prepared(transformers.AutoModel.from_config(config).eval(), "f32")
    ids = torch.randint(5, 200, (2, 12))
    with pytest.raises(PlatformError) as caught:
        forward({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    said = str(caught.value)
    assert said.startswith("--platform openvino: cannot convert Gemma3TextModel (") and "\n" not in said
    assert said.endswith("); take --platform onnxruntime or --platform cpu")
