"""Which line belongs to which shape and run, and what happens to lines that are not what they should be."""

import pytest

from fmbench import lines

from .log_lines import LOG, RES, case, pair, phase, rep, sizes

# -- shapes


def test_repetitions_without_a_result_are_partial(read):
    printed = read(LOG, "FMWORK ARG --model_class C", "FMWORK ARG --model_name m", case(), rep(1, 9), rep(2, 4))
    (row,) = printed.rows
    assert (row["status"], row["itl"], row["thp"]) == ("PARTIAL", 4.0, 1000.0)
    assert (row["input"], row["batch"], row["model"], row["model_class"]) == (8, 4, "m", "C")
    assert (row["timestamp"], row["statistics"]["repetitions"], row["statistics"]["requested"]) == ("1.000000000", 2, 9)


def test_a_new_shape_leaves_the_open_one_partial(read):
    printed = read(LOG, case(16), rep(1, 3), case(), rep(1, 2), RES)
    assert printed.statuses == ["PARTIAL", "OK"]
    assert sizes(printed) == [(16, 4), (8, 4)]
    assert [row["statistics"]["cold"] for row in printed.rows] == [3.0, 2.0]


def test_a_shape_that_is_measured_twice_gives_two_rows(read):
    printed = read(LOG, case(), rep(1, 3), case(), rep(1, 2), RES)
    assert [(row["status"], row["statistics"]["cold"]) for row in printed.rows] == [("PARTIAL", 3.0), ("OK", 2.0)]


def test_shapes_of_a_log_of_old_are_known_by_their_banner(read):
    printed = read("FMWORK ARG --model_name m", "RUN 128 / 2", rep(1, 3), "RUN 256 / 2", rep(1, 4))
    assert printed.statuses == ["PARTIAL", "PARTIAL"]
    assert sizes(printed) == [(128, 2), (256, 2)]


def test_a_banner_is_any_programs_text_where_the_log_has_a_format(read):
    printed = read(LOG, case(), rep(1, 3), "RUN 1 / 5", rep(2, 3), RES)
    assert printed.statuses == ["OK"]
    assert printed.rows[0]["statistics"]["repetitions"] == 2


def test_results_without_repetitions(read):
    printed = read(RES, RES.replace(" 8 4 ", " 16 4 "))
    assert sizes(printed) == [(8, 4), (16, 4)]
    assert [row["statistics"] for row in printed.rows] == [None, None]


def test_repetitions_after_a_result_are_another_shapes(read):
    printed = read(rep(1, 3), RES, rep(1, 5), rep(2, 5))
    assert printed.statuses == ["OK", "PARTIAL"]
    assert sizes(printed)[1] == (None, None)
    assert (printed.rows[1]["itl"], printed.rows[1]["thp"]) == (5.0, None)


def test_a_result_takes_no_figures_of_another_shape(read):
    printed = read(LOG, case(16), rep(1, 3), RES)
    assert printed.statuses == ["PARTIAL", "OK"]
    assert printed.rows[1]["statistics"] is None


def test_a_failed_shape_keeps_its_repetitions(read):
    printed = read(LOG, case(), rep(1, 3), 'FMWORK ERR {"input_size": 8, "batch_size": 4, "type": "E"}', case(), RES)
    assert printed.statuses == ["ERR", "OK"]
    assert printed.rows[0]["statistics"]["repetitions"] == 1
    assert printed.rows[0]["error"] == {"type": "E", "message": None}
    assert (printed.rows[0]["itl"], printed.rows[0]["thp"]) == (None, None)


def test_a_failed_shape_without_sizes_is_the_open_one(read):
    assert sizes(read(LOG, case(), 'FMWORK ERR {"type": "E", "message": "m"}')) == [(8, 4)]


def test_a_shape_that_was_only_announced_gives_no_row(read):
    assert sizes(read(LOG, case(16), case(), RES)) == [(8, 4)]


