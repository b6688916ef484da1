"""A tiny teacher in the layout of sentence-transformers: two layers, real tokenizer, random weights."""

import json
import random
from pathlib import Path

import pytest

WORDS = (
    "wing flow shock wave heat layer boundary pressure drag lift plate cone jet nozzle wake gas air speed body nose "
    "angle mach laminar turbulent transfer surface theory test model tunnel the of a in on and for with at by"
).split()


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """200 queries of 2 to 9 words, all different."""
    draw = random.Random(7)
    return sorted({" ".join(draw.choices(WORDS, k=draw.randint(2, 9))) for _ in range(200)})


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny teacher: mean pooling, normalised, 64 tokens."""
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("teacher")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "##s", "##ing", *"abcdefghijklmnopqrstuvwxyz"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    tokenizer = transformers.BertTokenizerFast(vocab={word: number for number, word in enumerate(vocabulary)})
    tokenizer.model_max_length = 64
    tokenizer.save_pretrained(folder)
    torch.manual_seed(1)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64, initializer_range=0.3,
    )  # fmt: skip
    transformers.BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    types = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    rows = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{name}"}
        for number, (path, name) in enumerate(types.items())
    ]
    (folder / "modules.json").write_text(json.dumps(rows))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 64, "do_lower_case": False}))
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder
