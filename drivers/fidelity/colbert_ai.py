"""What this environment's colbert-ai finds in PLAID indexes: is it the index that moved rankings, or the search?"""

import importlib.util
from contextlib import redirect_stdout
from pathlib import Path
from sys import stderr
from typing import Any

from fmbench.capture.manifest import parse_run, run_text
from fmbench.collection.qrels import Qrels
from fmbench.console import note
from fmbench.encoder import EncoderPlan
from fmbench.encoder.late_folder import METADATA
from fmbench.errors import UsageError, first_line
from fmbench.lines import JsonLine
from fmbench.ranking.order import Run
from fmbench.session import Session, run_facts
from fmbench.whole_file import whole_file

from .arguments import CaptureArguments, Subject
from .drift import DEPTH, swap_drifts
from .plaid import PlaidIndex
from .records import names_of, write_parts

LABEL = "search/plaid"
PACKAGES = ("colbert-ai", "faiss-cpu", "torch", "transformers")
# colbert-ai's own for ten passages, where an index does not say others.
OPTIONS = {"ncells": 1, "centroid_score_threshold": 0.5, "ndocs": 256}


def swap(arguments: CaptureArguments, run: Session) -> None:
    """Search A, and B where it is given, and say what drifted; without B, write what was found in A. Raises UsageError.

    `arguments.ranking` is the file of what A's own build found in A: read where there is a B, else written.
    """
    ranking, indexes = checked(arguments)
    plan = EncoderPlan.of(arguments, arguments.recipe, late=True)
    checkpoint = plan.folder.first
    if not (checkpoint / METADATA).is_file():
        raise UsageError(f"--model_name {checkpoint}: has no {METADATA}; name the checkpoint that made the index")
    subject = arguments.subject()
    for index in indexes:
        check_passages(index, subject)
    own_a = read_ranking(ranking) if len(indexes) == 2 else {}
    run.begin()
    shared = run_facts(arguments, PACKAGES, "nothing")
    run.describe({"task": "swap", **shared, "queries": len(subject.queries), "passages": len(subject.passages)})
    names = names_of(indexes[0].folder, indexes[-1].folder) if len(indexes) == 2 else (indexes[0].folder.name, None)
    for name, index in zip(names, indexes, strict=False):
        run.log.write(JsonLine("ENV", {"variant": name, "index": index.facts()}))
    found = [search(index, checkpoint, subject) for index in indexes]
    if len(indexes) == 1:
        with whole_file(ranking) as stream:
            stream.write(run_text(found[0]))
        note(f"what this colbert-ai finds in {indexes[0].folder} is in {ranking}")
        return
    qrels = None if subject.gains is None else Qrels({query: dict(gains) for query, gains in subject.gains.items()})
    swapped, own_b = found
    drifts = swap_drifts(own_a, swapped, own_b, qrels, queries=len(subject.queries), seed=arguments.seed)
    write_parts(run.log, LABEL, drifts, (names[0], names[1]))


def checked(arguments: CaptureArguments) -> tuple[Path, list[PlaidIndex]]:
    """Return the file of A's own ranking, and the indexes. Raises UsageError before anything slow."""
    if importlib.util.find_spec("colbert") is None:
        raise UsageError("colbert-ai, which searches PLAID indexes, is not installed: pip install 'fmbench[colbert]'")
    if arguments.ranking is None:
        raise UsageError(
            f"name the file of what A's own build finds in A with --ranking FILE: `fmbench fidelity swap {arguments.a} "
            "--ranking FILE` by that build writes it"
        )
    indexes = [PlaidIndex(folder) for folder in (arguments.a, arguments.b) if folder is not None]
    for index in indexes:
        index.files  # noqa: B018  raises for one that is not whole
    return arguments.ranking, indexes


def check_passages(index: PlaidIndex, subject: Subject) -> None:
    """Raise UsageError where an index is not of as many passages as there are: their places would mean other ones."""
    held = index.passages()
    if held != len(subject.ids):
        raise UsageError(
            f"{index.folder}: holds {held:,} passages, and there are {len(subject.ids):,}: name those that were "
            "indexed, in their order (--dataset, --documents)"
        )


def read_ranking(path: Path) -> Run:
    """Read what A's own build found. Raises UsageError."""
    try:
        return parse_run(path, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--ranking {path}: cannot be read ({first_line(error)})") from None


def search(index: PlaidIndex, checkpoint: Path, subject: Subject) -> Run:
    """Return the best passages of every query, without one of the query's own id, as everywhere in fidelity."""
    with redirect_stdout(stderr):  # what colbert-ai prints is no log
        from colbert import Searcher

        searcher: Any = Searcher(str(index.folder.resolve()), checkpoint=str(checkpoint), collection=["-"], verbose=0)
        given = {name: value for name, value in OPTIONS.items() if getattr(searcher.config, name) is None}
        searcher.configure(**given)
        found = searcher.search_all(dict(enumerate(subject.queries)), k=DEPTH + 1).data
    result: dict[str, dict[str, float]] = {}
    for place, query in enumerate(subject.query_ids):
        ranked = {subject.ids[passage]: float(score) for passage, _, score in found[place]}
        ranked.pop(query, None)
        result[query] = dict(list(ranked.items())[:DEPTH])
    return result
