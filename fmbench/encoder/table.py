"""A table of token vectors as an encoder of queries: tokens, the sum of their rows, unit length, all on the host.

It imports neither torch nor transformers: a query takes some tens of microseconds, most of them for its tokens.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fmbench.console import note
from fmbench.errors import UsageError, first_line
from fmbench.json_file import read_required
from fmbench.tensor_file import map_tensors

from .plan import EncoderPlan
from .steps import weights_file
from .tokens import check_room

LONGEST = 512  # tokens, where a tokenizer that stands alone says nothing


class TableEncoder:
    """The mean of a text's rows, normalised; a text without tokens gives zeros. Calls from several threads are safe."""

    def __init__(self, rows: np.ndarray, rules: Any, prompt: str, normalise: bool = True) -> None:
        """Take the table (tokens, dimensions) in float32, and what `read_rules` returns.

        Raises UsageError for tokens that have no row.
        """
        self.rows, self.prompt, self.normalise = rows, prompt, normalise
        self.dimensions: int = rows.shape[1]
        self.max_length: int = rules.truncation["max_length"]
        known = rules.get_vocab_size()
        if known > len(rows):
            raise UsageError(f"the tokenizer knows {known:,} tokens and the table has {len(rows):,} rows")
        self.rules = rules

    @classmethod
    def load(cls, plan: EncoderPlan) -> "TableEncoder":
        """Load a folder's table and tokenizer, for queries. Raises UsageError."""
        folder, prompt = plan.folder.first, plan.prompt("query")
        return cls(read_table(folder, plan.folder.recipe.truncate_dim), read_rules(folder, None, prompt), prompt)

    def __call__(self, text: str) -> np.ndarray:
        """Return one query's vector, float32 of shape (dimensions)."""
        return self.vector(self.tokens([text])[0])

    def many(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """Return the vectors of many queries, float32 of shape (n, dimensions); `batch_size` are tokenised at once."""
        found = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for start in range(0, len(texts), batch_size):
            for place, ids in enumerate(self.tokens(texts[start : start + batch_size]), start):
                found[place] = self.vector(ids)
        return found

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, after the prompt."""
        prompted = [self.prompt + text for text in texts]
        if len(prompted) == 1:  # in this thread: those that share a batch sleep between queries, and take long to wake
            return [self.rules.encode(prompted[0], add_special_tokens=False).ids]
        return [one.ids for one in self.rules.encode_batch_fast(prompted, add_special_tokens=False)]

    def vector(self, ids: list[int]) -> np.ndarray:
        """Return the vector of some tokens; the direction of the sum of their rows is that of the mean."""
        if not ids:
            return np.zeros(self.dimensions, dtype=np.float32)
        total: np.ndarray = np.add.reduce(self.rows.take(ids, axis=0))
        return total / ((math.sqrt(total.dot(total)) or 1.0) if self.normalise else len(ids))


def read_table(folder: Path, truncate_dim: int | None = None) -> np.ndarray:
    """Return a folder's table (tokens, dimensions) in float32, mapped from its file where it lies there like that.

    Where it has a mapping or weights of its tokens beside it (model2vec), a token's row is
    `embeddings[mapping[token]] * weights[token]`. Raises UsageError where there are none.
    """
    path = weights_file(folder)
    try:
        tensors = map_tensors(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: not readable ({first_line(error)})") from None
    rows = tensors.get("embedding.weight")
    if rows is None:
        table, mapping, weights = (tensors.get(name) for name in ("embeddings", "mapping", "weights"))
        if table is None:
            raise UsageError(f"{folder}: holds no embedding.weight")
        rows = table if mapping is None else table[mapping]
        rows = rows if weights is None else rows.astype(np.float32) * weights.astype(np.float32)[:, None]
    if truncate_dim is not None and truncate_dim > rows.shape[1]:
        raise UsageError(f"--truncate_dim {truncate_dim}: the vectors have {rows.shape[1]} numbers; give at most that")
    return np.asarray(rows[:, :truncate_dim], dtype=np.float32)


def read_rules(folder: Path, length: int | None, prompt: str) -> Any:
    """Load a tokenizer.json that stands alone, a `tokenizers.Tokenizer` that cuts at `length` or as it says itself.

    Raises UsageError, also where the prompt leaves no room for a text.
    """
    import tokenizers

    path = folder / "tokenizer.json"
    read_required(path)
    try:
        rules = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain ones
        raise UsageError(f"{path}: no tokenizer to be loaded ({first_line(error)})") from None
    own = rules.truncation or {}
    kept, side = length or own.get("max_length"), own.get("direction", "right")
    if kept is None:
        note(f"{path} has no maximum length; queries are cut at {LONGEST} tokens")
    rules.no_padding()
    rules.no_truncation()
    check_room(rules, prompt, kept or LONGEST, side, special_tokens=False)
    rules.enable_truncation(kept or LONGEST, direction=side)
    return rules