def test_a_run_that_was_killed_in_its_warm_up_gives_a_row(read):
    printed = read(LOG, case(), RES, case(16), 'FMWORK PHASE {"name": "compile", "seconds": 2.5}')
    assert printed.statuses == ["OK", "PARTIAL"]
    row = printed.rows[1]
    assert [row[key] for key in ("timestamp", "itl", "thp", "statistics")] == [None] * 4
    assert (row["input"], row["warmup"]) == (16, 2.5)


def test_memory_of_another_shape_is_not_taken(read):
    printed = read(LOG, case(), 'FMWORK MEM {"input_size": 9, "batch_size": 4, "device_peak_bytes": 1}', RES)
    assert printed.rows[0]["memory"] is None


def test_a_recompilation_is_counted_where_its_repetition_counts(read):
    repetitions = [
        rep(index, 5).replace(f"REP {index} 9", f"REP {index} 10") for index in range(1, 11)
    ]  # the first two are left out
    times = dict.fromkeys(("cold", "min", "p50", "p90", "p95", "p99"), 5.0)
    said = {"n": 8, "dropped": 2, **times, "mad": 0.0, "recompiled_at": [0, 1, 2, 9], "ended": "precision"}
    result = "FMWORK RES 1.000000000 10.005000000 m C 8 4 5.000 800.0"
    statistics = read(LOG, case(reps=10), *repetitions, result, lines.JsonLine("STAT", said).format()).rows[0][
        "statistics"
    ]
    assert (statistics["recompiled"], statistics["stable"], statistics["ended"]) == (2, False, "precision")
    assert statistics["reason"] == "recompiled: the compiler ran in 2 of the repetitions that count"


# -- variants


def test_a_shape_of_another_variant_is_another_shape(read):
    first, second = case(variant="A"), case(variant="B")
    printed = read(LOG, first, rep(1, 3), RES, second, rep(1, 2), RES, first, rep(1, 4), second, rep(1, 5))
    assert [row["variant"] for row in printed.rows] == ["A", "B", "A", "B"]
    assert [row["statistics"]["cold"] for row in printed.rows] == [3.0, 2.0, 4.0, 5.0]
    assert printed.statuses == ["OK", "OK", "PARTIAL", "PARTIAL"]


def test_a_variants_facts_are_its_own(read):
    printed = read(
        LOG,
        'FMWORK ENV {"dtype": "float32", "threads": 4}',
        'FMWORK ENV {"variant": "B", "dtype": "bfloat16", "simulated": "yes"}',
        case(variant="A"), RES, case(variant="B"), RES,
        'FMWORK ENV {"variant": "B", "attention": "eager"}',
        'FMWORK ENV {"threads": 5}',
    )  # fmt: skip
    a, b = printed.rows
    assert a["environment"] == {"dtype": "float32", "threads": 5}
    assert b["environment"] == {"dtype": "bfloat16", "threads": 5, "simulated": "yes", "attention": "eager"}
    assert (a["precision"], b["precision"]) == ("float32", "bfloat16")
    assert printed.statuses == ["OK", "SIMULATED"]


def test_a_run_without_variants_takes_no_facts_of_one(read):
    assert read(LOG, 'FMWORK ENV {"variant": "B", "dtype": "x"}', case(), RES).rows[0]["environment"] is None


def test_a_variants_phases_are_its_own(read):
    of_the_run = [phase("import", 2), phase("load", 3, variant="A"), phase("load", 4, variant="B")]
    printed = read(
        LOG, *of_the_run, "FMWORK SETUP 3.0",
        case(variant="A"), phase("compile", 5, inside="repetition 1"), RES, case(variant="B"), RES,
    )  # fmt: skip
    a, b = printed.rows
    loads = [{"name": "import", "seconds": 2}, {"name": "load", "seconds": 3}]
    assert a["phases"] == [*loads, {"name": "compile", "seconds": 5, "inside": "repetition 1"}]
    assert b["phases"] == [loads[0], {"name": "load", "seconds": 4}]
    assert [(row["warmup"], row["setup"]) for row in (a, b)] == [(5.0, 3.0), (None, 4.0)]


