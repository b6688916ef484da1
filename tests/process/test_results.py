"""The records: which keys, which figures, held against logs whose figures are known."""

import json

import pytest

from fmbench import lines
from fmbench.process.reading.results import read_results
from fmbench.process.reading.row_schema import published_schema
from fmbench.process.reading.sources import find_sources

from .log_lines import KINDS, LOG, RES, case

KEYS = [
    "timestamp", "metadata_id", "engine", "model", "precision", "input", "output", "batch", "tp", "opts", "warmup",
    "setup", "ttft", "itl", "thp", "model_class", "status", "statistics", "memory", "energy", "roofline",
    "environment", "schema", "variant", "pair", "phases", "error", "retrieval", "distillation", "processes", "doubt",
    "machine", "overrides", "fidelity", "workload", "configuration", "cell",
]  # fmt: skip


def test_the_published_example(process, golden):
    printed = process("--path", golden / "seed-example.log", "--metadata_id", "x")
    (row,) = printed.rows
    assert printed.warnings == []
    assert {key: row[key] for key in KEYS[:15]} == {
        "timestamp": "1108911.088153850",
        "metadata_id": "x",
        "engine": "fmwork/embed/tf",
        "model": "ibm-granite/granite-embedding-125m-english",
        "precision": None,
        "input": 128,
        "output": 1,
        "batch": 1,
        "tp": 1,
        "opts": [],
        "warmup": None,
        "setup": None,
        "ttft": None,
        "itl": 3.691,
        "thp": 270.9,
    }
    assert (row["model_class"], row["status"], row["environment"]) == ("RobertaModel", "OK", None)
    # Six of the hundred repetitions are in the example: the first is left out, the middle one of five is the median.
    statistics = row["statistics"]
    assert (statistics["repetitions"], statistics["requested"]) == (6, 100)
    assert (statistics["n"], statistics["dropped"]) == (5, 1)
    assert (statistics["cold"], statistics["min"], statistics["p50"]) == (757.057369, 3.697189, 3.702621)
    assert statistics["mad"] == pytest.approx(0.005432, abs=1e-9)


def test_keys_and_their_order(process, golden):
    for name in ("seed-example.log", "format-1.log"):
        for row in process("--path", golden / name).rows:
            assert list(row) == KEYS


def test_a_whole_run(process, golden):
    printed = process("--path", golden / "format-1.log")
    rows = printed.rows[:4]
    assert printed.warnings == []
    assert [row["status"] for row in rows] == ["OK", "OK", "ERR", "PARTIAL"]
    assert [(row["input"], row["batch"]) for row in rows] == [(128, 1), (512, 1), (128, 8), (512, 8)]
    assert [row["itl"] for row in rows] == [3.782, 20.075, None, 80.375]
    assert [row["thp"] for row in rows] == [264.4, 49.8, None, 99.5]
    assert [row["warmup"] for row in rows] == [13.875, 0.003, None, None]
    assert [row["statistics"]["repetitions"] for row in rows] == [5, 5, 1, 3]
    for row in rows:
        assert (row["variant"], row["pair"]) == (None, None)
        assert (row["setup"], row["precision"], row["schema"]) == (1.25, "float32", 1)
        assert (row["model"], row["model_class"]) == ("org/my model", "RobertaModel")
        assert row["opts"][1] == "--compile:backend inductor"
        assert row["environment"]["packages"] == {"torch": "2.9.0", "transformers": "4.57.0"}
        assert row["environment"]["attention"] == "sdpa"  # printed late, and true of every shape


def test_what_a_whole_run_says_besides(process, golden):
    rows = process("--path", golden / "format-1.log").rows[:4]
    memory = {
        "device_peak_bytes": 734003200,
        "host_peak_bytes": 1610612736,
        "model_bytes": 498582528,
        "reason": None,
    }
    assert [row["memory"] for row in rows] == [memory, memory, None, None]
    assert [row["energy"] and row["energy"]["joules"] for row in rows] == [27.5, None, None, None]
    assert rows[1]["energy"]["reason"] == "0.10 s are too short for the counter; 0.5 s is the least"
    ceiling = {"dtype": "float32", "flops_per_second": 9400000000000, "bytes_per_second": 250000000000}
    assert rows[0]["roofline"] == {
        "flops": 22000000000,
        "bytes": 420000000,
        "achieved_flops_per_second": 5817028027499,
        "attainable_flops_per_second": 9400000000000,
        "share": 0.6188,
        "bound": "compute",
        "ceiling": ceiling,
    }
    assert [row["roofline"] and row["roofline"]["ceiling"] for row in rows] == [ceiling, ceiling, None, None]


