"""Token ids of queries, by the tokenizers library alone: at batch 1 what lies around it costs more than the model."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fmbench.encoder.tokens import check_room, load_tokenizer

from .published import read_query_side

Place = Callable[[dict[str, Tensor]], dict[str, Tensor]]  # a backend's `place`: tensors to the device


def here(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Leave a batch where it is."""
    return batch


class QueryTokenizer:
    """A fast tokenizer that puts a prompt before each text, cuts at `length` tokens and does not pad."""

    def __init__(self, origin: Any, length: int, special_tokens: bool = True, prompt: str = "") -> None:
        """Take a fast tokenizer of transformers, which is changed: it cuts at `length` and no longer pads."""
        self.origin = origin
        self.backend = origin.backend_tokenizer
        self.backend.no_padding()
        self.special_tokens = special_tokens
        self.length = length
        self.begin_with(prompt)

    def shorten(self, length: int) -> None:
        """Cut at so many tokens from now on. Raises UsageError where the prompt leaves none for a text."""
        self.length = length
        self.begin_with(self.prompt)

    def begin_with(self, prompt: str) -> None:
        """Put a prompt before each text from now on. Raises UsageError where it leaves no token for a text."""
        side = self.origin.truncation_side
        self.backend.no_truncation()
        check_room(self.backend, prompt, self.length, side, self.special_tokens)
        self.backend.enable_truncation(self.length, direction=side)
        self.prompt = prompt

    @classmethod
    def from_folder(cls, folder: Path, length: int, special_tokens: bool = True) -> "QueryTokenizer":
        """Load the tokenizer of a query encoder's folder. Raises UsageError where it has no fast one."""
        return cls(load_tokenizer(read_query_side(folder).folder), length, special_tokens)

    def ids(self, text: str) -> list[int]:
        """Return the token ids of one text."""
        return self.backend.encode(self.prompt + text, add_special_tokens=self.special_tokens).ids

    def all_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of many texts."""
        prompted = [self.prompt + text for text in texts]
        return [one.ids for one in self.backend.encode_batch(prompted, add_special_tokens=self.special_tokens)]


def padded(rows: Sequence[Sequence[int]], longest: int = 0) -> tuple[Tensor, Tensor]:
    """Return ids (n, tokens), filled up with 0 to the longest row or further, and their mask of ones and zeros.

    The mask says which ids count, so that the filling may be any id.
    """
    if len(rows) == 1 and len(rows[0]) >= max(1, longest):  # a query in service: the quick way
        ids = torch.tensor(rows, dtype=torch.long)
        return ids, torch.ones_like(ids)
    length = max(1, longest, *map(len, rows))
    ids = torch.zeros((len(rows), length), dtype=torch.long)
    mask = torch.zeros((len(rows), length), dtype=torch.long)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[number, : len(row)] = 1
    return ids, mask
