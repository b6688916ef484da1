"""What `process` and `fmbench show` make of the distillation driver's lines."""

import pytest

from fmbench import lines
from fmbench.process.cli import main as process_main
from fmbench.process.workloads.distillation import Distillation, line_of
from fmbench.process.writing.show import main as show_main

from .log_lines import LOG

STUDENT = {
    "stage": "evaluate", "dataset": "scifact", "query_model": "lookup", "queries": 300,
    "metrics": {"ndcg_cut_10": 0.64}, "intervals": {"ndcg_cut_10": [0.59, 0.69]},
    "kept": {"ndcg_cut_10": {"share": 0.992, "interval": [0.96, 1.03], "p": 0.65}},
    "latency_ms": {"n": 80, "p50": 0.071, "p95": 0.098, "p99": 0.112}, "after_last_word_ms": None,
    "pair": {
        "a": "minilm", "b": "lookup", "n": 80, "ratio": 0.01, "interval": [0.009, 0.011], "p": 1.5e-14,
        "verdict": "faster",
    },
    "queries_per_second": 21000.0, "tokens_at_most": 32, "parameters": 11720448, "bytes": 46881792,
    "nanoseconds": [71210, 70912],
}  # fmt: skip
TEACHER = {**STUDENT, "stage": "reference", "query_model": "minilm"}
PROGRESS = {"stage": "align", "step": 200, "steps": 1182, "loss": 0.25, "held_out": 0.73}


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "distill.log"
    rows = [lines.JsonLine("DST", data).format() for data in (PROGRESS, TEACHER, STUDENT)]
    path.write_text("\n".join([LOG, lines.JsonLine("ENV", {"platform": "cpu"}).format(), *rows, ""]))
    return path


def test_a_query_encoder_is_a_row(process, log):
    printed = process("--path", log)
    assert printed.warnings == []
    teacher, student = printed.rows
    assert (teacher["model"], student["model"]) == ("minilm", "lookup")
    assert (student["engine"], student["batch"], student["itl"], student["thp"]) == ("fmbench/distill", 1, 0.071, 21000)
    assert student["retrieval"]["dataset"] == "scifact"
    assert student["retrieval"]["quality"]["metrics"] == {"ndcg_cut_10": 0.64}
    assert student["distillation"]["kept"]["ndcg_cut_10"]["interval"] == [0.96, 1.03]
    assert student["distillation"]["pair"]["verdict"] == "faster"


def test_show_has_a_table_of_its_own(log, capsys):
    assert show_main([str(log)]) == 0
    header, _, student = capsys.readouterr().out.splitlines()
    assert header.startswith("query encoder")
    for cell in ("lookup", "scifact", "0.0710", "100.0", "99.2%", "96.0% to 103.0%"):
        assert cell in student


def test_every_format_says_it(log, capsys):
    for name, words in {"csv": "distillation.latency_ms.p50", "markdown": "99.2%", "jsonl": "after_last_word"}.items():
        assert process_main(["--path", str(log), "--format", name]) == 0
        assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("damage", "message"),
    [({"stage": None}, "stage is missing"), ({"dataset": 3}, "dataset is no text")],
)
def test_a_damaged_line_is_a_complaint_and_not_a_row(damage, message, read):
    printed = read(LOG, lines.JsonLine("DST", {**STUDENT, **damage}).format(), lines.JsonLine("DST", TEACHER).format())
    assert [row["model"] for row in printed.rows] == ["minilm"]
    assert len(printed.warnings) == 1
    assert message in printed.warnings[0]


def test_a_damaged_field_is_left_out_and_its_row_says_so(read):
    printed = read(
        LOG, lines.JsonLine("DST", {**STUDENT, "metrics": {"x": "y"}}).format(), lines.JsonLine("DST", TEACHER).format()
    )
    assert [row["model"] for row in printed.rows] == ["lookup", "minilm"]
    assert printed.rows[0]["doubt"] == "damaged: DST: metrics is no object of numbers"
    assert "metrics" not in printed.rows[0]["retrieval"]["quality"]
    assert len(printed.warnings) == 1


def test_a_table_of_tokens_is_a_configuration_of_the_host_whatever_the_platform(read):
    facts = {
        "platform": "cuda",
        "device": "cuda",
        "dtype": "bfloat16",
        "model": "minilm",
        "query_models": {"lookup": "d1"},
    }
    for computed_by, platform in (("numpy", "numpy"), ("cuda", "cuda"), (None, "cuda")):
        student = {**STUDENT, "computed_by": computed_by}
        (row,) = read(LOG, lines.JsonLine("ENV", facts).format(), lines.JsonLine("DST", student).format()).rows
        found = Distillation().configuration(row)
        assert (found.facts["platform"], found.facts["device"]) == (
            platform,
            "cpu" if computed_by == "numpy" else "cuda",
        )
        assert row["distillation"]["computed_by"] == computed_by
        assert line_of(row)[1] == platform
