"""The module that sentence-transformers loads for a recurrent student. Imported by that library only."""

import json
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import load_file, save
from sentence_transformers.models import Module
from tokenizers import Tokenizer
from torch.nn.utils.rnn import pad_sequence

from fmbench.encoder.network import RecurrentNetwork
from fmbench.whole_file import write_whole


class RecurrentModule(Module):
    """Texts to the vectors of a recurrent student, not normalised."""

    save_in_root = False

    def __init__(self, student: RecurrentNetwork, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.student = student
        self.tokenizer = tokenizer
        self.max_seq_length = (tokenizer.truncation or {}).get("max_length")

    def tokenize(self, texts: list[str], **_: Any) -> dict[str, torch.Tensor]:
        """Return the token ids of texts, as sentence-transformers 5 asks."""
        found = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        rows = [torch.tensor(one.ids or [0]) for one in found]  # one token that does not count, where there is none
        masks = [torch.full_like(row, int(bool(one.ids))) for one, row in zip(found, rows, strict=True)]
        return {"input_ids": pad_sequence(rows, True), "attention_mask": pad_sequence(masks, True)}

    def preprocess(self, inputs: list[str], prompt: str | None = None, **_: Any) -> dict[str, torch.Tensor]:
        """Return the token ids of texts, as sentence-transformers 6 asks."""
        return self.tokenize([f"{prompt or ''}{text}" for text in inputs])

    def forward(self, features: dict[str, torch.Tensor], **_: Any) -> dict[str, torch.Tensor]:
        """Add the vectors to the features."""
        features["sentence_embedding"] = self.student(features["input_ids"], features["attention_mask"])
        return features

    def get_sentence_embedding_dimension(self) -> int:
        """Return the size of a vector."""
        return self.student.dimensions

    get_embedding_dimension = get_sentence_embedding_dimension

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", **_: Any) -> Self:
        """Load a module's folder."""
        folder = Path(model_name_or_path, subfolder)
        student = RecurrentNetwork.empty(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        student.load_state_dict(load_file(folder / "model.safetensors"))
        return cls(student.eval(), Tokenizer.from_file(str(folder / "tokenizer.json")))

    def save(self, output_path: str, *_: Any, **__: Any) -> None:
        """Write a module's folder; `load` reads it."""

        folder = Path(output_path)
        tensors = {name: one.contiguous() for name, one in self.student.state_dict().items()}
        write_whole(folder / "model.safetensors", save(tensors))
        write_whole(folder / "config.json", json.dumps(self.student.settings(), indent=2).encode())
        self.tokenizer.save(str(folder / "tokenizer.json"))
