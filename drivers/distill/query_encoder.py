"""A query encoder in service: text in, vector on the host out, on any platform."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fmbench.backend import Backend
from fmbench.recurrent import RecurrentStudent, State
from fmbench.student import Student

from .tokens import QueryTokenizer, padded

if TYPE_CHECKING:
    import numpy as np

    from fmbench.options import Arguments


@dataclass(frozen=True)
class Begun:
    """A query up to its last word: the state after so many tokens, and the word."""

    state: State | None
    tokens: int
    word: str


class Normalised(nn.Module):
    """A student as a platform runs it: its normalised vectors, and nothing that only training needs."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student
        self.config = getattr(student, "config", None)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return normalised vectors (n, dimensions)."""
        return self.student.vectors(input_ids, attention_mask)


class QueryEncoder:
    """Calls are what a search service does for a query: tokenise, place, compute, and bring the vector back.

    Where the platform wants fixed shapes, queries are padded to the tokenizer's length.
    """

    def __init__(self, student: Student, tokenizer: QueryTokenizer, platform: Backend, arguments: "Arguments") -> None:
        self.student, self.tokenizer, self.platform = student.eval(), tokenizer, platform
        self._fixed = tokenizer.length if platform.fixed_shapes(arguments) else 0
        self._forward = platform.prepare(Normalised(student), arguments)

    def __call__(self, text: str) -> "np.ndarray":
        """Return one query's vector, float32 of shape (dimensions)."""
        return self.vectors([self.tokenizer.ids(text)])[0]

    def begin(self, text: str) -> Begun:
        """Read a query up to its last word, as it is typed. Recurrent students only."""
        start, _, word = text.rstrip().rpartition(" ")
        with torch.inference_mode():
            ids = self.tokenizer.ids(start)
            return Begun(self._recurrent().advance(self._placed(ids)) if ids else None, len(ids), word)

    def finish(self, begun: Begun) -> "np.ndarray":
        """Return the vector, float32 of shape (dimensions), once the last word is there."""
        with torch.inference_mode():
            ids = self.tokenizer.ids(begun.word)[: self.tokenizer.length - begun.tokens]
            state = begun.state
            if ids:
                state = self._recurrent().advance(self._placed(ids), state)
            if state is None:
                return self.vectors([[]])[0]
            vector = self._recurrent().vectors_of_state(state)
            self.platform.synchronize()
            return vector.cpu().float().numpy()[0]

    def _recurrent(self) -> RecurrentStudent:
        if not isinstance(self.student, RecurrentStudent):
            raise TypeError(f"a {type(self.student).__name__} needs the whole query")
        return self.student

    def _placed(self, ids: Sequence[int]) -> Tensor:
        return self.platform.place({"input_ids": torch.tensor([ids], dtype=torch.long)})["input_ids"]

    def many(self, texts: Sequence[str], batch_size: int = 64) -> "np.ndarray":
        """Return the vectors of many queries, float32 of shape (n, dimensions), in their order."""
        import numpy as np

        rows = self.tokenizer.all_ids(texts)
        order = sorted(range(len(rows)), key=lambda position: len(rows[position]))
        found = np.empty((len(rows), self.student.dimensions), dtype=np.float32)
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            found[batch] = self.vectors([rows[position] for position in batch])
        return found

    def vectors(self, rows: Sequence[Sequence[int]]) -> "np.ndarray":
        """Return the vectors of token ids."""
        with torch.inference_mode() if self.platform.inference_mode else torch.no_grad():
            ids, mask = padded(rows, longest=self._fixed)
            placed = self.platform.place({"input_ids": ids, "attention_mask": mask})
            vectors: Any = self._forward(placed)
            self.platform.synchronize()
            return vectors.cpu().float().numpy()
