"""Are they the right vectors? Answers of a run against each other and against the model's own vectors in float32."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
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


def verdict(
    answers: Answers, dimension: int, least: float, reference: Reference | None, dtype: str | None
) -> dict[str, Any]:
    """Return what a VEC line says of the answers of a run; `dtype` is what the service says that it computes in.

    `verdict` is `right`, `wrong`, or `consistent` where there is no reference and nothing contradicts itself.
    """
    import numpy as np

    faults: dict[str, int] = {"unreadable": len(answers.faults)} if answers.faults else {}
    rows: list[tuple[str, np.ndarray]] = []
    batches: list[list[tuple[str, np.ndarray]]] = []
    for body, vectors in answers.found:
        texts = answers.payload.texts[body]
        if fault := shape_fault(vectors, len(texts), dimension):
            faults[fault] = faults.get(fault, 0) + 1
            continue
        batches.append(list(zip(texts, vectors, strict=True)))
        rows += batches[-1]
    norms = np.array([np.linalg.norm(vector) for _, vector in rows])
    said: dict[str, Any] = {
        "answers": len(answers.found) + len(answers.faults),
        "vectors": len(rows),
        "norms": [float(norms.min()), float(norms.max())] if len(norms) else None,
        "normalised": bool(np.all(np.abs(norms - 1) < ONE)) if len(norms) else None,
        **repeated(rows, faults, least),
    }
    if reference is None and (alike := shared(rows)):
        faults["other text, same vector"] = alike
    if reference is not None and rows:
        said |= held_against(batches, reference, least, least_median(least, dtype), faults)
        if said["normalised"] is False and said["reference_normalised"]:
            faults["not normalised"] = int(np.sum(np.abs(norms - 1) >= ONE))
    right = "right" if reference is not None and rows else "consistent"
    return {**said, "least": least, "faults": faults, "verdict": "wrong" if faults or not rows else right}


def shape_fault(vectors: "np.ndarray", count: int, dimension: int) -> str | None:
    """Return what is wrong with the vectors of an answer as a whole, or None."""
    import numpy as np

    if len(vectors) != count:
        return "wrong count"
    if vectors.shape[1] != dimension:
        return "wrong dimension"
    if not np.isfinite(vectors).all():
        return "NaN"
    return None if vectors.any(axis=1).all() else "zero"


def shared(rows: "Sequence[tuple[str, np.ndarray]]") -> int:
    """Return how many texts have the vector, bit by bit, of a text before them that a model has to tell from them.

    Models fold case and accents, and cut: texts that are then the same may share theirs.
    """
    first: dict[bytes, str] = {}
    texts = {text: vector.tobytes() for text, vector in rows}
    return sum(first.setdefault(vector, told_by(text)) != told_by(text) for text, vector in texts.items())


def told_by(text: str) -> str:
    """Return what of a text every model sees: its first letters and digits, folded."""
    return re.sub(r"\W+", "", unicodedata.normalize("NFKD", text[:CUT]).casefold())


def repeated(rows: "Sequence[tuple[str, np.ndarray]]", faults: dict[str, int], least: float) -> dict[str, Any]:
    """Return how alike the vectors of the same text are: how many came again, bitwise equal ones, the least cosine."""
    import numpy as np

    first: dict[str, np.ndarray] = {}
    cosines: list[float] = []
    equal = 0
    for text, vector in rows:
        if text in first:
            cosines.append(cosine(first[text], vector))
            equal += bool(np.array_equal(first[text], vector))
        first.setdefault(text, vector)
    if (unlike := sum(one < least for one in cosines)) > 0:
        faults["same text, other vector"] = unlike
    return {"repeated": len(cosines), "repeated_equal": equal, "repeated_least_cosine": min(cosines, default=None)}


def held_against(
    batches: "Sequence[Sequence[tuple[str, np.ndarray]]]",
    reference: Reference,
    least: float,
    median: float | None,
    faults: dict[str, int],
) -> dict[str, Any]:
    """Return the cosines with the reference's vectors, and note what is wrong with those that are others.

    Below `least` a vector is another one; where most are below `median`, all are that are.
    """
    import numpy as np

    known = reference.vectors([text for batch in batches for text, _ in batch])
    width = batches[0][0][1].shape[0]
    length = float(np.linalg.norm(known[batches[0][0][0]]))
    if len(next(iter(known.values()))) != width:
        faults["wrong dimension"] = sum(map(len, batches))
        return {"reference_normalised": None}
    found = np.array([cosine(known[text], vector) for batch in batches for text, vector in batch])
    shifted = median is not None and float(np.median(found)) < median
    least = median if shifted and median is not None else least
    wrong = [
        (text, vector, batch)
        for batch in batches
        for text, vector in batch
        if cosine(known[text], vector) < least
    ]  # fmt: skip
    if wrong:
        for name in reasons(wrong[:ASKED], reference, known, least, shifted):
            faults[name] = faults.get(name, 0) + 1
        faults["wrong"] = len(wrong)
    return {
        "reference": reference.name,
        "reference_dtype": reference.dtype,
        "reference_normalised": bool(abs(length - 1) < ONE) if reference.as_long else None,
        "role": reference.role,
        "least_cosine": float(found.min()),
        "mean_cosine": float(found.mean()),
        "median_cosine": float(np.median(found)),
        "least_median": median,
    }


def least_median(least: float, dtype: str | None) -> float | None:
    """Return the cosine that most vectors of a service pass: ten times nearer to 1 than a single one has to be.

    None for a service that says that it computes in a type whose noise is larger.
    """
    return 1 - (1 - least) / 10 if dtype is None or spelled(dtype) in EXACT else None


def reasons(
    wrong: "Sequence[tuple[str, np.ndarray, Sequence[tuple[str, np.ndarray]]]]",
    reference: Reference,
    known: "Mapping[str, np.ndarray]",
    least: float,
    shifted: bool,
) -> Iterator[str]:
    """Yield why a vector is another one: that of its neighbour, of another prompt or length; else it is corrupt, or,
    where most are, shifted.

    A reference that does not know other prompts and lengths leaves open whether a single one is corrupt.
    """
    tries = list(reference.others([text for text, _, _ in wrong]))
    for text, vector, batch in wrong:
        others = {one for one, _ in batch if one != text}
        if any(cosine(known[one], vector) >= least for one in others):
            yield "wrong order"
        elif tries or shifted:
            other = "shifted" if shifted else "corrupt"
            yield next((name for name, tried in tries if cosine(tried[text], vector) >= least), other)


def cosine(one: "np.ndarray", other: "np.ndarray") -> float:
    """Return the cosine of two vectors, 0 where one has no length."""
    import numpy as np

    length = float(np.linalg.norm(one)) * float(np.linalg.norm(other))
    return float(one @ other) / length if length else 0.0
