"""Two captures, artifact by artifact, in execution order."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from fmbench import facts, host
from fmbench.capture.manifest import DTYPES, Artifact, Manifest
from fmbench.capture.reader import ArtifactReader
from fmbench.errors import UsageError

from .difference import Difference, Tolerance, Verdict, difference
from .drift import Drift, drift

Key = TypeVar("Key", bound=Hashable)
WORKERS = 4  # artifacts at a time: more do not go faster, the memory is what they share
MODEL_FACTS = (facts.DIGEST, facts.MODEL, "weights", "model_source")
SUBJECT = ("texts", "seed", "qrels")  # of two manifests, what must be the same besides the probes


@dataclass(frozen=True, slots=True)
class Row:
    """One artifact of either capture, and what became of it. A tensor that both have has a `difference`, a ranking a
    `drift`; one that a capture lacks has neither, and the verdict `missing`.
    """

    a: Artifact | None
    b: Artifact | None
    difference: Difference | None = None
    drift: Drift | None = None

    @property
    def artifact(self) -> Artifact:
        """The artifact, of `a` where it has it."""
        found = self.a or self.b
        if found is None:
            raise ValueError("a row has an artifact")
        return found

    @property
    def verdict(self) -> Verdict:
        """What to call it."""
        found = self.difference or self.drift
        return "missing" if found is None else found.verdict


@dataclass(frozen=True, slots=True)
class Comparison:
    """Capture `b` against capture `a`: the facts that differ, and a row for each artifact, in execution order."""

    a: Manifest
    b: Manifest
    facts: dict[str, tuple[Any, Any]]
    rows: tuple[Row, ...]

    @property
    def first(self) -> Row | None:
        """The first artifact that is not equal: what comes after it may differ for its sake alone."""
        return next((row for row in self.rows if row.verdict != "equal"), None)

    @property
    def first_beyond(self) -> Row | None:
        """The first artifact that is not even close."""
        return next((row for row in self.rows if row.verdict not in ("equal", "close")), None)


def compare(
    a: ArtifactReader, b: ArtifactReader, *, atol: float | None = None, rtol: float | None = None,
    done: Callable[[Row], None] = lambda row: None,
) -> Comparison:  # fmt: skip
    """Compare two captures; `done` is told of each row, in order.

    Memory holds a block of each artifact that is being read. Every file that is read is checked against its sha256.
    Raises UsageError for captures of different probes or texts, ArtifactError for a file that is damaged or missing.
    """
    check_comparable(a, b)
    b.qrels()  # A's are read with its rankings
    rows = []
    with one_thread(), ThreadPoolExecutor(min(WORKERS, host.useful_threads() or 1)) as pool:
        for row in pool.map(lambda pair: compare_pair(a, b, pair, atol, rtol), pairs(a.manifest, b.manifest)):
            done(row)
            rows.append(row)
    return Comparison(a.manifest, b.manifest, differing_facts(a.manifest, b.manifest), tuple(rows))


def check_comparable(a: ArtifactReader, b: ArtifactReader) -> None:
    """Raise UsageError that names what differs, where two captures did not compute the same things."""
    one, other = a.manifest, b.manifest
    lonely = [f"probe {name!r} is only in {folder}" for name, folder in lonely_probes(a, b)]
    reasons = []
    for name in one.probes.keys() & other.probes.keys():
        if one.probes[name] != other.probes[name]:
            reasons.append(f"probe {name!r} has options {one.probes[name]} and {other.probes[name]}")
    for name in SUBJECT:
        if getattr(one, name) != getattr(other, name):
            reasons.append(f"{name} {shown(one, name)} and {shown(other, name)}")
    common = [name for name in one.probes if name in other.probes]
    fix = "" if reasons or not common else f"; compare what both have with --probes {','.join(common)}"
    if lonely or reasons:
        raise UsageError(f"{a.folder} and {b.folder} cannot be compared: {'; '.join(lonely + reasons)}{fix}")


def lonely_probes(a: ArtifactReader, b: ArtifactReader) -> Iterator[tuple[str, str]]:
    """Yield the probes that only one capture has, with that capture's folder."""
    for here, there in ((a, b), (b, a)):
        yield from ((name, str(here.folder)) for name in here.manifest.probes if name not in there.manifest.probes)


