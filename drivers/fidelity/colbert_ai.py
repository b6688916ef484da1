"""This environment's colbert-ai: what it finds in PLAID indexes, and which step of making one it takes differently."""

import importlib.util
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import fields
from pathlib import Path
from sys import stderr
from typing import Any

from fmbench.capture.manifest import parse_run, run_text
from fmbench.collection.qrels import Qrels
from fmbench.console import note
from fmbench.distribution import to_install
from fmbench.encoder import EncoderPlan
from fmbench.encoder.late_folder import METADATA
from fmbench.errors import UsageError, first_line
from fmbench.lines import JsonLine
from fmbench.ranking.order import Run
from fmbench.session import Session, run_facts
from fmbench.whole_file import whole_file

from .arguments import CaptureArguments, Subject
from .drift import DEPTH, swap_drifts
from .index_bisect import NOTHING, substitution_line
from .plaid import PlaidIndex, compare
from .records import names_of, write_parts

LABEL = "search/plaid"
PACKAGES = ("colbert-ai", "faiss-cpu", "torch", "transformers")
# colbert-ai's own for ten passages, where an index does not say others.
SEARCH = {"ncells": 1, "centroid_score_threshold": 0.5, "ndocs": 256}
CODEC = ("centroids.pt", "avg_residual.pt", "buckets.pt")  # what turns embeddings into codes and residuals
LATER = ("doclens", "codes", "residuals", "ivf")  # what is made by it


def swap(arguments: CaptureArguments, run: Session) -> None:
    """Search A, and B where it is given, and say what drifted; without B, write what was found in A. Raises UsageError.

    `arguments.ranking` is the file of what A's own build found in A: read where there is a B, else written.
    """
    if arguments.ranking is None:
        raise UsageError(
            f"name the file of what A's own build finds in A with --ranking FILE: `fmbench fidelity swap {arguments.a} "
            "--ranking FILE` by that build writes it"
        )
    indexes = [PlaidIndex(folder) for folder in (arguments.a, arguments.b) if folder is not None]
    checkpoint, subject = checked(arguments, indexes)
    own_a = read_ranking(arguments.ranking) if len(indexes) == 2 else {}
    names = names_of(indexes[0].folder, indexes[-1].folder) if len(indexes) == 2 else (indexes[0].folder.name, None)
    describe(run, arguments, subject, "swap", dict(zip(names, indexes, strict=False)))
    found = [search(index, checkpoint, subject) for index in indexes]
    if len(indexes) == 1:
        with whole_file(arguments.ranking) as stream:
            stream.write(run_text(found[0]))
        note(f"what this colbert-ai finds in {indexes[0].folder} is in {arguments.ranking}")
        return
    qrels = None if subject.gains is None else Qrels({query: dict(gains) for query, gains in subject.gains.items()})
    swapped, own_b = found
    drifts = swap_drifts(own_a, swapped, own_b, qrels, queries=len(subject.queries), seed=arguments.seed)
    write_parts(run.log, LABEL, drifts, (names[0], names[1]))


def bisect(index: PlaidIndex, arguments: CaptureArguments, run: Session) -> None:
    """Make index A again: with nothing of A, then with its codec, and say what differs then. Raises UsageError.

    The codec is what a sample of the embeddings decides: centroids, buckets and the average residual. Where codes and
    residuals are A's once it is put in, so are the embeddings, and the cause lies upstream: in the sampling, in
    k-means or in the quantiles. Else the embeddings differ, or how they are compressed: downstream.
    """
    checkpoint, subject = checked(arguments, [index])
    describe(run, arguments, subject, "bisect", {index.folder.name: index})
    for point in (NOTHING, "codec"):
        with tempfile.TemporaryDirectory() as folder:
            made = make(index, checkpoint, subject, Path(folder), with_codec=point != NOTHING)
            rows = [one for one in compare(index, made) if point == NOTHING or {*LATER} & {*one.file.split(".")}]
        verdicts = {one.row.artifact.label: one.row.verdict for one in rows}
        run.log.write(substitution_line("plaid/index", point, verdicts, index.folder.name))


