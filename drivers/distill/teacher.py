"""Step teacher: the training texts and what the passage model says of each as a query, kept for the students."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fmbench import lines
from fmbench.collection import Texts
from fmbench.console import Progress, note, warn
from fmbench.embeddings import Embeddings, manifest, open_or_encode, shard
from fmbench.encoder import Encoder
from fmbench.errors import UsageError, first_line
from fmbench.facts import DIGEST, MODEL, differences, said_of, unsaid
from fmbench.identity import Identity
from fmbench.whole_file import whole_file

from .steps import Run
from .texts import Sieve, held_out, training_texts

IDENTITY = (DIGEST, MODEL)
STORED = "float32"
TEXTS, FACTS, VECTORS = "texts.jsonl", "teacher.json", "vectors"


def teach(run: Run) -> None:
    """Gather the texts, encode them, and write which model's vectors they are."""
    arguments, folder = run.arguments, run.arguments.teacher_dir
    assert folder is not None  # noqa: S101 (the parser requires it)
    sieve = Sieve(held_out(arguments))
    counts: dict[str, int] = {}
    texts = write_texts(folder, training_texts(arguments, sieve, counts))
    encoder = Encoder(run.plan)
    run.facts(encoder.arguments)
    progress, start = Progress(), run.clock.now()
    found = open_or_encode(
        folder / VECTORS, texts, encoder, "query",
        progress=lambda done, count: progress.count(done, count, f"{done:,} of {count:,} texts encoded"),
    )  # fmt: skip
    progress.clear()
    seconds = (run.clock.now() - start) / 1e9
    dropped = {"held_out": sieve.dropped_held_out, "repeated": sieve.dropped_repeated}
    write_facts(folder, texts, encoder.key("query"), encoder.facts, {"counts": counts, "dropped": dropped})
    run.log.write(lines.JsonLine("ENV", {**encoder.facts, **encoder.recipe_facts()}))
    for line in encoder.timings.phase_lines(role="query"):
        run.log.write(line)
    run.say("teacher", {
        "texts": len(found), "kinds": counts, "dropped": dropped, "dimensions": found.dim,
        "tokens": encoder.timings.tokens, "cached": len(found) - encoder.timings.texts,
        "seconds": round(max(seconds - encoder.timings.one_off, 0.0), 6),
    })  # fmt: skip
    if sieve.dropped_held_out:
        note(f"{sieve.dropped_held_out} texts say what a held-out query says; they are not trained on")


@dataclass(frozen=True)
class TeacherVectors:
    """Training texts and the teacher's normalised vectors (n, dimensions), row by row, mapped from disk.

    `facts` is what teacher.json says: the model's name, `key` (everything that changes a vector), counts.
    """

    texts: list[str]
    vectors: np.ndarray
    facts: dict[str, Any]


def write_texts(folder: Path, texts: Iterable[tuple[str, str]]) -> Texts:
    """Write training texts, each with its id, and return them as a set of queries. Raises UsageError for none."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    with whole_file(folder / TEXTS) as stream:
        for name, text in texts:
            stream.write(json.dumps({"_id": name, "text": text}, ensure_ascii=False) + "\n")
            count += 1
    if not count:
        raise UsageError("there is nothing to train on: every query is empty, held out or repeated")
    return Texts([folder / TEXTS])


def write_facts(
    folder: Path, texts: Texts, key: Mapping[str, Any], model: Mapping[str, Any], counts: Mapping[str, Any]
) -> None:
    """Write which model's vectors these are, and where; last of all, so that a folder with it is whole.

    `model` is what a fingerprint says of it.
    """
    name = model["model"]
    stored = manifest.folder_name({"input": texts.digest(), "role": "query", "stored": STORED, **key}, name, "query")
    facts = {"model": name, "key": dict(key), "store": stored, "texts": texts.digest(), **counts}
    facts |= {known: model[known] for known in IDENTITY}
    with whole_file(folder / FACTS) as stream:
        stream.write(json.dumps(facts, indent=1, sort_keys=True) + "\n")


def read_teacher(folder: Path, model: Identity) -> TeacherVectors:
    """Read a teacher's folder. `model` is the teacher that is asked for.

    Raises UsageError where the folder is not whole, where its vectors are another model's, and where ids of texts
    and vectors differ.
    """
    facts = read_facts(folder)
    check_teacher(folder, {DIGEST: facts["key"].get("weights"), **facts}, model.facts())
    texts = Texts([folder / TEXTS])
    if texts.digest() != facts["texts"]:
        raise UsageError(f"{folder / TEXTS}: was changed after the teacher had encoded it; encode it anew")
    embeddings = open_vectors(folder / VECTORS / facts["store"])
    rows = list(texts)
    if [row.id for row in rows] != embeddings.ids:
        raise UsageError(f"{folder}: the ids of texts and vectors differ; encode them anew")
    vectors = np.asarray(embeddings.as_array(), dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return TeacherVectors([row.text for row in rows], vectors / np.maximum(lengths, 1e-12), facts)


def check_teacher(folder: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise UsageError where a folder's vectors are another model's; warn of what it does not say of its model."""
    here = {name: then[name] for name in IDENTITY if name in then}
    differing = [said_of(name, *pair) for name, pair in differences(here, now).items()]
    if differing:
        raise UsageError(
            f"{folder}: holds the vectors of {then['model']}, which is not this teacher: {', '.join(differing)}; "
            "run `fmbench distill teacher` for it"
        )
    if names := unsaid(here, now):
        warn(f"{folder}: an earlier version wrote it, which did not say {', '.join(names)} of its teacher")


def read_facts(folder: Path) -> dict[str, Any]:
    """Return what teacher.json says. Raises UsageError where it is missing or damaged."""
    try:
        found = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        return {**found, "key": dict(found["key"]), "store": str(found["store"]), "texts": str(found["texts"])}
    except FileNotFoundError:
        raise UsageError(f"{folder}: has no {FACTS}; run `fmbench distill teacher` first") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{folder / FACTS}: not readable ({first_line(error)})") from None


def open_vectors(folder: Path) -> Embeddings:
    """Open a store of the embedding cache without its encoder. Raises UsageError for one that is not whole."""
    found = manifest.read(folder)
    files = shard.find(folder) if found else {}
    whole = [
        next((one for one in files.get(index, ()) if not one.fault(found.size(index), found.dimension, STORED)), None)
        for index in range(found.shards)
    ] if found else []  # fmt: skip
    kept = [one for one in whole if one is not None]
    if found is None or len(kept) < len(whole):
        raise UsageError(f"{folder}: vectors are missing or damaged; `fmbench distill teacher` encodes them again")
    return Embeddings(kept, found.dimension, STORED, found.tokens_per_batch)
