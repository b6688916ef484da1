"""The lines of `fmbench choose`, field by field, and what its rows have."""

from ..reading import schema
from ..reading.schema import Schema
from .retrieval_fields import COMPRESSED

PROFILES = ("online", "bulk")
PROFILE = schema.choice("`online`: one text at a time, from text to vector; `bulk`: passages in batches.", *PROFILES)
TURN = Schema({
    "profile": PROFILE,
    "variant": schema.text("The candidate.", needed=True),
    "heat": schema.count("Candidates that fit memory together race in one heat, the reference in each; from 0."),
    "round": schema.count("Which round of the heat, from 0: its turns are on the same texts.", needed=True),
    "texts": schema.count("Texts of the turn.", needed=True),
    "tokens": schema.count("Their tokens, padding not counted."),
    "nanoseconds": schema.count("What the turn took.", "nanoseconds", needed=True),
    "least_cosine": schema.number("Least cosine of a text's vector with the reference's of this round."),
    "mean_cosine": schema.number("Mean cosine of the same."),
    "joules": schema.number("What the platform's counter says that it took; left out where there is none.", "joules"),
})  # fmt: skip
FIGURES = {
    "reason": schema.text("Why it is worth trying."),
    "left_in_round": schema.count("The round after which it raced no more."),
    "left_because": schema.text("Why."),
    "speed": schema.number("How many times as fast as the reference: the ratio of medians of turns on the same texts."),
    "interval": schema.interval("Its 95% bootstrap interval over turns; of fewer than 7 `rounds`, too few for 95%, it "
                                "is from the least to the greatest."),
    "heat": schema.count("Which heat it raced in, from 0; the reference is in each, and its figures are of the first."),
    "rounds": schema.count("Rounds that it took part in."),
    "tokens_per_batch": schema.count("Tokens of a batch, padding included."),
    "memory_bytes": schema.count("What the process, or the device, held more for it.", "bytes"),
    "joules_per_million_tokens": schema.number("Energy, where the platform counts it.", "joules"),
    "joules_reason": schema.text("Why that is left out although the platform counts."),
    "cost_per_million_tokens": schema.number("Of the `--price` of an hour, in its currency."),
    "least_cosine": schema.number("Least cosine of a text's vector with its vector in the reference."),
    "mean_cosine": schema.number("Mean cosine of the same."),
    "overlap": schema.number("Share of the reference's ten documents that are still among the ten."),
    "ndcg": schema.number("nDCG@10."),
    "ndcg_change": schema.number("Change of nDCG@10 against the reference, paired over queries."),
    "ndcg_interval": schema.interval("Its 95% interval, of the paired randomisation test."),
    "ndcg_p": schema.number("Its two-sided p, of the same test: below 0.05 exactly where the interval leaves 0 out."),
    "ndcg_share": schema.number("Share of the reference's nDCG@10 that is kept."),
    "ndcg_share_interval": schema.interval("Its 95% interval, of the same test."),
    "tasks_share": schema.number("Share of the reference's scores of `--tasks` that is kept, mean over tasks."),
    "tasks_interval": schema.interval("Its 95% interval, over resamples of each task's items, the same ones for both; "
                                      "null where MTEB tells no items."),
    "worst_task": schema.text("The task that keeps least."),
    "worst_task_share": schema.number("Its share."),
    "kept": schema.text(
        "Whether enough is kept: `shown` (all of the interval is above what must be kept), `worse` (all of it is "
        "below), `not shown`; null where nobody measured it."
    ),
    "packages": schema.count("Packages that it needs besides torch and transformers."),
    "front": schema.truth("Whether no other candidate that is as faithful, by the cosines of turns, is faster."),
    "command": schema.text("The command line that runs it on the data set."),
    "program": schema.text("Python lines that give its vectors without fmbench, or a comment on why there are none."),
    "files": schema.texts("Files and folders that these two name by where they lie from the folder of the choice."),
}  # fmt: skip
CANDIDATE = Schema({
    "name": schema.text("What it is called; ENV lines with this `variant` are its facts.", needed=True),
    "overrides": schema.text("What its command line has besides the one that was typed."),
    "why_not": schema.text("Why it could not run here, or was not tried."),
    "untried": schema.truth("Whether it could run, but for `--budget`: it was not set up."),
    "latency_ms": schema.number("Of `online`: the median from text to vector.", "milliseconds"),
    "texts_per_second": schema.number("Of `bulk`."),
    **FIGURES,
})  # fmt: skip
OF_ALL = {
    "profile": PROFILE,
    "status": schema.choice(
        "`final`: the order is known; `budget`: the budget ended before; `standing`: what was known so far.",
        "final", "budget", "standing",
    ),
    "reference": schema.text("The candidate that the others are held against.", needed=True),
    "keep": schema.numbers_by_name(
        "What must be kept at least: `ndcg`, a share of the reference's nDCG@10; `tasks`, of its scores on average; "
        "`overlap` of its top 10; or a least `cosine`.", needed=True,
    ),
    "budget_seconds": schema.seconds("What `--budget` allowed."),
    "why": schema.text("Why the winner is the one, or why there is none."),
    "absent": schema.texts("Platforms that are not usable here, and that nobody named: `fmbench backends` says why."),
}  # fmt: skip
KEEPS = schema.parts("What the winner's vectors keep in other types, one of each, as CODE lines have it.",
                     COMPRESSED.without("dataset"))  # fmt: skip
NAMES = [*FIGURES]
TOGETHER = schema.part("One index for the winners of both profiles, where these differ.", Schema({
    "queries": schema.text("Whose queries: the winner of `online`.", needed=True),
    "passages": schema.text("Whose passages: the winner of `bulk`.", needed=True),
    **{name: FIGURES[name] for name in NAMES[NAMES.index("least_cosine") : NAMES.index("kept") + 1]},
}))  # fmt: skip
CHOICE = Schema({
    **OF_ALL,
    "start": schema.time("Start of the run that says so: seconds since the epoch, nine decimals."),
    "candidates": schema.parts("Every candidate.", CANDIDATE, needed=True),
    "winner": schema.text("The one to run; null where none is known to be good enough."),
    "ties": schema.texts("What cannot be told from it in speed."),
    "compressed": KEEPS,
    "together": TOGETHER,
})  # fmt: skip
SECTION = Schema({
    **OF_ALL,
    "place": schema.text("`winner`, `tie` or null."),
    "raced": schema.count("Candidates of the profile that took a turn, the reference among them."),
    "untried": schema.count("Candidates that could run, and were not tried for lack of `--budget`."),
    "compressed": KEEPS,
    "together": TOGETHER,
    **FIGURES,
}, "A candidate of a choice: `variant` names it, `itl` is its `latency_ms`, `thp` its `texts_per_second`.")  # fmt: skip
