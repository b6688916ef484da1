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
    sizes = {"vocab_size": len(vocabulary), **sizes, **changes}
    config = transformers.BertConfig(max_position_embeddings=64, initializer_range=0.5, **sizes)
    torch.manual_seed(seed)
    transformers.BertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    options = {"tokenizer_class": "BertTokenizer", "model_max_length": 64, "do_lower_case": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(options))
    return folder


def save_family(folder: Path, model_type: str, padding_side: str = "right", **changes: Any) -> Path:
    """Save a tiny model of a family (an encoder-decoder whole), and a tokenizer of words and letters."""
    import tokenizers
    import torch
    import transformers

    from .families import PADDING, tiny_config

    words = {name: number for number, name in enumerate(["[UNK]", "[PAD]", *LETTERS])}
    unknown = {"unk_token": "[UNK]"}
    rules = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, **unknown))
    rules.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex("."), "isolated")
    special = {"pad_token": "[PAD]", "padding_side": padding_side, **unknown}
    transformers.PreTrainedTokenizerFast(tokenizer_object=rules, **special).save_pretrained(folder)
    assert words["[PAD]"] == PADDING
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(**tiny_config(model_type, **changes))
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    return folder


def add_modules(folder: Path, dimension: int = 4) -> Path:
    """Make a model's folder one of sentence-transformers: mean pooling, and a Dense module of a few dimensions."""
    import torch
    from safetensors.torch import save_file

    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Dense": "Dense"}
    write_json(folder / "modules.json", [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for place, (path, kind) in enumerate(kinds.items())
    ])  # fmt: skip
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 40, "do_lower_case": False})
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": DIMENSION, "pooling_mode": "mean"})
    dense = {"in_features": DIMENSION, "out_features": dimension, "bias": True}
    write_json(folder / "2_Dense" / "config.json", {**dense, "activation_function": "torch.nn.modules.linear.Identity"})
    generator = torch.Generator().manual_seed(0)
    weights = {
        "linear.weight": torch.randn(dimension, DIMENSION, generator=generator),
        "linear.bias": torch.ones(dimension),
    }
    save_file(weights, folder / "2_Dense" / "model.safetensors")
    return folder


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, its folder too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
