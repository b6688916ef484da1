"""The fields of the lines of speed, and of the sections that its rows have."""

from dataclasses import replace

from ..reading.fields import PLACE
from ..reading.schema import Schema, anything, count, counts, interval, number, numbers, part, text, truth

REASON = text("Why a figure is missing, or null.")

CASE = Schema({
    **{key: replace(PLACE[key], needed=True) for key in ("input_size", "batch_size")},
    "tokens": count("Tokens a batch."),
    "reps": count("Repetitions that will run at most; 10,000 where none was given."),
    "precision": number("Share of the median that half its interval must not exceed for the repetitions to end; null "
                        "for none."),
    "max_seconds": number("What ends the repetitions; null for none.", "seconds"),
    "flops": count("Floating-point operations of one forward pass, counted; null where they cannot be."),
    "bytes": count("What one forward pass moves: weights, and each intermediate tensor twice.", "bytes"),
    "variant": PLACE["variant"],
    "overrides": text("What the command line of the variant has besides that of `A`."),
})  # fmt: skip
STATISTICS = Schema({
    "n": count("Repetitions that count.", needed=True),
    "dropped": count("First repetitions that were left out.", needed=True),
    "cold": number("The very first repetition.", "milliseconds", needed=True),
    "min": number("The fastest that counts.", "milliseconds", needed=True),
    "p50": number("Median of those that count.", "milliseconds", needed=True),
    "p90": number("90th percentile, interpolated linearly.", "milliseconds", needed=True),
    "p95": number("95th percentile.", "milliseconds", needed=True),
    "p99": number("99th percentile.", "milliseconds", needed=True),
    "mean": number("Arithmetic mean of those that count.", "milliseconds"),
    "mad": number("Median absolute deviation from the median, unscaled.", "milliseconds", needed=True),
    "interval": interval("95% bootstrap interval of the median, as wide as the repetitions' correlation makes it.",
                         "milliseconds"),
    "effective": number("How many independent repetitions those that count are worth: fewer, where slow ones follow "
                        "slow ones. Null in results of before it was said."),
    "drift": number("Change from the median of the first third to that of the last, as a share: 0.05 is 5% slower."),
    "drift_p": number("How likely chance alone makes such a trend: two-sided p of Spearman's rank correlation with the "
                      "order; 1 for fewer than 8."),
    "outliers": count("Those that count and lie more than 3.5 scaled median absolute deviations from the median."),
    "recompiled": count("Repetitions that count and in which the compiler ran."),
    "preemptions": number("How often a second the system took a CPU away from the process. Null where nobody counted, "
                          "or where the platform's threads give it away themselves."),
    "stable": truth("Whether the median can be trusted."),
    "reason": text("Why it cannot: the first reason that holds. Null where it can."),
    "ended": text("What ended the repetitions: `reps` (as many as asked for), `precision` (the median is known well "
                  "enough), `seconds` (the time was used up). Null where the log does not say."),
    "waiting": number("Threads that stood in line for a CPU, on average, where preemptions are not counted. Null "
                      "elsewhere."),
    "handover": number("What a cache line takes from the last usable CPU to the first, right after the repetitions, "
                       "where preemptions are not counted. Null elsewhere, and where it is not known.", "nanoseconds"),
    "in_line": number("The share of the time that its threads wanted a CPU in which they stood in line for one. Null "
                      "where the kernel does not count it, where the platform's threads give their CPU away "
                      "themselves, and where the log does not say."),
    "graph": text("Which graph of a compiler computed the shape: `static`, its own, or `dynamic`, one for several "
                  "shapes. Null where no compiler did, where it does not show, and where the log does not say."),
    "throttled": number("The share of the periods of a CPU quota (control group) in which it stopped the process. Null "
                        "without a quota."),
    "interval_limit": number("Half the interval's width, as a share of the median, up to which the median counts as "
                             "known: what --precision asked for, else 0.02."),
}, "Of the repetitions in the log; where it has none, the data of the STAT line.")  # fmt: skip
STAT = Schema({
    **PLACE,
    **STATISTICS.fields,
    "recompiled_at": counts("The repetitions in which the compiler ran, counted from 0; the very first, which compiles "
                            "anyway, is not listed."),
    "achieved_flops_per_second": anything("As in CEIL, where that is known.", "number"),
    "roofline_share": anything("The `share` of CEIL.", "number"),
    "bound": anything("As in CEIL.", "text"),
})  # fmt: skip
MEMORY = Schema({
    "device_peak_bytes": count("The most that the device's allocator held while the shape was measured, weights "
                               "included. Null where the platform does not count.", "bytes"),
    "host_peak_bytes": count("The most that the process had resident on the host meanwhile. Null where it cannot be "
                             "told.", "bytes"),
    "model_bytes": count("The model's weights.", "bytes"),
    "reason": REASON,
}, "Memory of the shape, where the platform counts it.")  # fmt: skip
ENERGY = Schema({
    "joules": number("By the device's own counter, from the end of the first repetition, which may compile, to the "
                     "end of the last. Null where there is none.", "joules"),
    "joules_per_sequence": number("Joules over the sequences of all repetitions but the first, those that RES leaves "
                                  "out included.", "joules"),
    "seconds": number("What the joules were counted over.", "seconds"),
    "source": text("The counter."),
    "reason": REASON,
}, "Energy of the shape's repetitions, or why it is not known. Null where the log says nothing of it.")  # fmt: skip
LIMITS = Schema({
    "dtype": text("The type that was computed in."),
    "flops_per_second": number("Of a large matrix product.", "FLOP/s"),
    "bytes_per_second": number("Of a large copy, each byte read and written.", "bytes/s"),
    "reason": text("Why there are none, or null."),
})  # fmt: skip
STANDING = Schema({
    "flops": count("Floating-point operations of one forward pass, counted: those of CASE."),
    "bytes": count("Bytes that one forward pass moves, counted: those of CASE.", "bytes"),
    "achieved_flops_per_second": number("`flops` over the median latency.", "FLOP/s"),
    "attainable_flops_per_second": number("The lower of the limit of arithmetic and that of memory, `bytes_per_second` "
                                          "times `flops` / `bytes`.", "FLOP/s"),
    "share": number("Achieved over attainable; 1 is the limit."),
    "bound": text("Which limit is the lower: `compute` or `bandwidth`."),
    "reason": REASON,
})  # fmt: skip
ROOFLINE = Schema({
    **STANDING.fields,
    "ceiling": part("The limits that were measured in this run. Null where the log has none.", LIMITS),
}, "Where the shape stands below the device's limits. Null where they were not measured.")  # fmt: skip
CEIL = Schema(
    PLACE,
    form=lambda data: "limits" if data.get("input_size") is data.get("batch_size") is None else "standing",
    forms={"limits": LIMITS.fields, "standing": STANDING.fields},
)
PROCESSES = Schema({
    "n": count("Processes that gave a figure.", needed=True),
    "requested": count("Processes that were asked for.", needed=True),
    "p50": number("Median of their medians: the figure of the shape.", "milliseconds", needed=True),
    "interval": interval("95% bootstrap interval of that median, between the processes; of few, the least and the "
                         "greatest.", "milliseconds"),
    "ratio": number("The slowest over the fastest. Null where the fastest took no time."),
    "stable": truth("Whether the processes agree."),
    "reason": text("Why they do not, or null: `processes` where one gave no figure, or where the intervals of the "
                   "fastest and the slowest do not meet and their medians differ by more than 4% of `p50`."),
}, "Of a shape that several processes measured: how they differ. The same in the row of each.")  # fmt: skip
PROC = Schema({
    **PLACE, **PROCESSES.fields, "medians": numbers("`p50` of the STAT line of each, in order.", "milliseconds"),
})  # fmt: skip
PAIR = Schema({
    "a": text("The variant compared with."),
    "b": text("The variant that is compared.", needed=True),
    "overrides": text("What the command line of `b` has besides that of `a`."),
    "same_as": text("An earlier variant that is the same configuration, so that any difference is noise."),
    "n": count("Pairs that count, after the first fifth."),
    "ratio": number("Median duration of `b` over that of `a`: below 1, `b` is faster. Null where there is no answer."),
    "interval": interval("95% bootstrap interval of the ratio, resampling pairs."),
    "detectable": number("The smallest difference, as a share, that such a run finds in 4 of 5 cases. Null where there "
                         "is no answer."),
    "p": number("Two-sided p of the Wilcoxon signed-rank test of the pairs' log ratios."),
    "verdict": text("`faster` or `slower` where `p` is below 1%, the interval leaves 1 out and the ratio is more than "
                    "0.5% from 1, else `no significant difference`; null where a variant failed or there are fewer "
                    "than 8 pairs."),
    "reason": text("Why there is no answer; or, where the interval leaves 1 out and there is no significant "
                   "difference, why not."),
}, "In an A/B run, this variant against A: repetitions of both were taken in turns, on the same inputs.")  # fmt: skip
KINDS = {
    "CASE": CASE,
    "MEM": Schema({**PLACE, **MEMORY.fields}),
    "ENERGY": Schema({**PLACE, **ENERGY.fields}),
    "CEIL": CEIL,
    "STAT": STAT,
    "PROC": PROC,
    "PAIR": Schema({**PLACE, **PAIR.fields}),
}
SECTIONS = {
    "statistics": Schema({
        **STATISTICS.fields,
        "repetitions": count("Repetitions in the log, the dropped ones included."),
        "requested": count("Repetitions that were asked for."),
    }, STATISTICS.means),
    "memory": MEMORY,
    "energy": ENERGY,
    "roofline": ROOFLINE,
    "pair": PAIR,
    "processes": PROCESSES,
}  # fmt: skip
