"""What results/choice.yaml needs beside a model and a collection: python results/models.py MODEL COLLECTION FOLDER

Folders of architectures of the catalogue, each its published config.json with the tokenizer of MODEL, since the
catalogue has none: what a token costs is the published model's, how many tokens a text has is another tokenizer's.
Weights are drawn when one is loaded. And `few`, the queries of COLLECTION and the first of its passages, without
judgements, since random weights retrieve nothing.
"""

import json
import shutil
import sys
from pathlib import Path

from fmbench.source import catalogue

NAMES = (
    "ibm-granite/granite-embedding-30m-english",
    "ibm-granite/granite-embedding-125m-english",
    "Alibaba-NLP/gte-modernbert-base",
    "Qwen/Qwen3-Embedding-0.6B",
)
PASSAGES = 64


def write(model: Path, collection: Path, folder: Path) -> None:
    """Write all of it below a folder."""
    for name in NAMES:
        target = folder / name.rpartition("/")[2]
        target.mkdir(parents=True, exist_ok=True)
        (target / "config.json").write_text(json.dumps(catalogue()[name].config, indent=2) + "\n", encoding="utf-8")
        for file in model.glob("tokenizer*.json"):
            shutil.copy(file, target)
    (folder / "few").mkdir(exist_ok=True)
    shutil.copy(collection / "queries.jsonl", folder / "few")
    passages = (collection / "corpus.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)[:PASSAGES]
    (folder / "few" / "corpus.jsonl").write_text("".join(passages), encoding="utf-8")


if __name__ == "__main__":
    write(*map(Path, sys.argv[1:]))
