"""The module that sentence-transformers loads for a recurrent student. Imported by that library only."""

import json
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import load_file
from sentence_transformers.models import Module
from tokenizers import Tokenizer

from fmbench.drivers.distill.tokens import padded
from fmbench.recurrent import RecurrentStudent


class RecurrentModule(Module):
    """Texts to the vectors of a recurrent student, not normalised."""

    save_in_root = False

    def __init__(self, student: RecurrentStudent, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.student = student
        self.tokenizer = tokenizer
        self.max_seq_length = (tokenizer.truncation or {}).get("max_length")

    def tokenize(self, texts: list[str], **_: Any) -> dict[str, torch.Tensor]:
        """Return the token ids of texts, as sentence-transformers 5 asks."""
        rows = [one.ids for one in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]
        ids, mask = padded(rows)
        return {"input_ids": ids, "attention_mask": mask}

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
        student = RecurrentStudent.empty(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        student.load_state_dict(load_file(folder / "model.safetensors"))
        return cls(student.eval(), Tokenizer.from_file(str(folder / "tokenizer.json")))

    def save(self, output_path: str, *_: Any, **__: Any) -> None:
        """Write a module's folder; `load` reads it."""
        from fmbench.drivers.distill.folder import write_tensors

        folder = Path(output_path)
        tensors = {name: one.contiguous() for name, one in self.student.state_dict().items()}
        write_tensors(folder / "model.safetensors", tensors)
        (folder / "config.json").write_text(json.dumps(self.student.settings(), indent=2), encoding="utf-8")
        self.tokenizer.save(str(folder / "tokenizer.json"))
