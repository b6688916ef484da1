"""Small folders of late-interaction models, made here: the same weights from a seed with every version of a library."""

import json
import shutil
from pathlib import Path
from string import punctuation
from typing import Any

from .text_models import LETTERS, SPECIAL, write_json

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
MARKERS = ("[unused0]", "[unused1]")
METADATA = {
    "query_token_id": MARKERS[0], "doc_token_id": MARKERS[1], "query_token": "[Q]", "doc_token": "[D]",
    "dim": 16, "query_maxlen": 12, "doc_maxlen": 24, "mask_punctuation": True, "attend_to_mask_tokens": False,
    "similarity": "cosine", "interaction": "colbert", "nbits": 4,
}  # fmt: skip


def save_colbert(folder: Path, body: Path | None = None, seed: int = 0, **metadata: Any) -> Path:
    """Save a checkpoint as colbert-ai does: a BERT of seeded weights, or the one of a folder, and a linear head."""
    import torch
    import transformers
    from safetensors.torch import load_file, save_file

    said = {**METADATA, **metadata}
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    if body is None:
        config = transformers.BertConfig(vocab_size=save_words(folder), max_position_embeddings=64, **SIZES).to_dict()
        model = transformers.BertModel(transformers.BertConfig(**config))
        weights = {name: seeded(name, weight, generator) for name, weight in sorted(model.named_parameters())}
    else:
        config = json.loads((body / "config.json").read_text())
        weights = {name.removeprefix("bert."): weight for name, weight in load_file(body / "model.safetensors").items()}
        for path in body.iterdir():
            if path.name.startswith(("tokenizer", "vocab", "special_tokens")):
                shutil.copy(path, folder)
    head = torch.randn(said["dim"], config["hidden_size"], generator=generator) / said["dim"] ** 0.5
    tensors = {f"bert.{name}": weight.contiguous() for name, weight in weights.items()}
    save_file({**tensors, "linear.weight": head}, folder / "model.safetensors", metadata={"format": "pt"})
    write_json(folder / "config.json", {**config, "model_type": "bert", "architectures": ["HF_ColBERT"]})
    write_json(folder / "artifact.metadata", {name: value for name, value in said.items() if value is not None})
    return folder


def save_words(folder: Path) -> int:
    """Write a WordPiece tokenizer of single characters with both markers; return how many tokens it has."""
    letters = dict.fromkeys([*LETTERS, *punctuation])
    words = [*SPECIAL, *MARKERS, *letters, *(f"##{letter}" for letter in LETTERS)]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    options = {"tokenizer_class": "BertTokenizer", "model_max_length": 64, "do_lower_case": True}
    write_json(folder / "tokenizer_config.json", options)
    return len(words)


def seeded(name: str, weight: Any, generator: Any) -> Any:
    """Return random numbers of a weight's shape: around 1 where a layer norm scales."""
    import torch

    numbers = torch.randn(weight.shape, generator=generator) * (0.1 if weight.dim() == 1 else 0.3)
    return numbers + 1 if name.endswith("LayerNorm.weight") else numbers


def save_pylate(folder: Path, checkpoint: Path, **changes: Any) -> Path:
    """Save what PyLate saves of a ColBERT checkpoint: a Transformer, its own Dense, and all else in one file."""
    from safetensors.torch import load_file, save_file

    said = json.loads((checkpoint / "artifact.metadata").read_text())
    shutil.copytree(checkpoint, folder, dirs_exist_ok=True)
    (folder / "artifact.metadata").unlink()
    weights = load_file(checkpoint / "model.safetensors")
    head = weights.pop("linear.weight")
    bare = {name.removeprefix("bert."): weight for name, weight in weights.items()}
    save_file(bare, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", {**config, "architectures": ["BertModel"]})
    types = {"": "sentence_transformers.models.Transformer", "1_Dense": "pylate.models.Dense.Dense"}
    write_json(folder / "modules.json", [
        {"idx": place, "name": str(place), "path": path, "type": kind}
        for place, (path, kind) in enumerate(types.items())
    ])  # fmt: skip
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": said["doc_maxlen"] - 1, "do_lower_case": False})
    write_json(folder / "config_sentence_transformers.json", {
        "prompts": {}, "default_prompt_name": None, "similarity_fn_name": "MaxSim",
        "query_prefix": said["query_token_id"], "document_prefix": said["doc_token_id"],
        "query_length": said["query_maxlen"], "document_length": said["doc_maxlen"],
        "attend_to_expansion_tokens": said["attend_to_mask_tokens"], "skiplist_words": list(punctuation), **changes,
    })  # fmt: skip
    save_dense(folder / "1_Dense", head)
    return folder


def save_dense(folder: Path, head: Any, **said: Any) -> None:
    """Save a linear layer without bias as a Dense module."""
    from safetensors.torch import save_file

    sizes = {"in_features": head.shape[1], "out_features": head.shape[0], "bias": False}
    write_json(folder / "config.json", {**sizes, "activation_function": "torch.nn.modules.linear.Identity", **said})
    save_file({"linear.weight": head}, folder / "model.safetensors")
