"""Are they the right vectors? Answers of a run against each other and against the model's own vectors in float32."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fmbench.precision import spelled

from .answers import Answers
from .references import Reference

if TYPE_CHECKING:
    import numpy as np

ONE = 1e-3  # of a length
EXACT = ("float32", "bfloat16", "float16")
CUT = 128  # characters: no model cuts before them
ASKED = 64  # wrong vectors that are looked at more closely


@dataclass(frozen=True, slots=True)
class Row:
    """The vector of one text, and all texts of its request."""

    text: str
    vector: "np.ndarray"
    texts: Sequence[str]


def verdict(
    answers: Answers, dimension: int, least: float, reference: Reference | None, dtype: str | None
) -> dict[str, Any]:
    """Return what a VEC line says of the answers of a run; `dtype` is what the service says that it computes in.

    `verdict` is `right`, `wrong`, or `consistent` where there is no reference and nothing contradicts itself. A vector
    has one fault: the first that is found.
    """
    import numpy as np

    faults = Counter[str]()
    rows = list(usable(answers, dimension, faults))
    norms = np.array([norm(row.vector) for row in rows])
    again, unlike = repeated(rows, least)
    said: dict[str, Any] = {
        "answers": len(answers.found) + len(answers.unread),
        "expected": len(rows) + faults.total(),
        "vectors": len(rows),
        "norms": [float(norms.min()), float(norms.max())] if len(norms) else None,
        "normalised": bool(np.all(np.abs(norms - 1) < ONE)) if len(norms) else None,
        **again,
    }
    found: dict[int, str] = {}
    if reference is not None and rows:
        held, found = held_against(rows, reference, least, least_median(least, dtype))
        said |= held
    found = dict.fromkeys(unlike, "same text, other vector") | found
    if reference is None:
        found = dict.fromkeys(shared(rows), "other text, same vector") | found
    elif rows and said["reference_normalised"]:
        long = np.flatnonzero(np.abs(norms - 1) >= ONE).tolist()
        found = dict.fromkeys(long, "not normalised") | found
    faults.update(found.values())
    right = "right" if reference is not None and rows else "consistent"
    return {**said, "least": least, "faults": dict(faults), "verdict": "wrong" if faults or not rows else right}


def usable(answers: Answers, dimension: int, faults: dict[str, int]) -> Iterator[Row]:
    """Yield the vectors that can be looked at, and count those that cannot, or did not come, by what is wrong."""
    import numpy as np

    payload = answers.payload.texts
    for body in answers.unread:
        faults["unreadable"] += len(payload[body])
    for body, vectors in answers.found:
        texts = payload[body]
        if len(vectors) != len(texts) or vectors.shape[1] != dimension:
            faults["wrong count" if len(vectors) != len(texts) else "wrong dimension"] += len(texts)
            continue
        for text, vector in zip(texts, vectors, strict=True):
            if not np.isfinite(vector).all() or not vector.any():
                faults["zero" if np.isfinite(vector).all() else "NaN"] += 1
            else:
                yield Row(text, vector, texts)


def shared(rows: Sequence[Row]) -> list[int]:
    """Return which vectors are, bit by bit, that of a text before them that a model has to tell from theirs.

    Models fold case and accents, and cut: texts that are then the same may share theirs.
    """
    first: dict[bytes, str] = {}
    told = [told_by(row.text) for row in rows]
    return [
        place for place, row in enumerate(rows) if first.setdefault(row.vector.tobytes(), told[place]) != told[place]
    ]


def told_by(text: str) -> str:
    """Return what of a text every model sees: its first letters and digits, folded."""
    return re.sub(r"\W+", "", unicodedata.normalize("NFKD", text[:CUT]).casefold())


def repeated(rows: Sequence[Row], least: float) -> tuple[dict[str, Any], list[int]]:
    """Return how alike the vectors of the same text are: how many came again, bitwise equal ones, the least cosine.

    And which are unlike the first of their text.
    """
    import numpy as np

    first: dict[str, np.ndarray] = {}
    cosines: dict[int, float] = {}
    equal = 0
    for place, row in enumerate(rows):
        if row.text in first:
            cosines[place] = cosine(first[row.text], row.vector)
            equal += bool(np.array_equal(first[row.text], row.vector))
        first.setdefault(row.text, row.vector)
    said = {"repeated": len(cosines), "repeated_equal": equal}
    unlike = [place for place, one in cosines.items() if one < least]
    return {**said, "repeated_least_cosine": min(cosines.values(), default=None)}, unlike


def held_against(
    rows: Sequence[Row], reference: Reference, least: float, median: float | None
) -> tuple[dict[str, Any], dict[int, str]]:
    """Return the cosines with the reference's vectors, and which vectors are others, and why.

    Below `least` a vector is another one; where most are below `median`, all are that are.
    """
    import numpy as np

    known = reference.vectors([row.text for row in rows])
    own = known[rows[0].text]
    if len(own) != len(rows[0].vector):
        return {"reference_normalised": None}, dict.fromkeys(range(len(rows)), "wrong dimension")
    found = np.array([cosine(known[row.text], row.vector) for row in rows])
    shifted = median is not None and float(np.median(found)) < median
    least = median if shifted and median is not None else least
    wrong = np.flatnonzero(found < least).tolist()
    names = reasons([rows[place] for place in wrong[:ASKED]], reference, known, least, shifted) if wrong else ()
    said = {
        "reference": reference.name,
        "reference_dtype": reference.dtype,
        "reference_normalised": bool(abs(norm(own) - 1) < ONE) if reference.as_long else None,
        "role": reference.role,
        "least_cosine": float(found.min()),
        "mean_cosine": float(found.mean()),
        "median_cosine": float(np.median(found)),
        "least_median": median,
    }
    return said, {**dict.fromkeys(wrong, "wrong"), **dict(zip(wrong, names, strict=False))}


def least_median(least: float, dtype: str | None) -> float | None:
    """Return the cosine that most vectors of a service pass: ten times nearer to 1 than a single one has to be.

    None for a service that says that it computes in a type whose noise is larger.
    """
    return 1 - (1 - least) / 10 if dtype is None or spelled(dtype) in EXACT else None


def reasons(
    wrong: Sequence[Row], reference: Reference, known: "Mapping[str, np.ndarray]", least: float, shifted: bool
) -> Iterator[str]:
    """Yield why a vector is another one: that of its neighbour, of another prompt or length; else it is corrupt, or,
    where most are, shifted.

    A reference that does not know other prompts and lengths leaves open whether a single one is corrupt: `wrong`.
    """
    tries = list(reference.others([row.text for row in wrong]))
    other = "shifted" if shifted else "corrupt" if tries else "wrong"
    for row in wrong:
        neighbours = {one for one in row.texts if one != row.text and one in known}
        if any(cosine(known[one], row.vector) >= least for one in neighbours):
            yield "wrong order"
        else:
            yield next((name for name, tried in tries if cosine(tried[row.text], row.vector) >= least), other)


def norm(vector: "np.ndarray") -> float:
    """Return the length of a vector; in float32 that of a large one has none."""
    import numpy as np

    return float(np.linalg.norm(vector.astype(np.float64)))


def cosine(one: "np.ndarray", other: "np.ndarray") -> float:
    """Return the cosine of two vectors, 0 where one has no length."""
    import numpy as np

    length = norm(one) * norm(other)
    return float(one.astype(np.float64) @ other.astype(np.float64)) / length if length else 0.0
