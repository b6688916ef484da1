"""A tiny model in the layout of sentence-transformers: two layers of random weights, a real tokenizer."""

import json
import random
from pathlib import Path

WORDS = (
    "wing", "flow", "shock", "wave", "heat", "layer", "pressure", "drag", "lift", "plate", "cone", "jet", "nozzle",
    "wake", "gas", "air", "speed", "body", "nose", "mach",
)  # fmt: skip
LENGTH = 64


def write_model(folder: Path, seed: int = 1, hidden_size: int = 32) -> Path:
    """Write the model's folder: mean pooling, normalised, at most 64 tokens."""
    import torch
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    tokenizer = transformers.BertTokenizerFast(vocab={word: number for number, word in enumerate(vocabulary)})
    tokenizer.model_max_length = LENGTH
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=hidden_size, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=LENGTH, initializer_range=0.3,
    )  # fmt: skip
    transformers.BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    names = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{name}"}
        for place, (path, name) in enumerate(names.items())
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": LENGTH, "do_lower_case": False}))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    pooling = {
        "word_embedding_dimension": hidden_size,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_cls_token": False,
    }
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


def write_table(folder: Path, model: Path, length: int = LENGTH, normalised: bool = True, **root: object) -> Path:
    """Write a StaticEmbedding of random rows of 16 numbers with a model's tokenizer; `root` is said of the whole."""
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer

    rules = Tokenizer.from_file(str(model / "tokenizer.json"))
    rules.enable_truncation(length)
    (folder / "0_Static").mkdir(parents=True)
    rules.save(str(folder / "0_Static" / "tokenizer.json"))
    rows = torch.randn(rules.get_vocab_size(), 16, generator=torch.Generator().manual_seed(4))
    save_file({"embedding.weight": rows}, folder / "0_Static" / "model.safetensors")
    names = {"0_Static": "StaticEmbedding", **({"1_Normalize": "Normalize"} if normalised else {})}
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{name}"}
        for place, (path, name) in enumerate(names.items())
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "config_sentence_transformers.json").write_text(json.dumps(root))
    return folder


def write_collection(folder: Path, documents: int = 30, queries: int = 6) -> Path:
    """Write a collection in BEIR's layout: a query is the beginning of the document that is relevant to it."""
    draw = random.Random(3)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(6, 20))) for _ in range(documents)]
    corpus = [{"_id": f"d{place}", "title": "", "text": text} for place, text in enumerate(texts)]
    asked = [{"_id": f"q{place}", "text": " ".join(texts[place].split()[:5])} for place in range(queries)]
    (folder / "qrels").mkdir(parents=True)
    for name, rows in (("corpus", corpus), ("queries", asked)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judged = "".join(f"q{place}\td{place}\t1\n" for place in range(queries))
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")
    return folder
