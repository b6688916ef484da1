"""A tiny teacher in the layout of sentence-transformers: two layers, real tokenizer, random weights."""

import json
import random
from pathlib import Path

WORDS = (  # noqa: SIM905 (a list of words is easier to read so)
    "wing flow shock wave heat layer boundary pressure drag lift plate cone jet nozzle wake gas air speed body nose "
    "angle mach laminar turbulent transfer surface theory test model tunnel the of a in on and for with at by"
).split()


def queries() -> list[str]:
    """Return 200 queries of 2 to 9 words, all different."""
    draw = random.Random(7)
    return sorted({" ".join(draw.choices(WORDS, k=draw.randint(2, 9))) for _ in range(200)})


def write_collection(folder: Path) -> Path:
    """Write 60 documents and 30 queries in BEIR's layout; train.tsv judges 20 of them, test.tsv 10 others.

    The first train query says what the first test query says.
    """
    draw = random.Random(11)
    (folder / "qrels").mkdir(parents=True)
    documents = [
        {"_id": f"d{number}", "title": " ".join(draw.sample(WORDS, 3)), "text": f"{words(draw, 9)}. {words(draw, 6)}."}
        for number in range(60)
    ]
    asked = [{"_id": f"q{number}", "text": words(draw, 5)} for number in range(30)]
    asked[0]["text"] = asked[20]["text"].upper() + " ?"
    write_rows(folder / "corpus.jsonl", documents)
    write_rows(folder / "queries.jsonl", asked)
    for split, numbers in (("train", range(20)), ("test", range(20, 30))):
        rows = [f"q{number}\td{draw.randrange(60)}\t1" for number in numbers]
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *rows]) + "\n")
    return folder


def words(draw: random.Random, count: int) -> str:
    return " ".join(draw.choices(WORDS, k=count)).capitalize()


def write_rows(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_teacher(folder: Path, seed: int = 1) -> Path:
    """Write a teacher: mean pooling, normalised, 64 tokens; return its folder."""
    import torch
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "##s", "##ing", *"abcdefghijklmnopqrstuvwxyz"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    tokenizer = transformers.BertTokenizerFast(vocab={word: number for number, word in enumerate(vocabulary)})
    tokenizer.model_max_length = 64
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
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