def test_phases_before_the_first_shape_are_no_warm_up(read):
    row = read(LOG, phase("import", 2), "FMWORK SETUP 1.5", phase("load", 1), case(), RES).rows[0]
    assert (row["warmup"], row["setup"]) == (None, 1.5)
    assert [one["name"] for one in row["phases"]] == ["import", "load"]


def test_a_shape_without_phases(read):
    assert read(LOG, case(), RES).rows[0]["phases"] == []


def test_a_comparison_belongs_to_its_second_variant(read):
    blocks = [line for label in "ABC" for line in (case(variant=label), rep(1, 3), RES)]
    other = [case(16, variant="B"), RES.replace(" 8 4 ", " 16 4 ")]
    late = [pair("B", ratio=0.5), pair("C", reason="no pairs"), pair("D", ratio=3.0), pair("B", ratio=0.75)]
    printed = read(LOG, *blocks, *other, *late)
    assert [row["pair"] for row in printed.rows] == [
        None,
        {"a": "A", "b": "B", "ratio": 0.75},
        {"a": "A", "b": "C", "reason": "no pairs"},
        None,
    ]


def test_a_comparison_belongs_to_the_last_such_shape(read):
    blocks = [line for label in "ABAB" for line in (case(variant=label), RES)]
    printed = read(LOG, *blocks, pair("B", ratio=0.5))
    assert [row["pair"] is None for row in printed.rows] == [True, True, True, False]


def test_a_comparison_is_none_of_a_run_without_variants(read):
    assert read(LOG, case(), RES, pair("B", ratio=0.5)).rows[0]["pair"] is None


def test_what_a_late_line_says_goes_to_its_variant(read):
    printed = read(
        LOG, case(variant="A"), RES, case(variant="B"), RES,
        lines.JsonLine("MEM", {"input_size": 8, "batch_size": 4, "variant": "A", "model_bytes": 1}).format(),
        lines.JsonLine("ENERGY", {"input_size": 8, "batch_size": 4, "variant": "B", "joules": 2.5}).format(),
    )  # fmt: skip
    assert [row["memory"] for row in printed.rows] == [{"model_bytes": 1}, None]
    assert [row["energy"] for row in printed.rows] == [None, {"joules": 2.5}]


def test_a_variant_that_fails(read):
    failure = 'FMWORK ERR {"input_size": 8, "batch_size": 4, "variant": "B", "type": "E"}'
    arguments = ["FMWORK ARG --model_name m", "FMWORK ARG --model_class C"]
    facts = 'FMWORK ENV {"variant": "B", "model": "other", "model_class": "D"}'
    printed = read(LOG, *arguments, facts, case(variant="A"), rep(1, 3), RES, failure, pair("B", reason="no pairs"))
    assert [(row["status"], row["variant"]) for row in printed.rows] == [("OK", "A"), ("ERR", "B")]
    assert [(row["model"], row["model_class"]) for row in printed.rows] == [("m", "C"), ("other", "D")]
    assert printed.rows[1]["pair"]["reason"] == "no pairs"


CEILING = 'FMWORK CEIL {"dtype": "x", "flops_per_second": 4, "bytes_per_second": 2}'
STANDING = lines.JsonLine("CEIL", {"input_size": 8, "batch_size": 4, "flops": 3, "bytes": 1, "share": 0.75}).format()


@pytest.mark.parametrize(
    ("content", "roofline"),
    [
        ([case(), RES], None),
        ([CEILING, case(), RES], None),
        ([case(), RES, STANDING], {"flops": 3, "bytes": 1, "share": 0.75, "ceiling": None}),
        (
            ['FMWORK CEIL {"reason": "no"}', case(), RES, STANDING],
            {"flops": 3, "bytes": 1, "share": 0.75, "ceiling": {"reason": "no"}},
        ),
        ([CEILING, case(16), STANDING], None),
        (
            [CEILING, 'FMWORK CEIL {"variant": "B", "dtype": "y"}', case(variant="B"), RES, STANDING],
            {"flops": 3, "bytes": 1, "share": 0.75, "ceiling": {"dtype": "y"}},
        ),
        (
            [CEILING, 'FMWORK CEIL {"variant": "B", "dtype": "y"}', case(variant="A"), RES, STANDING],
            {
                "flops": 3,
                "bytes": 1,
                "share": 0.75,
                "ceiling": {"dtype": "x", "flops_per_second": 4, "bytes_per_second": 2},
            },
        ),
    ],
)
def test_a_roofline_is_a_shapes_standing_under_its_variants_ceiling(read, content, roofline):
    assert read(LOG, *content).rows[0]["roofline"] == roofline