def test_phases_are_the_runs_and_then_the_shapes(process, golden):
    rows = process("--path", golden / "format-1.log").rows[:4]
    of_the_run = [{"name": "import", "seconds": 4.125}, {"name": "load", "seconds": 1.25}]
    assert [row["phases"][:2] for row in rows] == [of_the_run] * 4
    assert [row["phases"][2:] for row in rows] == [
        [
            {"name": "compile", "seconds": 12.5},
            {"name": "deploy", "seconds": 0.75},
            {"name": "compile", "seconds": 0.625, "inside": "repetition 1"},
        ],
        [{"name": "recompile", "seconds": 0.003, "inside": "repetition 4"}],
        [],
        [],
    ]


def test_a_run_that_compares_variants(process, golden):
    a, b, c = process("--path", golden / "format-1.log").rows[4:]
    assert [row["variant"] for row in (a, b, c)] == ["A", "B", "C"]
    assert [row["status"] for row in (a, b, c)] == ["OK", "OK", "ERR"]
    assert [row["precision"] for row in (a, b, c)] == ["float32", "bfloat16", "float32"]
    assert [row["model"] for row in (a, b, c)] == ["org/my model", "org/my model", "org/huge"]
    assert [row["setup"] for row in (a, b, c)] == [1.5, 0.75, 9.0]
    assert [row["phases"][1] for row in (a, b, c)] == [
        {"name": "load", "seconds": seconds} for seconds in (1.5, 0.75, 9.0)
    ]
    assert [(row["itl"], row["statistics"]["cold"]) for row in (a, b)] == [(8.204, 40.0), (6.107, 31.0)]
    assert [row["roofline"]["ceiling"]["dtype"] for row in (a, b)] == ["float32", "bfloat16"]
    assert [row["roofline"]["bound"] for row in (a, b)] == ["compute", "bandwidth"]
    assert [row["environment"].get("attention") for row in (a, b, c)] == ["sdpa", "sdpa", None]
    assert a["opts"][-2:] == ["--vs --model:dtype@ torch.bfloat16", "--vs --model_name org/huge"]
    assert a["pair"] is None
    assert b["pair"] == {
        "a": "A",
        "b": "B",
        "overrides": "--model:dtype@ torch.bfloat16",
        "n": 10,
        "ratio": 0.744357,
        "interval": [0.743611, 0.744877],
        "p": pytest.approx(0.005062, abs=1e-6),
        "verdict": "faster",
    }
    assert (c["pair"]["ratio"], c["pair"]["reason"]) == (None, "0 and 0 repetitions are no pairs")
    assert (c["error"]["type"], "variant" in c["error"]) == ("OutOfMemoryError", False)


def test_the_golden_logs_hold_every_kind_of_line(golden):
    text = "".join(path.read_text() for path in golden.parent.glob("golden*/*-1.log"))
    assert [kind for kind in KINDS if f"FMWORK {kind} " not in text] == []


def test_statistics_from_repetitions_agree_with_the_drivers_own(process, golden):
    path = golden / "format-1.log"
    stats = [json.loads(line[12:]) for line in path.read_text().splitlines() if line.startswith("FMWORK STAT ")]
    measured = [row["statistics"] for row in process("--path", path).rows if row["status"] == "OK"]
    for statistics, stat in zip(measured, stats, strict=True):
        for key in ("n", "dropped", "outliers", "recompiled", "preemptions", "stable", "reason", "ended"):
            assert statistics[key] == stat.get(key)
        for key in ("cold", "min", "p50", "p90", "p95", "p99", "mean", "mad", "interval", "drift", "drift_p"):
            assert statistics[key] == pytest.approx(stat[key], abs=6e-7), key  # the log has six decimals
    assert [statistics["recompiled"] for statistics in measured] == [0, 1, 0, 0]
    assert measured[1]["reason"] == "recompiled: the compiler ran in 1 of the repetitions that count"


def test_the_keys_of_statistics(process, golden):
    for row in process("--path", golden / "format-1.log").rows:
        if row["statistics"] is not None:
            assert list(row["statistics"]) == [
                "n", "dropped", "cold", "min", "p50", "p90", "p95", "p99", "mean", "mad", "interval", "effective",
                "drift", "drift_p", "outliers", "recompiled", "preemptions", "stable", "reason", "ended", "repetitions",
                "requested", "throttled", "interval_limit", "graph", "waiting", "handover",
                "in_line",
            ]  # fmt: skip


def test_every_key_is_described_and_so_is_every_unit():
    def bare(schema, above):
        for key, field in schema.get("properties", {}).items():
            yield from [] if field.get("description") else [above + key]
            yield from bare(field, f"{above}{key}.")

    assert list(bare(json.loads(published_schema())["items"], "")) == []


