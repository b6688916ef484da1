"""The score of a task by its vectors, and the same score of any resample of its items.

What takes long (a classifier, clusters) is made once; a resample counts its outcomes. So an interval is about the
items, as in retrieval it is about the queries; two configurations are compared on the same resamples.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from fmbench.errors import FmbenchError
from fmbench.resampling import Interval, percentiles

from .local import Task

RESAMPLES = 1000
ITERATIONS = 1000  # of the logistic regression, at most
DIGITS = 6  # of a similarity that float32 vectors hold: beyond them, equal texts would be ordered by rounding
METRICS = {
    "sts": "spearman", "pair_classification": "average_precision", "classification": "accuracy",
    "clustering": "v_measure", "reranking": "mean_average_precision", "bitext": "accuracy",
}  # fmt: skip

Encode = Callable[[Sequence[str], str | None], np.ndarray]  # texts and their role, None for neither


@dataclass(frozen=True)
class Scored:
    """A task's score, and how to score a resample: an array of the numbers of items, each as often as it was drawn."""

    items: int
    of: Callable[[np.ndarray], float]
    _resampled: dict[int, np.ndarray] = field(default_factory=dict, compare=False, repr=False)

    @property
    def score(self) -> float:
        """The score of all items."""
        return self.of(np.arange(self.items))

    def resampled(self, seed: int) -> np.ndarray:
        """Return the scores of resamples of the items (see `draws`), computed once."""
        if seed not in self._resampled:
            self._resampled[seed] = np.array([self.of(drawn) for drawn in draws(self.items, seed)])
        return self._resampled[seed]


def score_task(task: Task, encode: Encode, similarity: str, seed: int) -> Scored:
    """Return the score of a task's vectors, from -1 to 1. `similarity` is `dot` or `cosine`."""
    found = SCORERS[task.type](task, encode, similarity, seed)
    return Scored(found.items, lambda drawn: float(np.clip(found.of(drawn), -1, 1)))  # sums may round beyond


def spearman(task: Task, encode: Encode, similarity: str, seed: int) -> Scored:
    """Spearman's correlation of the similarity of two sentences with their score (Spearman, 1904)."""
    from scipy.stats import spearmanr

    found, wanted = pair_similarities(task, encode, similarity), np.array(task.column("score"))
    if is_alike(found):
        raise FmbenchError("all pairs are equally similar; there is no order to agree with")

    def of(drawn: np.ndarray) -> float:
        if is_alike(found[drawn]) or is_alike(wanted[drawn]):
            return np.nan
        return float(spearmanr(found[drawn], wanted[drawn]).statistic)

    return Scored(len(wanted), of)


def average_precision(task: Task, encode: Encode, similarity: str, seed: int) -> Scored:
    """Average precision of the pairs with label 1, in the order of their similarity."""
    from sklearn.metrics import average_precision_score

    found, wanted = pair_similarities(task, encode, similarity), np.array(task.column("label"))

    def of(drawn: np.ndarray) -> float:
        return np.nan if is_alike(wanted[drawn]) else float(average_precision_score(wanted[drawn], found[drawn]))

    return Scored(len(wanted), of)


def classification(task: Task, encode: Encode, similarity: str, seed: int) -> Scored:
    """Accuracy of a logistic regression on the vectors, learned from all training items."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=ITERATIONS, random_state=seed)
    model.fit(encode([item["text"] for item in task.train], None), [item["label"] for item in task.train])
    right = model.predict(encode(task.column("text"), None)) == np.array(task.column("label"))
    return Scored(len(right), lambda drawn: float(right[drawn].mean()))


def clustering(task: Task, encode: Encode, similarity: str, seed: int) -> Scored:
    """V-measure of k-means clusters, as many as there are labels (Rosenberg and Hirschberg, 2007)."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import v_measure_score

    labels = np.array(task.column("label"))
    model = KMeans(len(set(task.column("label"))), n_init=10, random_state=seed)
    found = model.fit_predict(encode(task.column("text"), None))

    def of(drawn: np.ndarray) -> float:
        return np.nan if is_alike(labels[drawn]) else float(v_measure_score(labels[drawn], found[drawn]))

    return Scored(len(labels), of)