# -- runs


def test_several_runs_in_one_file_share_nothing(read):
    first = [LOG, "FMWORK ARG --platform a", "FMWORK ARG --dtype x", 'FMWORK ENV {"dtype": "x"}', "FMWORK SETUP 1.5"]
    printed = read(*first, case(), RES, LOG, "FMWORK ARG --platform b", case(), RES)
    assert [row["opts"] for row in printed.rows] == [["--platform a", "--dtype x"], ["--platform b"]]
    assert [row["setup"] for row in printed.rows] == [1.5, None]
    assert [row["environment"] for row in printed.rows] == [{"dtype": "x"}, None]


def test_arguments_begin_a_run_in_a_log_of_old(read):
    printed = read(
        "FMWORK ARG --platform a", "FMWORK SETUP 1.5", RES, "FMWORK ARG --eval True", "FMWORK ARG --platform b", RES
    )
    assert [row["opts"] for row in printed.rows] == [["--platform a"], ["--eval True", "--platform b"]]
    assert [row["setup"] for row in printed.rows] == [1.5, None]


def test_an_argument_that_comes_again_begins_a_run(read):
    """The first run ended before it set anything up."""
    printed = read("FMWORK ARG --platform a", "FMWORK ARG --x 1", "Traceback ...", "FMWORK ARG --platform b", RES)
    assert printed.rows[0]["opts"] == ["--platform b"]


def test_an_argument_may_be_given_twice_where_the_log_has_a_format(read):
    printed = read(LOG, "FMWORK ARG --vs a", "FMWORK ARG --vs b", case(), RES)
    assert [row["opts"] for row in printed.rows] == [["--vs a", "--vs b"]]


def test_a_run_that_follows_a_killed_one(read):
    printed = read(LOG, "FMWORK SETUP 1.5", case(), rep(1, 3), rep(2, 3)[:45] + LOG, case(), rep(1, 2), RES)
    assert printed.statuses == ["PARTIAL", "OK"]
    assert [row["statistics"]["repetitions"] for row in printed.rows] == [1, 1]
    assert [row["setup"] for row in printed.rows] == [1.5, None]
    assert "run.log:5: FMWORK REP: " in printed.warnings[0]


def test_a_newer_format_is_refused(read):
    printed = read('FMWORK LOG {"format": 2}', RES)
    assert printed.code == 2
    (line,) = printed.warnings
    assert "run.log:1: the log has format 2" in line
    assert "upgrade" in line


# -- logs of fmwork


def test_the_environment_that_fmworks_runner_lists_is_passed_over(read):
    listed = ("FMWORK EXP A=1", "", "FMWORK ENV PATH=/bin", "FMWORK ENV BASH_FUNC_x%%=() { echo", "FMWORK ENV }")
    printed = read(*listed, "FMWORK ARG --model_class C", "RUN 8 / 4", rep(1, 3), RES)
    assert (printed.statuses, printed.warnings) == (["OK"], [])
    assert "no JSON object" in read(LOG, "FMWORK ENV PATH=/bin", case(), rep(1, 3), RES).warnings[0]
    assert "no JSON object" in read('FMWORK ENV {"platform": ', RES).warnings[0]


def test_a_result_that_is_no_number_has_failed_and_says_why(read):
    (row,) = read("RUN 8 / 4", rep(1, 3), RES.replace("2.000 2000.0", "nan nan")).rows
    assert (row["status"], row["itl"], row["thp"]) == ("ERR", None, None)
    assert row["error"] == {
        "type": "NoFigure",
        "message": "RES says nan, as fmwork does of one repetition alone: it leaves the first one out",
    }
