"""Step teacher: training queries and pseudo-queries, encoded by the passage model as queries."""

from collections.abc import Iterator

from fmbench import lines
from fmbench.console import Progress, note
from fmbench.embeddings import open_or_encode
from fmbench.encoder import Encoder

from ..retrieve.data import open_datasets
from .arguments import DistillArguments
from .held_out import held_out
from .pseudo_queries import Sieve, pseudo_queries
from .steps import Run
from .teacher_vectors import VECTORS, sample, write_facts, write_texts


def teach(run: Run) -> None:
    """Gather the texts, encode them, and write which model's vectors they are."""
    arguments, folder = run.arguments, run.arguments.teacher_dir
    assert folder is not None  # noqa: S101 (the parser requires it)
    sieve = Sieve(held_out(arguments))
    counts: dict[str, int] = {}
    texts = write_texts(folder, gathered(arguments, sieve, counts))
    encoder = Encoder(run.plan)
    run.facts(encoder.arguments)
    progress, start = Progress(), run.clock.now()
    found = open_or_encode(
        folder / VECTORS, texts, encoder, "query",
        progress=lambda done, count: progress.show(f"{done:,} of {count:,} texts encoded"),
    )  # fmt: skip
    progress.clear()
    seconds = (run.clock.now() - start) / 1e9
    dropped = {"held_out": sieve.dropped_held_out, "repeated": sieve.dropped_repeated}
    write_facts(folder, texts, encoder.key("query"), encoder.facts, {"counts": counts, "dropped": dropped})
    run.log.write(lines.Env({**encoder.facts, **encoder.recipe_facts()}))
    for line in encoder.timings.phase_lines(role="query"):
        run.log.write(line)
    run.say("teacher", {
        "texts": len(found), "kinds": counts, "dropped": dropped, "dimensions": found.dim,
        "tokens": encoder.timings.tokens, "cached": len(found) - encoder.timings.texts,
        "seconds": round(max(seconds - encoder.timings.one_off, 0.0), 6),
    })  # fmt: skip
    if sieve.dropped_held_out:
        note(f"{sieve.dropped_held_out} texts say what a held-out query says; they are not trained on")


def gathered(arguments: DistillArguments, sieve: Sieve, counts: dict[str, int]) -> Iterator[tuple[str, str]]:
    """Yield every text that is trained on, with its id, and count the kinds."""
    datasets = open_datasets(arguments)
    for dataset in datasets if arguments.split or arguments.queries else ():
        for query in dataset.queries:
            for text in sieve([query.text]):
                counts["queries"] = counts.get("queries", 0) + 1
                yield f"{dataset.name}:query:{query.id}", text
    for kind in arguments.pseudo_queries:
        for dataset in datasets:
            found = sieve(pseudo_queries(kind, dataset.corpus, arguments.seed))
            for number, text in enumerate(sample(found, arguments.most_pseudo_queries, arguments.seed)):
                counts[kind] = counts.get(kind, 0) + 1
                yield f"{dataset.name}:{kind}:{number}", text