def reranking(task: Task, encode: Encode, similarity: str, seed: int) -> Scored:
    """Mean over queries of the average precision of their positives among all their candidates."""
    from sklearn.metrics import average_precision_score

    queries = encode(task.column("query"), "query")
    values = []
    for query, item in zip(queries, task.items, strict=True):
        texts = [*item["positive"], *item["negative"]]
        wanted = [1] * len(item["positive"]) + [0] * len(item["negative"])
        products = similarities(np.repeat(query[None], len(texts), 0), encode(texts, "passage"), similarity)
        values.append(float(average_precision_score(wanted, products)))
    found = np.array(values)
    return Scored(len(found), lambda drawn: float(found[drawn].mean()))


def bitext(task: Task, encode: Encode, similarity: str, seed: int) -> Scored:
    """The share of first sentences whose nearest second sentence is their own."""
    first, second = encode(task.column("sentence1"), None), encode(task.column("sentence2"), None)
    if similarity == "cosine":
        first, second = unit(first), unit(second)
    right = (first @ second.T).argmax(axis=1) == np.arange(len(first))
    return Scored(len(right), lambda drawn: float(right[drawn].mean()))


SCORERS: dict[str, Callable[[Task, Encode, str, int], Scored]] = {
    "sts": spearman, "pair_classification": average_precision, "classification": classification,
    "clustering": clustering, "reranking": reranking, "bitext": bitext,
}  # fmt: skip


def pair_similarities(task: Task, encode: Encode, similarity: str) -> np.ndarray:
    """Return the similarity (n,) of the two sentences of each item."""
    return similarities(encode(task.column("sentence1"), None), encode(task.column("sentence2"), None), similarity)


def similarities(one: np.ndarray, other: np.ndarray, similarity: str) -> np.ndarray:
    """Return the similarities (n,) of corresponding vectors, rounded to DIGITS: of 1, or of the longest product."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    if similarity == "cosine":
        one, other = unit(one), unit(other)
    longest = float((np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)).max(initial=0.0)) or 1.0
    return np.round(np.einsum("ij,ij->i", one, other) / longest, DIGITS) * longest


def is_alike(values: np.ndarray) -> bool:
    """Whether all values are one: of such a resample there is no score."""
    return bool((values == values[0]).all())


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of length one; those of length 0 stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def draws(items: int, seed: int) -> Iterator[np.ndarray]:
    """Yield resamples of so many items, the same ones for every configuration."""
    generator = np.random.default_rng(seed)
    for _ in range(RESAMPLES):
        yield generator.integers(0, items, items)


def interval(scored: Scored, seed: int) -> tuple[Interval | None, int]:
    """Return the 95% bootstrap interval of a score over items (Efron, 1979), and how many resamples have a score.

    The interval is None where half of them have none.
    """
    values = scored.resampled(seed)
    return interval_of(values), int(np.isfinite(values).sum())


def change(a: Scored, b: Scored, seed: int) -> tuple[float, Interval | None]:
    """Return by how much B's score is above A's, and the 95% interval of that over the same resamples of the items."""
    return b.score - a.score, interval_of(b.resampled(seed) - a.resampled(seed))


def share_interval(pairs: Sequence[tuple[Scored, Scored]], seed: int) -> Interval | None:
    """Return the 95% interval of the mean over tasks of B's share of A's score, over resamples of each task's items."""
    shares = []
    for a, b in pairs:
        base = a.resampled(seed)
        shares.append(np.divide(b.resampled(seed), base, out=np.full(RESAMPLES, np.nan), where=base > 0))
    return interval_of(np.mean(shares, axis=0))


def interval_of(values: np.ndarray) -> Interval | None:
    """Return the interval of resamples; those that have no score (one label alone was drawn) are left out."""
    known = values[np.isfinite(values)]
    return percentiles(known) if len(known) > len(values) / 2 else None
