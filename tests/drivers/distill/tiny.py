"""A tiny teacher's collection: queries to train on, one of which is a test query too, and queries to test with."""

import json
import random
from pathlib import Path

import numpy as np

from fmbench.encoder.tokens import Tokens
from tests.tiny_model import WORDS


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


def tokens_of(rows: list[list[int]]) -> Tokens:
    """Return token ids as a tokenizer has them."""
    starts = np.cumsum([0, *map(len, rows)])
    return Tokens(np.array([one for row in rows for one in row], dtype=np.int64), None, starts)


def words(draw: random.Random, count: int) -> str:
    return " ".join(draw.choices(WORDS, k=count)).capitalize()


def write_rows(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
