"""The fields of the lines of retrieval and of distillation, and of the sections that their rows have."""

from dataclasses import replace

from ..reading.schema import (
    Schema,
    anything,
    by_name,
    count,
    counts,
    interval,
    intervals_by_name,
    number,
    numbers,
    numbers_by_name,
    part,
    parts,
    text,
    texts,
    time,
    truth,
)  # fmt: skip
from .speed_fields import PAIR

ENCODING = Schema({
    "dataset": text("Name of the data set.", needed=True),
    "role": text("`query` or `passage`.", needed=True),
    "start": time("Seconds since the epoch, nine decimals."),
    "texts": count("Texts, those in the cache included.", needed=True),
    "empty": count("Texts without a character."),
    "cached": count("Texts whose vectors came from the cache."),
    "tokens": count("Tokens of the texts that were encoded, special ones included."),
    "padding_share": number("Share of padding among all computed tokens."),
    "tokens_per_batch": count("Token budget of a batch; where a cache was begun with another one, that one."),
    "budget_from": text(
        "Where that is from: `default` (the platform's), `given`, `measured` in this run, `cached` (measured in an "
        "earlier run); null for that of a cache of vectors, and in logs that do not say."
    ),
    "dimensions": count("Length of a vector."),
    "seconds": numbers_by_name(
        "By stage: `wait` (for the tokeniser), `collate`, `forward`, `pool` and `other` add up to `total`, the wall "
        "clock without the phases of this data set and role, such as compiling, the first call, and opening and "
        "writing the cache; `tokenise` runs beside them. Of several ranks, those of the one that took longest.",
        "seconds",
    ),
    "texts_per_second": number("Texts that were encoded, by `total`; null where all were cached."),
    "tokens_per_second": number("Their tokens, by `total`."),
    "latency_ms": numbers_by_name(
        "Of one text alone, tokenisation included: `n`, `p50`, `p95`, `p99`; queries only.", "milliseconds"
    ),
    "latency_stages_ms": numbers_by_name(
        "Of the same texts, the median of each stage: `tokenise`, `collate`, `forward`, `pool`.", "milliseconds"
    ),
}, "Texts that were encoded.")  # fmt: skip
IDENTICAL_IDS = truth(
    "Whether the document that has a query's id was left out of its ranking. Null in logs that do not say: it was not."
)
SEARCHING = Schema({
    "dataset": text("Name of the data set.", needed=True),
    "queries": count("Queries searched.", needed=True),
    "documents": count("Documents searched.", needed=True),
    "k": count("Documents retrieved a query.", needed=True),
    "similarity": text("`dot`, `cosine`, or `maxsim` of a late-interaction model."),
    "ignore_identical_ids": IDENTICAL_IDS,
    "engine": text("What searched."),
    "nonzeros_per_document": number("Of sparse vectors, how many of a document's numbers are not zero, on average."),
    "seconds": number("Wall clock of the search of all queries at once, without any encoding.", "seconds"),
    "queries_per_second": number("Queries searched a second, all at once."),
    "latency_ms": numbers_by_name(
        "Of a search of one query alone, its encoding not included: `n`, `p50`, `p95`, `p99`.", "milliseconds"
    ),
}, "The search of all queries.")  # fmt: skip
CURVE = Schema({
    "k": counts("The numbers of results that the lists below have an entry each of."),
    "precision": numbers("Share of relevant ones among the first k."),
    "ceiling": numbers("The precision of a perfect retriever."),
    "success": numbers("The share of queries with a hit."),
    "recall": numbers("Share of the relevant ones that are among the first k."),
    "intervals": anything("Of these, by the same names."),
    "queries": count("Judged queries."),
    "without_gold": count("Those without anything relevant."),
    "retrieved_depth": count("How many results were asked for."),
    "shortest": count("How many the query with the fewest has."),
    "level": text("`document` or `page`."),
    "title_normalisation": anything("Null for documents."),
})  # fmt: skip
MINED = Schema({
    "queries": count("Queries with negatives."),
    "negatives": count("Negatives in all."),
    "unjudged": count("Queries without judgements."),
    "short": count("Queries short of the number asked for."),
    "removed": numbers_by_name("How many documents each rule left out (`max_score`, `margin`)."),
})  # fmt: skip
QUALITY = Schema({
    "dataset": text("Name of the data set.", needed=True),
    "queries": count("Judged queries, over which every mean is taken."),
    "ignore_identical_ids": IDENTICAL_IDS,
    "other_documents": count("How many documents without a judgement the corpus was cut down to (`--other_documents`); "
                             "null where it is whole. Figures of a part are comparable on that part alone."),
    "without_results": count("Judged queries that nothing was retrieved for; they count as 0."),
    "without_relevant": count("Those without a document of at least `relevance_threshold`; 0 in every mean but nDCG's, "
                              "which takes every gain as it is."),
    "unjudged": count("Queries with results and without judgements; they are left out."),
    "relevance_threshold": number("Least gain of a relevant document."),
    "metrics": numbers_by_name("Mean of each metric, such as `ndcg_cut_10`."),
    "intervals": intervals_by_name("95% bootstrap interval of each mean, within [0, 1]; null for one query."),
    "precision_curve": part("What `--k` asks for.", CURVE),
    "mined": part("Of `fmbench retrieve mine`: the negatives.", MINED),
}, "How good the ranking is.")  # fmt: skip
JUDGED = (  # what a student's queries are judged by, as all queries are
    "queries", "ignore_identical_ids", "without_results", "without_relevant", "unjudged", "relevance_threshold",
    "metrics", "intervals",
)  # fmt: skip
BY_QUERY = Schema({
    "dataset": text("Name of the data set.", needed=True),
    "queries": texts("Ids of the judged queries.", needed=True),
    "metrics": replace(
        by_name("By name of a metric, its value for each of these queries.", numbers(""), "object of lists of numbers"),
        needed=True,
    ),
}, "How well each query was ranked: what two runs are compared by.")  # fmt: skip
COMPRESSED = Schema({
    "dataset": text("Name of the data set.", needed=True),
    "vectors": text("Type of the stored numbers; behind `@` how many of the first dimensions are kept.", needed=True),
    "dimensions": count("How many numbers a stored vector stands for.", needed=True),
    "bytes_per_document": count("Of its code.", "bytes", needed=True),
    "rescore": count("How many of the best were ordered once more, by whole query vectors; null: none."),
    "k": count("Documents retrieved a query.", needed=True),
    "similarity": text("`dot` or `cosine`; vectors are made one long for a cosine before they are compressed."),
    "recall_at_10": number("Share of the exact search's ten documents that are among the ten, mean over queries."),
    "engine": text("The index that was timed; null where none was (several ranks, or no room in memory)."),
    "queries_per_second": number("Queries searched a second, all at once: the median of three passes."),
    "latency_ms": numbers_by_name(
        "Of a search of one query alone, its encoding not included: `n`, `p50`, `p95`, `p99`.", "milliseconds"
    ),
    "queries": count("Judged queries."),
    "metrics": numbers_by_name("Mean of the metrics that runs are compared by."),
    "intervals": intervals_by_name("95% bootstrap interval of each mean; null for one query."),
    "ndcg_change": number("nDCG@10 beside the exact search of the same vectors in float32, paired over queries."),
    "ndcg_interval": interval("Its 95% interval."),
    "ndcg_p": number("Two-sided p of the randomisation test of the same pairs."),
    "kept": number("Share of that nDCG@10 that is kept."),
    "kept_interval": interval("Its 95% interval."),
}, "The same search with compressed vectors.")  # fmt: skip
SECTION = Schema({
    "dataset": text("Name of the data set.", needed=True),
    "passages": part("Encoding of the corpus.", ENCODING.without("dataset", "role")),
    "queries": part("Encoding of the queries.", ENCODING.without("dataset", "role")),
    "search": part("The search.", SEARCHING.without("dataset")),
    "quality": part("How good the ranking is.", QUALITY.without("dataset")),
    "compressed": parts("The search with compressed vectors, one of each type.", COMPRESSED.without("dataset")),
    "speed_doubt": text("Why its speeds should not be trusted: `contended` beside other work. Left out where nothing "
                        "speaks against them."),
}, "Speed and quality on a data set; parts that the task does not have are left out.", open=True)  # fmt: skip
ENCODERS = ("reference", "evaluate")  # the stages that speak of a query encoder
KEPT = Schema({
    "share": number("Over the teacher's mean."),
    "interval": interval("95% interval over queries, taken in pairs."),
    "p": number("Two-sided p of the randomisation test of the same pairs."),
})  # fmt: skip
STAGE = Schema(
    {
        "stage": text("Which step speaks: `teacher`, `align`, `contrast`, `reference` (the teacher), `evaluate`.",
                      needed=True),
        "texts": count("Training texts."),
        "kinds": numbers_by_name("How many there are of each kind."),
        "dropped": numbers_by_name("How many were left out, by reason."),
        "dimensions": count("Length of a vector."),
        "tokens": count("Tokens of the texts."),
        "cached": count("Texts whose vectors came from the cache."),
        "step": count("Steps of training so far."),
        "steps": count("Steps in all."),
        "best_step": count("The one that was kept."),
        "epoch": number("Passes over the texts so far."),
        "loss": number("Mean since the look before."),
        "held_out": number("Mean cosine to the teacher's vectors, or mean reciprocal rank, on examples that are not "
                           "trained on."),
        "learning_rate": number("Of this step."),
        "seconds": number("Since the stage began.", "seconds"),
        "ended": text("What ended the training."),
        "training": anything("All that decides the weights beside the machine: the options of the training with those "
                             "that were not given, the student, and digests of what it began with and learned from."),
        "parameters": count("Numbers in the model."),
        "bytes": count("Bytes of them.", "bytes"),
    },
    form=lambda data: "query encoder" if data.get("stage") in ENCODERS else "",
    forms={"query encoder": {
        "dataset": text("Name of the data set.", needed=True),
        "query_model": text("The query encoder.", needed=True),
        "start": time("Seconds since the epoch, nine decimals."),
        **{key: field for key, field in QUALITY.fields.items() if key in JUDGED},
        "kept": by_name("Of every metric, the share of the teacher's mean that is kept.", part("", KEPT), "object"),
        "pair": part("As PAIR, against the teacher: queries go through all encoders in turns.", PAIR),
        "latency_ms": numbers_by_name(
            "From one query's text to its vector on the host, tokenisation included, at batch 1, after the first "
            "fifth: `n`, `p50`, `p95`, `p99`.", "milliseconds",
        ),
        "after_last_word_ms": numbers_by_name(
            "Of an encoder that reads along: the same, from the last word on. Null for others.", "milliseconds"
        ),
        "queries_per_second": number("In batches of 64, tokenisation included, the best of three passes."),
        "tokens_at_most": count("Tokens of a query that are looked at."),
        "computed_by": text("The platform, or `numpy`: a table of tokens is looked up on the host, whatever the "
                            "platform. Null in logs that do not say: the platform."),
        "nanoseconds": counts("Every query's latency, in order.", "nanoseconds"),
    }},
)  # fmt: skip
MEASURED = ("kept", "pair", "latency_ms", "after_last_word_ms", "parameters", "bytes", "tokens_at_most",
            "computed_by")  # fmt: skip
DISTILLATION = Schema(
    {key: {**STAGE.fields, **STAGE.forms["query encoder"]}[key] for key in MEASURED},
    "What was measured of a query encoder against its teacher.", open=True,
)  # fmt: skip