def test_an_error_row_says_why(process, golden):
    row = process("--path", golden / "format-1.log").rows[2]
    assert row["error"] == {
        "type": "OutOfMemoryError",
        "message": "tried to allocate 2.00 GiB",
        "out_of_memory": True,
        "where": "functional.py:2290",
    }
    assert row["timestamp"] == "1763680000.876587774"
    assert row["statistics"]["cold"] == 22.0


def test_statistics_of_a_log_without_repetitions_come_from_its_stat_line(read):
    data = dict.fromkeys(("n", "dropped", "cold", "min", "p50", "p90", "p95", "p99", "mad"), 2)
    sizes = {"input_size": 8, "batch_size": 1}
    row = read("FMWORK RES 1.0 2.0 m C 8 1 2.000 500.0", lines.JsonLine("STAT", {**sizes, **data}).format()).rows[0]
    assert row["statistics"] == data
    assert row["timestamp"] == "1.000000000"


def test_a_stat_line_alone_keeps_what_is_known(read):
    data = dict.fromkeys(("n", "dropped", "cold", "min", "p50", "p90", "p95", "p99", "mad"), 2)
    more = {"mean": 2.5, "drift": None, "stable": True, "recompiled_at": [1], "ended": "seconds"}
    line = lines.JsonLine("STAT", {"input_size": 8, "batch_size": 1, **data, **more}).format()
    row = read("FMWORK RES 1.0 2.0 m C 8 1 2.000 500.0", line).rows[0]
    assert row["statistics"] == {**data, "mean": 2.5, "stable": True, "ended": "seconds"}


def test_a_simulated_platform(read):
    printed = read(
        'FMWORK LOG {"format": 1}',
        'FMWORK CASE {"input_size": 8, "batch_size": 1}',
        "FMWORK RES 1.0 2.0 m C 8 1 2.000 500.0",
        'FMWORK ENV {"simulated": "no device"}',
        'FMWORK ERR {"input_size": 16, "batch_size": 1, "type": "E", "message": "m"}',
        'FMWORK CASE {"input_size": 32, "batch_size": 1}',
        "FMWORK REP 1 9 1.000000000 2.000000000 1.000000000",
    )
    assert printed.statuses == ["SIMULATED", "ERR", "PARTIAL"]


@pytest.mark.parametrize(("fact", "precision"), [('"bfloat16"', "bfloat16"), ("null", None), ("16", None)])
def test_precision(read, fact, precision):
    row = read(f'FMWORK ENV {{"dtype": {fact}}}', "FMWORK RES 1.0 2.0 m C 8 1 2.000 500.0").rows[0]
    assert row["precision"] == precision


def test_the_precision_really_used_comes_before_the_weights_dtype(read):
    row = read('FMWORK ENV {"dtype": "float32", "precision": "bf16"}', "FMWORK RES 1.0 2.0 m C 8 1 2.000 500.0").rows[0]
    assert (row["precision"], row["environment"]["dtype"]) == ("bfloat16", "float32")
    assert row["environment"]["precision"] == "bfloat16"


@pytest.mark.parametrize(
    ("said", "spelling"),
    [("f32", "float32"), ("fp16", "float16"), ("torch.bfloat16", "bfloat16"), ("bf16,f32", "bfloat16,float32"),
     ("int4", "int4")],
)  # fmt: skip
def test_a_type_has_one_spelling(said, spelling, read):
    (row,) = read(f'FMWORK ENV {{"precision": "{said}"}}', "FMWORK RES 1.0 2.0 m C 8 1 2.000 500.0").rows
    assert row["precision"] == spelling


def test_results_of_before_are_spelled_and_completed_when_read(tmp_path):
    old = {
        "status": "OK", "precision": "bf16", "environment": {"precision": "bf16", "cpu": "X", "cpus": 2},
        "variant": "B", "pair": {"a": "A", "b": "B", "overrides": "--threads 1"},
    }  # fmt: skip
    (tmp_path / "old.jsonl").write_text(json.dumps(old) + "\n")
    (result,) = read_results(find_sources([str(tmp_path / "old.jsonl")]), print)
    assert result.row["precision"] == result.row["environment"]["precision"] == "bfloat16"
    assert result.row["overrides"] == "--threads 1" and result.row["machine"].startswith("x-2-cores-")


def test_the_machine_is_what_a_store_calls_it(read):
    facts = (
        'FMWORK ENV {"cpu": "X", "cpus": 2, "machine": "x86_64"}',
        'FMWORK ENV {"device_name": "D", "variant": "B"}',
    )
    rows = read(LOG, *facts, case(variant="A"), RES, case(variant="B", overrides="--x 1"), RES).rows
    assert len({row["machine"] for row in rows}) == 1 and rows[0]["machine"].startswith("d-")
    assert [row["overrides"] for row in rows] == [None, "--x 1"]


