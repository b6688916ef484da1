"""The lines of `fmbench load`, field by field, and what its rows have."""

from dataclasses import replace

from ..reading import schema
from ..reading.schema import Schema

RUN = schema.count("Which run of the log, from 1.", needed=True)
REQUESTS = Schema({
    "run": RUN,
    "first": schema.count("The place of the first request of the line among those of the run, in the order of when "
                          "they were due.", needed=True),
    "due_us": schema.numbers("When each request was due: microseconds from the start of the run.", "microseconds"),
    "latency_us": schema.counts("From when it was due to its last byte, or to its failure.", "microseconds",
                                needed=True),
    "failed": schema.pairs("Those that failed: the place of each in the run, and its status (0: none came)."),
})  # fmt: skip
SETTING = {
    "scenario": schema.choice(
        "`single`: one after the other; `closed`: each client sends when it has its answer; `open`: when a request is "
        "due; `offline`: closed, as fast as the service can; `trace`: as a file says; `slo`: the limit of open runs.",
        "single", "closed", "open", "offline", "trace", "slo",
    ),
    "inputs_per_request": schema.count("Texts a request.", needed=True),
    "concurrency": schema.count("Clients that wait for their answers."),
    "rate": schema.number("Requests a second that are due."),
    "arrivals": schema.text("`poisson` or `constant`."),
}  # fmt: skip
FAILURE = Schema({
    "status": schema.count("Of the answer; null where none came."),
    "said": schema.text("What its body says, or the error; numbers of three digits and more are N."),
    "count": schema.count("How often.", needed=True),
})  # fmt: skip
FIGURES = {
    "processes": schema.count("Client processes."),
    "ended": schema.choice("`done`, `interrupted` or `gone`: nobody answered any more.", "done", "interrupted", "gone"),
    "seconds": schema.seconds("From the start to the last answer."),
    "requests": schema.count("Requests that were sent, failed ones among them.", needed=True),
    "answered": schema.count("Those that were answered with vectors.", needed=True),
    "failed": schema.count("Those that were not; none is sent again.", needed=True),
    "unsent": schema.count("Those that were not sent, since nobody answered any more."),
    "errors": schema.parts("How requests failed, by status and body.", FAILURE),
    "latency_ms": schema.numbers_by_name(
        "Percentiles over all requests, from when each was due to its last byte; one that failed never ended, and a "
        "percentile that falls among such is missing. Between two requests it is interpolated linearly: of up to 101 "
        "requests the p99 is from the slowest two.", "milliseconds",
    ),
    "intervals": schema.intervals_by_name(
        "Their 95% intervals, wider where neighbours are correlated; none where it has no upper end, as of the p99 of "
        "fewer than about 560 requests."
    ),
    "max_ms": schema.number("The longest answer.", "milliseconds"),
    "requests_per_second": schema.number("Answered ones."),
    "texts_per_second": schema.number("Texts of answered requests."),
    "tokens": schema.count("Tokens of answered requests, as the service counts them."),
    "tokens_per_second": schema.number("The same a second."),
    "joules_per_million_tokens": schema.number(
        "What the device took from the start of the run to its end, where `fmbench serve` counts it.", "joules"
    ),
    "joules_reason": schema.text("Why that is null although the service counts."),
    "goodput": schema.number("Requests a second that were answered within `--slo`."),
    "lag_ms": schema.numbers_by_name("How late this client itself sent: after a request was due.", "milliseconds"),
    "parts_ms": schema.numbers_by_name(
        "Means of answered requests: `connect` (of those that opened a connection), `send`, `wait` (to the first byte "
        "of the answer), `receive`.", "milliseconds",
    ),
    "server_ms": schema.numbers_by_name("The service's own means, where it says them.", "milliseconds"),
    "look_again_seconds": schema.seconds(
        "In which `fmbench serve` computed texts once more, to see that each still has its own vector; who came then "
        "waited. Null where the service does not say it."
    ),
    "decode_ms": schema.number("What decoding an answer takes a client, outside of the latency.", "milliseconds"),
    "client_cpu": schema.number("Share of a core that a client process took."),
    "timeout": schema.seconds("Of a request."),
    "steady": schema.truth("Whether latencies were steady from some moment within the first half on (MSER-5)."),
    "steady_from": schema.seconds("That moment, from the start."),
}  # fmt: skip
LOAD = Schema({
    "run": RUN,
    "start": schema.time("Start of the run: seconds of the epoch, nine decimals."),
    **SETTING,
    **FIGURES,
    "warmup": schema.numbers_by_name("Seconds, requests and failed ones before it, which are in no figure."),
})  # fmt: skip
ANSWERS = {
    "verdict": schema.choice(
        "`right`: the reference's, as far as was looked; `consistent`: there is no reference, and nothing contradicts "
        "itself; `wrong`.",
        "right", "consistent", "wrong",
    ),
    "faults": schema.numbers_by_name("What was wrong, and with how many vectors.", needed=True),
    "answers": schema.count("Answers that were looked at, drawn over the run."),
    "expected": schema.count("The vectors that these should have had: each stands once in `faults`, or is as it should "
                             "be; earlier logs say of some faults how many answers have them."),
    "vectors": schema.count("Those that could be looked at: they came, in the right number and dimension, and are no "
                            "NaN and no zeros."),
    "least": schema.number("The cosine below which a vector is another one.", needed=True),
    "reference": schema.text("The model, or the capture, that the answers are held against."),
    "reference_dtype": schema.text("What the reference's vectors were computed in; earlier logs: float32."),
    "role": schema.text("Whose prompt the reference has before a text."),
    "least_cosine": schema.number("With the reference's vector of the same text."),
    "mean_cosine": schema.number("The mean of the same."),
    "median_cosine": schema.number("The median of the same."),
    "least_median": schema.number("The cosine below which the median is another prompt, length or pooling for all: ten "
                                  "times nearer to 1 than `least`; null where the service computes in a smaller type."),
    "reference_normalised": schema.truth("Whether the reference's vectors are one long; of a capture unknown."),
    "normalised": schema.truth("Whether all vectors are one long."),
    "norms": schema.interval("The least and the greatest length of a vector."),
    "repeated": schema.count("Vectors of a text that was there before."),
    "repeated_equal": schema.count("Those that are the same to the last bit."),
    "repeated_least_cosine": schema.number("Least cosine with the first vector of the same text."),
}  # fmt: skip
VECTORS = Schema({"run": RUN, **ANSWERS})
PROBE = Schema({
    "rate": schema.number("Requests a second.", needed=True),
    "requests": schema.count("Requests that were due."),
    "late": schema.count("Those that took longer than the SLO, or failed."),
    "lagged": schema.count("Those that this client itself sent later than a twentieth of the SLO after they were due."),
    "p99_ms": schema.number("Its p99.", "milliseconds"),
    "failed": schema.number("Share of requests that failed."),
    "keeps": schema.truth("Whether it was within the SLO."),
    "sure": schema.truth("Whether the interval of its p99 leaves no doubt of that."),
})  # fmt: skip
LIMITS = {
    "slo_ms": schema.number("What p99 has to keep.", "milliseconds", needed=True),
    "errors": schema.number("The share of requests that may fail.", needed=True),
    "capacity": schema.number("Requests a second that 64 clients got, at which no rate keeps it."),
    "rate": schema.number("The largest rate a second that keeps both; null where none is known."),
    "interval": schema.interval("Its 95% interval, or between which rates it is; none where it is a bound."),
    "bound": schema.text("`at least` or `at most`, where the rate is no more than a bound."),
    "ended": schema.text("`known` (to 4%), `probes` (as many as there may be), `never` (it keeps at no rate), `late` "
                         "(this client itself was, three times at one rate) or `unknown`."),
    "probes": schema.parts("The runs that it is from.", PROBE),
}  # fmt: skip
LIMIT = Schema({"inputs_per_request": schema.count("Texts a request.", needed=True), **LIMITS})
SECTION = Schema(
    {
        **SETTING,
        **{key: replace(one, needed=False) for key, one in FIGURES.items()},
        "answers": schema.part("Whether the vectors were right.", Schema(ANSWERS)),
        "limit": schema.part("The largest rate within the SLO; in a row of its own.", Schema(LIMITS)),
    },
    "A run under load: `itl` is the p50 of its latency, `thp` its texts a second, `batch` its texts a request. Or the "
    "limit that several runs show: `thp` are the texts a second of the largest rate.",
)