def shown(manifest: Manifest, name: str) -> str:
    """Return what differs of two manifests, as a message says it."""
    value = getattr(manifest, name)
    text = value[:12] if isinstance(value, str) else str(value)
    return f"{text} ({manifest.text_count} texts)" if name == "texts" else text


def differing_facts(a: Manifest, b: Manifest) -> dict[str, tuple[Any, Any]]:
    """Return the facts of two captures that differ, the model's digest among them."""
    found = facts.differences(*({facts.DIGEST: side.model[:12], **side.fingerprint} for side in (a, b)))
    return {name: (facts.short(one), facts.short(other)) for name, (one, other) in found.items()}


def model_changes(then: Manifest, now: Mapping[str, Any]) -> list[str]:
    """Return, in words, which parts of a model are not those that a capture was made with; `now` is what it is now."""
    known = {facts.DIGEST: then.model, **then.fingerprint}
    here, there = ({key: side[key] for key in MODEL_FACTS if key in side} for side in (known, now))
    differing = [facts.said_of(name, *pair) for name, pair in facts.differences(here, there).items()]
    return differing + [f"an earlier version did not say {name}" for name in facts.unsaid(here, there)]


def pairs(a: Manifest, b: Manifest) -> list[tuple[Artifact | None, Artifact | None]]:
    """Return the artifacts of both captures in execution order; one of `b` alone follows what precedes it there."""
    left, right = ({(item.label, item.kind): item for item in side.artifacts} for side in (a, b))
    return [(left.get(key), right.get(key)) for key in in_order(left, right)]


def in_order(one: Iterable[Key], other: Iterable[Key]) -> list[Key]:
    """Return what two sequences hold, in the order of the first; what the second alone has follows its predecessor."""
    order = list(one)
    known = set(order)
    place = 0
    for key in other:
        if key in known:
            place = order.index(key) + 1
        else:
            order.insert(place, key)
            place += 1
    return order


def compare_pair(
    a: ArtifactReader, b: ArtifactReader, pair: tuple[Artifact | None, Artifact | None],
    atol: float | None, rtol: float | None,
) -> Row:  # fmt: skip
    """Compare one artifact."""
    one, other = pair
    if one is None or other is None:
        for reader, artifact in ((a, one), (b, other)):
            if artifact is not None:
                reader.verify(artifact)
        return Row(one, other)
    if one.kind == "ranking":
        found = drift(a.run(one), b.run(other), a.qrels(), queries=a.manifest.queries, seed=a.manifest.seed)
        return Row(one, other, drift=found)
    return Row(one, other, difference=tensors(a, b, one, other, atol, rtol))


def tensors(
    a: ArtifactReader, b: ArtifactReader, one: Artifact, other: Artifact, atol: float | None, rtol: float | None
) -> Difference:
    """Compare two tensors; shapes that differ are a verdict of their own."""
    if one.shape == other.shape:
        blocks = (a.blocks(one), b.blocks(other))
        return difference(*blocks, one.shape, (one.dtype, other.dtype), atol=atol, rtol=rtol)
    a.verify(one)
    b.verify(other)
    tolerance = Tolerance.between(DTYPES[one.dtype], DTYPES[other.dtype], atol, rtol)
    return Difference("shape", (one.dtype, other.dtype), (one.shape, other.shape), tolerance)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread an operation: blocks are small, and artifacts are compared side by side."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def failures(rows: Sequence[Row], what: str) -> list[Row]:
    """Return the rows that a guard refuses.

    `close`: all that are not equal; `different`: all that are not even close; `ranking`: rankings whose ids, or their
    order, changed, or that a capture lacks.
    """
    accepted = {"close": ("equal",), "different": ("equal", "close"), "ranking": ("equal", "close")}[what]
    chosen = [row for row in rows if what != "ranking" or row.artifact.kind == "ranking"]
    return [row for row in chosen if row.verdict not in accepted]