def test_figures_that_json_cannot_say_are_null(read):
    row = read("FMWORK RES 1.0 1.0 m C 8 1 0.000 inf").rows[0]
    assert (row["itl"], row["thp"], row["status"]) == (0.0, None, "OK")


def test_times_that_are_zero_have_no_throughput(read):
    row = read('FMWORK CASE {"input_size": 8, "batch_size": 4}', "FMWORK REP 1 9 1.000000000 1.000000000 0.000000000")
    assert (row.rows[0]["itl"], row.rows[0]["thp"]) == (0.0, None)


def test_short_latencies_and_low_throughputs_keep_their_digits(read):
    """RES has three decimals of a millisecond, and one of a sequence a second."""
    fast = [lines.Rep(k, 9, k * 10**9, k * 10**9 + 191, 191).format() for k in range(1, 10)]
    slow = [lines.Rep(k, 9, k * 10**12, k * 10**12 + 89 * 10**9, 89 * 10**9).format() for k in range(1, 10)]
    row, other = read(
        LOG, case(), *fast, "FMWORK RES 1.000000000 2.000000000 m C 8 4 0.000 20942408.4",
        case(16), *slow, "FMWORK RES 3.000000000 4.000000000 m C 16 4 89000.000 0.0",
    ).rows  # fmt: skip
    assert (row["itl"], row["thp"]) == (0.000191, 20942408.4)
    assert (other["itl"], other["thp"]) == (89000.0, pytest.approx(4 / 89, rel=1e-5))


def test_what_a_result_says_and_its_repetitions_do_not_bear_out_stays_as_it_is_said(read):
    fast = [lines.Rep(k, 9, k * 10**9, k * 10**9 + 10**6, 10**6).format() for k in range(1, 10)]
    (row,) = read(LOG, case(), *fast, "FMWORK RES 1.000000000 2.000000000 m C 8 4 0.050 5.0").rows
    assert (row["itl"], row["thp"]) == (0.05, 5.0)


def test_the_golden_log_of_several_processes(process, golden):
    rows = process("--path", golden.parent / "golden-processes" / "format-1.log").rows
    assert [(row["itl"], row["thp"], row["statistics"]["graph"]) for row in rows] == [
        (36.25, 220.7, "static"), (51.5, 155.3, "static"),
    ]  # fmt: skip
    for row in rows:
        found, statistics = row["processes"], row["statistics"]
        assert (found["n"], found["requested"], found["p50"], found["ratio"]) == (2, 2, 43.875, 1.42069)
        assert (statistics["stable"], statistics["reason"]) == (False, found["reason"])


@pytest.mark.parametrize("n", [0, 1, 5])
def test_a_line_of_processes_speaks_of_no_more_shapes_than_there_are(process, golden, tmp_path, n):
    text = (golden.parent / "golden-processes" / "format-1.log").read_text()
    (tmp_path / "run.log").write_text(text.replace('"n": 2', f'"n": {n}'))
    rows = process("--path", tmp_path / "run.log").rows
    assert [row["processes"] is not None for row in rows] == [n > 1, n > 0]
    assert all(row["doubt"] is not None for row in rows if row["processes"])


@pytest.mark.parametrize(
    ("old", "new"),
    [('"p50": 43.875', '"p50": 33.875'), ('"ratio": 1.42069', '"ratio": 1.02'),
     ('[36.25, 51.5], "p50"', '[36.25, 37.5], "p50"'),
     ('"interval": [36.25, 51.5], "ratio"', '"interval": [36.25, 37.5], "ratio"')],
)  # fmt: skip
def test_a_line_of_processes_that_contradicts_them_is_a_doubt(process, golden, tmp_path, old, new):
    text = (golden.parent / "golden-processes" / "format-1.log").read_text()
    assert old in text
    (tmp_path / "run.log").write_text(text.replace(old, new))
    rows = process("--path", tmp_path / "run.log").rows
    assert {row["doubt"] for row in rows} == {"contradicted: PROC says of its processes what their STAT lines do not"}


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("waiting", 0.91, "0.9 threads on average waited for a CPU that was busy"),
        ("in_line", 0.044, "for 4.4% of the time that its threads wanted a CPU, other work had it"),
    ],
)
def test_threads_that_waited_are_a_doubt_on_read_too(process, golden, tmp_path, key, value, reason):
    text = (golden.parent / "golden-processes" / "format-1.log").read_text()
    (tmp_path / "run.log").write_text(text.replace('"graph"', f'"{key}": {value}, "graph"', 1))
    first, second = (row["statistics"] for row in process("--path", tmp_path / "run.log").rows)
    assert (first[key], first["reason"]) == (value, f"contended: {reason}")
    assert (second[key], second["reason"].partition(":")[0]) == (None, "processes")
