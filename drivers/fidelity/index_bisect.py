"""Which step of building an index another build takes differently: parts of a capture's are put into this run.

Where all later parts are then as in the capture, what made the difference lies upstream of what was put in.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from fmbench.capture.reader import ArtifactReader
from fmbench.console import warn
from fmbench.errors import UsageError
from fmbench.lines import JsonLine
from fmbench.session import LogWriter

from .arguments import Subject
from .context import Context
from .difference import between
from .indexes import KINDS, NAMES, build, vectors_of
from .records import fid

if TYPE_CHECKING:
    import torch

PROBE = "index"
KEPT = {"tokens": "token_vectors/passage", "pooled": "normalised/passage"}  # a capture's embeddings, where it has them
NOTHING, EMBEDDINGS = "nothing", "embeddings"
POINTS = (NOTHING, EMBEDDINGS, "sample", "centroids")
BUILT = [name for name in NAMES if name != "starts"]


def check(reader: ArtifactReader, subject: Subject, seed: int) -> None:
    """Raise UsageError for a capture without an index, or one of other texts."""
    manifest = reader.manifest
    if PROBE not in manifest.probes:
        raise UsageError(f"{reader.folder}: was captured without the probe {PROBE}; add it to --probes")
    if (subject.digest, seed) != (manifest.texts, manifest.seed):
        raise UsageError(f"the texts or --seed {seed} are not those of {reader.folder}; name the same")


def bisect_index(context: Context, reader: ArtifactReader, log: LogWriter, name: str) -> None:
    """Build each index with nothing of A, with A's embeddings, its sample, and its centroids; say what differs then."""
    for kind in KINDS:
        stored = {part: reader.tensor(reader.find(f"{PROBE}/{kind}.{part}")) for part in NAMES}
        for point, parts in substituted(context, reader, kind, stored):
            later = BUILT[BUILT.index(point) + 1 :] if point in BUILT else BUILT
            verdicts = {f"{PROBE}/{kind}.{part}": between(stored[part], parts[part]).verdict for part in later}
            log.write(substitution_line(f"{PROBE}/{kind}", point, verdicts, name))


def substitution_line(index: str, point: str, verdicts: Mapping[str, str], name: str) -> JsonLine:
    """Return what the parts of an index are, in the order of making, where A's take the place of its own at a point."""
    unequal = [part for part, verdict in verdicts.items() if verdict != "equal"]
    said = {
        "artifacts": len(verdicts),
        "unequal": len(unequal),
        "first": unequal[0] if unequal else None,
        "first_verdict": verdicts[unequal[0]] if unequal else None,
        "cause": None if point == NOTHING else "downstream" if unequal else "upstream",
    }
    return fid("substitution", f"{index}: {point}", "different" if unequal else "equal", (name, None), said)


def substituted(
    context: Context, reader: ArtifactReader, kind: str, stored: "dict[str, torch.Tensor]"
) -> "Iterator[tuple[str, dict[str, torch.Tensor]]]":
    """Yield the parts of an index of this run, after each point at which A's take the place of its own."""
    import torch

    with torch.no_grad():
        vectors, starts = vectors_of(context, kind)
    for point in POINTS:
        if point == EMBEDDINGS:
            probe = KEPT[kind].partition("/")[0]
            if probe not in reader.manifest.probes:
                warn(f"{reader.folder}: was captured without the probe {probe}: its embeddings are not put in")
                continue
            embeddings = reader.tensor(reader.find(KEPT[kind])).numpy()
            yield point, build(embeddings, stored["starts"], context.seed).parts
        else:
            given = {point: stored[point]} if point in stored else {}
            yield point, build(vectors, starts, context.seed, given).parts
