"""Small folders of models that read text, made here: random weights, a tokenizer of single characters."""

import json
from pathlib import Path
from typing import Any

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789:.?'é日本"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
DIMENSION = 32


def save_bert(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """Save a two-layer BertModel with random weights and a WordPiece tokenizer."""
    import torch
    import transformers

    vocabulary = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    sizes = {"hidden_size": DIMENSION, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), max_position_embeddings=64, initializer_range=0.5, **{**sizes, **changes}
    )
    torch.manual_seed(seed)
    transformers.BertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    options = {"tokenizer_class": "BertTokenizer", "model_max_length": 64, "do_lower_case": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(options))
    return folder


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, its folder too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
