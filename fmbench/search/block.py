"""The unit that a search takes documents in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive documents of a corpus: their ids, and one row a document of shape (n, d).

    The vectors are float16 or float32 and may be memory-mapped. Any other type is rounded to float32 first.
    """

    ids: Sequence[str]
    vectors: np.ndarray