def checked(arguments: CaptureArguments, indexes: Sequence[PlaidIndex]) -> tuple[Path, Subject]:
    """Return the checkpoint and the texts. Raises UsageError before anything slow."""
    if importlib.util.find_spec("colbert") is None:
        raise UsageError(
            f"colbert-ai, which makes and searches PLAID indexes, is not installed: {to_install('colbert')}"
        )
    for index in indexes:
        index.files  # noqa: B018  raises for one that is not whole
    checkpoint = EncoderPlan.of(arguments, arguments.recipe, late=True).folder.first
    if not (checkpoint / METADATA).is_file():
        raise UsageError(f"--model_name {checkpoint}: has no {METADATA}; name the checkpoint that made the index")
    subject = arguments.subject()
    for index in indexes:
        check_passages(index, subject)
    return checkpoint, subject


def check_passages(index: PlaidIndex, subject: Subject) -> None:
    """Raise UsageError where an index is not of as many passages as there are: their places would mean other ones."""
    held = index.passages()
    if held != len(subject.ids):
        raise UsageError(
            f"{index.folder}: holds {held:,} passages, and there are {len(subject.ids):,}: name those that were "
            "indexed, in their order (--dataset, --documents)"
        )


def describe(
    run: Session, arguments: CaptureArguments, subject: Subject, task: str, indexes: Mapping[str | None, PlaidIndex]
) -> None:
    """Say what runs, and how the indexes were made."""
    run.begin()
    shared = run_facts(arguments, PACKAGES, "nothing")
    run.describe({"task": task, **shared, "queries": len(subject.queries), "passages": len(subject.passages)})
    for name, index in indexes.items():
        run.log.write(JsonLine("ENV", {"variant": name, "index": index.facts()}))


def read_ranking(path: Path) -> Run:
    """Read what A's own build found. Raises UsageError."""
    try:
        return parse_run(path, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--ranking {path}: cannot be read ({first_line(error)})") from None


def make(index: PlaidIndex, checkpoint: Path, subject: Subject, root: Path, with_codec: bool) -> PlaidIndex:
    """Return an index of the passages, made in a folder by this colbert-ai with the settings of another, or its codec.

    Raises UsageError for one that several processes made: each sampled for itself.
    """
    said = index.metadata.object("config").values
    if said.get("nranks") != 1:
        raise UsageError(
            f"{index.folder}: was made by {said.get('nranks')} processes; one that 1 made can be made again"
        )
    with redirect_stdout(stderr):
        from colbert.indexing.collection_indexer import CollectionIndexer
        from colbert.infra import ColBERTConfig, RunConfig
        from colbert.infra.config.settings import DocSettings, IndexingSettings
        from colbert.infra.launcher import Launcher

        def encode(config: Any, passages: list[str], *rest: Any) -> None:
            indexer = CollectionIndexer(config, passages, verbose=0)
            if with_codec:
                indexer.train = lambda _: take_codec(index.folder, folder)
            indexer.run(*rest)

        folder = root / "index"
        folder.mkdir()
        names = {one.name for settings in (DocSettings, IndexingSettings) for one in fields(settings)} & said.keys()
        given = {name: said[name] for name in names - {"index_path", "resume"}}
        config = ColBERTConfig.from_existing(
            ColBERTConfig.load_from_checkpoint(str(checkpoint)),
            ColBERTConfig(**given, index_name=folder.name, checkpoint=str(checkpoint)),
        )
        launcher = Launcher(encode, RunConfig(nranks=1, avoid_fork_if_possible=True, index_root=str(root)))
        launcher.launch_without_fork(config, list(subject.passages), [])
    return PlaidIndex(folder)


def take_codec(there: Path, here: Path) -> None:
    """Copy a codec into an index that is being made, which then has no use for its sample."""
    for name in CODEC:
        shutil.copyfile(there / name, here / name)
    (here / "sample.0.pt").unlink()


def search(index: PlaidIndex, checkpoint: Path, subject: Subject) -> Run:
    """Return the best passages of every query, without one of the query's own id, as everywhere in fidelity."""
    with redirect_stdout(stderr):  # what colbert-ai prints is no log
        from colbert import Searcher

        searcher: Any = Searcher(str(index.folder.resolve()), checkpoint=str(checkpoint), collection=["-"], verbose=0)
        given = {name: value for name, value in SEARCH.items() if getattr(searcher.config, name) is None}
        searcher.configure(**given)
        found = searcher.search_all(dict(enumerate(subject.queries)), k=DEPTH + 1).data
    result: dict[str, dict[str, float]] = {}
    for place, query in enumerate(subject.query_ids):
        ranked = {subject.ids[passage]: float(score) for passage, _, score in found[place]}
        ranked.pop(query, None)
        result[query] = dict(list(ranked.items())[:DEPTH])
    return result
