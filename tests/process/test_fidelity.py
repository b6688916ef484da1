"""What `process`, `fmbench show` and the store make of the lines of fidelity."""

import pytest

from fmbench import lines
from fmbench.process.cli import main as process_main
from fmbench.process.store.cli import main as results_main
from fmbench.process.workloads.fidelity_tables import line_of_variant
from fmbench.process.writing.show import main as show_main

from .conftest import GOLDEN
from .log_lines import LOG

SHARED = {"task": "ladder", "python": "3.12", "passages": 24, "queries": 6, "seed": 0}
FP32 = {
    "artifact": "ladder/fp32", "kind": "variant", "verdict": "equal", "variant": "fp32", "reference": "fp32",
    "failure": None,
    "min_cosine": 1.0,
    "mean_cosine": 1.0, "overlap": 1.0, "ndcg": 0.6, "ndcg_change": 0.0, "ndcg_interval": [0.0, 0.0], "ndcg_p": 1.0,
    "speed": 1.0, "speed_interval": [1.0, 1.0], "speed_verdict": "no significant difference", "speed_reason": None,
    "passages": 24, "of_passages": 24, "batch": 2, "latency_ms": 4.0, "texts_per_second": 500.0,
    "start": "1700000000.000000000", "nanoseconds": [4000000] * 12,
}  # fmt: skip
BF16 = FP32 | {
    "artifact": "ladder/bf16", "variant": "bf16", "verdict": "different", "min_cosine": 0.99992, "overlap": 0.95,
    "ndcg": 0.59, "ndcg_change": -0.01, "ndcg_interval": [-0.03, 0.01], "ndcg_p": 0.31, "speed": 2.0,
    "speed_interval": [1.9, 2.1], "speed_verdict": "faster", "latency_ms": 2.0, "texts_per_second": 1000.0,
    "nanoseconds": [2000000] * 12,
}  # fmt: skip
EARLY = BF16 | {
    "passages": 8,
    "overlap": None,
    "ndcg": None,
    "ndcg_change": None,
    "ndcg_interval": None,
    "ndcg_p": None,
}
HPU = {
    "artifact": "ladder/hpu", "kind": "variant", "verdict": "unsupported", "variant": "hpu", "failure": "no such card",
    "passages": 0, "of_passages": 24,
}  # fmt: skip
FACTS = (
    lines.Arg("model_name", "models/minilm"),
    lines.JsonLine("ENV", SHARED),
    lines.JsonLine("ENV", {"variant": "fp32", "platform": "cpu", "dtype": "float32", "model": "models/minilm"}),
    lines.JsonLine("ENV", {"variant": "bf16", "platform": "cpu", "dtype": "bfloat16", "model": "models/minilm"}),
    lines.JsonLine("FID", HPU),
)


def text(*said):
    return "\n".join(
        [LOG, *(line.format() for line in FACTS), *(lines.JsonLine("FID", one).format() for one in said), ""]
    )


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "ladder.log"
    path.write_text(text(FP32, EARLY, FP32, BF16))
    return path


@pytest.mark.parametrize(
    ("said", "note"),
    [
        ({}, "different; faster"),
        ({"speed_verdict": None}, "different; too few turns to tell the speed"),
        ({"speed": None, "speed_interval": None, "speed_verdict": None}, "different"),  # of a race that was not in bulk
        ({"variant": "fp32", "artifact": "ladder/fp32", "verdict": "equal", "speed_verdict": None}, "equal"),
    ],
)
def test_a_note_speaks_of_a_speed_where_there_is_one_to_tell(said, note, process, tmp_path):
    (tmp_path / "one.log").write_text(text(BF16 | said))
    row = process("--path", tmp_path / "one.log").rows[-1]
    assert line_of_variant(row)[-1] == note


def test_a_variant_is_a_row_of_what_was_said_last(process, log):
    printed = process("--path", log)
    assert printed.warnings == []
    hpu, fp32, bf16 = printed.rows
    assert [row["engine"] for row in printed.rows] == ["fmbench/fidelity"] * 3
    assert [row["model"] for row in printed.rows] == ["models/minilm"] * 3
    assert [row["status"] for row in printed.rows] == ["ERR", "OK", "OK"]
    assert [row["precision"] for row in printed.rows] == [None, "float32", "bfloat16"]
    assert hpu["error"] == {"type": "unsupported", "message": "no such card"} and "platform" not in hpu["environment"]
    assert (bf16["variant"], bf16["batch"], bf16["itl"], bf16["thp"]) == ("bf16", 2, 2.0, 1000.0)
    assert bf16["timestamp"] == fp32["timestamp"] == "1700000000.000000000"
    assert bf16["environment"]["python"] == "3.12"
    found = bf16["fidelity"]
    assert (found["overlap"], found["ndcg_interval"], found["speed"]) == (0.95, [-0.03, 0.01], 2.0)
    assert "nanoseconds" not in found and "latency_ms" not in found


def test_a_ladder_that_was_killed_is_partial(read, tmp_path, capsys):
    (_, bf16) = read(*text(EARLY).splitlines()).rows
    assert (bf16["status"], bf16["fidelity"]["overlap"], bf16["itl"]) == ("PARTIAL", None, 2.0)
    (tmp_path / "run.log").write_text(text(EARLY))
    assert show_main([str(tmp_path / "run.log")]) == 0
    assert "partial: 8 of 24 passages" in capsys.readouterr().out


def test_show_has_a_table_of_its_own(log, capsys):
    assert show_main([str(log)]) == 0
    title, header, hpu, fp32, bf16, _, note, failed = capsys.readouterr().out.splitlines()
    assert failed.startswith("1 result failed, in 1 log (1 unsupported)")
    assert (title, note[:7]) == ("Variants", "Cosine:")
    assert header.split()[:5] == ["model", "platform", "dtype", "variant", "against"] and "latency" not in header
    assert "failed: unsupported: no such card" in hpu and "1.00 to 1.00" in fp32
    for cell in (
        "bfloat16",
        "1 - 8.0e-05",
        "95.00%",
        "-0.0100",
        "-0.0300 to +0.0100",
        "0.310",
        "1000",
        "different; fas",
    ):
        assert cell in bf16


def test_every_format_says_it(log, tmp_path, capsys):
    words = {
        "csv": "fidelity.ndcg_interval", "markdown": "-0.0300 to +0.0100", "jsonl": '"overlap": 0.95',
        "openmetrics": 'artifact="ladder/bf16",',
    }  # fmt: skip
    for name, word in words.items():
        assert process_main(["--path", str(log), "--format", name]) == 0
        assert word in capsys.readouterr().out, name
    again = tmp_path / "again.json"
    assert process_main(["--path", str(log), "--out", str(again)]) == 0
    assert show_main([str(again)]) == 0
    of_json = capsys.readouterr().out
    assert show_main([str(log)]) == 0
    assert capsys.readouterr().out == of_json


def test_a_store_keeps_and_shows_it(log, tmp_path, capsys):
    store = ["--store", str(tmp_path / "store")]
    assert results_main(["add", str(log), *store]) == 0
    assert results_main(["show", *store]) == 0
    assert "1 - 8.0e-05" in capsys.readouterr().out
    pytest.importorskip("duckdb", reason="pip install 'fmbench[sql]'")
    asked = "SELECT variant, \"fidelity.overlap\" FROM results WHERE engine = 'fmbench/fidelity' ORDER BY variant"
    assert results_main(["query", *store, "--format", "csv", asked]) == 0
    assert capsys.readouterr().out.splitlines() == ["variant,fidelity.overlap", "bf16,0.95", "fp32,1.0", "hpu,"]


def test_artifacts_of_captures_are_rows(process, capsys):
    printed = process("--path", GOLDEN.parent / "golden-fidelity" / "format-1.log")
    assert printed.warnings == []
    assert [row["fidelity"]["verdict"] for row in printed.rows] == ["close", "different", "missing"]
    assert {row["status"] for row in printed.rows} == {"OK"} and printed.rows[0]["fidelity"]["max_ulp"] == 12
    assert show_main([str(GOLDEN.parent / "golden-fidelity" / "format-1.log")]) == 0
    out = capsys.readouterr().out
    layer, pooler = (line for line in out.splitlines() if line.startswith("bert/"))
    assert "87.50%" in layer and "from row 3 on" in layer and "only in A" in pooler
    (exact,) = (line for line in out.splitlines() if line.startswith("search/exact"))
    assert "-4.1e-05" in exact and "0.9999" in exact and "MRR@10: no (p 1.000)" in exact
    assert "bert   no (1/2)       no (0/2)        no (1/2)" in out


def artifact(kind, name, verdict, **said):
    return lines.JsonLine(
        "FID", {"artifact": name, "kind": kind, "verdict": verdict, "reference": "a", "variant": "b", **said}
    )


WHOLE = {
    "artifacts": 3, "unequal": 2, "tensors": 2, "same_shape": 2, "equal": 0, "close": 1, "rankings": 1,
    "rankings_changed": 1, "first": "bert/x", "first_verdict": "close", "beyond": "bert/y", "probes": ["bert"],
    "beyond_verdict": "different", "facts": {"dtype": ["float32", "bfloat16"]}, "incomplete": [],
}  # fmt: skip
METRIC = {"a": 0.5, "b": 0.5, "change": 0.0, "interval": [0, 0], "p": 1.0, "increase": 1, "equal": 1, "decrease": 1}
RANKING = {
    "queries": 3,
    "different_ids": 0.5,
    "replaced": 0.25,
    "tau": 0.9,
    "rbo": 0.9,
    "changed": 1,
    "metrics": {"MRR@10": METRIC},
    "changed_queries": [
        {"query": f"q{n}", "different_ids": n, "tau": 0.9, "rbo": 1 - n / 100, "metrics": {"MRR@10": [0.5, 0.25]}}
        for n in range(30)
    ],
}
COMPARED = (
    lines.JsonLine("ENV", {"task": "compare"}),
    lines.JsonLine("ENV", {"variant": "a", "platform": "cpu", "dtype": "float32"}),
    lines.JsonLine("ENV", {"variant": "b", "platform": "cpu", "dtype": "bfloat16"}),
    artifact("comparison", "comparison", "incomplete"),
    artifact("tensor", "bert/x", "close", probe="bert", min_cosine=0.9999, max_abs=1e-6, nan=[0, 0], inf=[0, 0],
             dtypes=["float32", "bfloat16"], shapes=[[6, 8], [6, 8]], max_ulp=3, share_equal=0.99999999),
    artifact("tensor", "bert/y", "different", probe="bert", min_cosine=1 - 3.2e-13, max_abs=0.5, nan=[0, 1],
             inf=[0, 0], mismatched=1, first_row=2, dtypes=["float32"] * 2, shapes=[[6, 8], [6, 9]]),
    artifact("ranking", "search/exact", "different", probe="search", **RANKING),
    artifact("swap", "search/exact: search drift", "different", part="search", **RANKING),
    artifact("swap", "swap", "failed", failure="cannot swap: out of memory"),
    artifact("call", "pooler.dense", "different", module="Linear", where="before", max_abs=1.0),
    artifact("comparison", "comparison", "different", **WHOLE),
    artifact("capture", "capture/c", "failed", reference=None, variant="c", failure="no wheel"),
)  # fmt: skip


def test_every_kind_of_line_is_a_row_and_has_a_table(read, tmp_path, capsys):
    rows = read(LOG, *(line.format() for line in COMPARED)).rows
    assert [row["fidelity"]["kind"] for row in rows] == [
        "comparison", "tensor", "tensor", "ranking", "swap", "swap", "call", "capture",
    ]  # fmt: skip
    assert [row["status"] for row in rows] == ["OK"] * 5 + ["ERR", "OK", "ERR"]
    assert {row["precision"] for row in rows[:7]} == {"bfloat16"} and rows[7]["precision"] is None
    assert rows[0]["fidelity"]["first"] == "bert/x" and rows[7]["error"] == {"type": "failed", "message": "no wheel"}
    assert show_main([str(tmp_path / "run.log")]) == 0
    out = capsys.readouterr().out
    for said in (
        "First artifact that differs: bert/x (close). First beyond the tolerance: bert/y (different). 2 of 3 are not",
        "no (0/2)", "1 of 1 changed", "failed: failed: no wheel", "Facts that differ: dtype: float32 in a, bfloat16 in",
        "99.99%", "compared as float64", "0 and 1 NaN; 1 of them not in the same places; from row 2 on", "1 - 3.2e-13",
        "6 x 8 / 6 x 9", "b on the index of a", "failed: failed: cannot swap", "its input: the code between",
        "Equal: 1, Increase: 1, Decrease: 1", "40 more are in the JSON.", "0.500 to 0.250",
    ):  # fmt: skip
        assert said in out, said
    (ranking,) = (line for line in out.splitlines() if "search/exact " in line and "Equal" in line)
    assert ranking.split()[3:5] == ["0", "0.5"]  # a mean that stays while queries change is not called equal


def test_two_logs_of_artifacts_say_which_is_which(tmp_path, capsys):
    for name in ("one", "two"):
        (tmp_path / f"{name}.log").write_text("\n".join([LOG, *(line.format() for line in COMPARED), f"# {name}\n"]))
    assert show_main([str(tmp_path / "one.log"), str(tmp_path / "two.log")]) == 0
    out = capsys.readouterr().out
    assert out.count("one.log  a  b  bert") == out.count("two.log  a  b  bert") == 3  # by probe, and two tensors


def test_drift_by_layer_is_a_picture(tmp_path, capsys):
    (tmp_path / "run.log").write_text("\n".join([LOG, *(line.format() for line in COMPARED), ""]))
    assert process_main(["--path", str(tmp_path / "run.log"), "--plots", str(tmp_path / "plots")]) == 0
    assert "drift_by_layer.svg" in capsys.readouterr().out
    assert "b against a: bert" in (tmp_path / "plots" / "drift_by_layer.svg").read_text()
    assert process_main(["--path", str(tmp_path / "run.log"), "--format", "html"]) == 0
    page = capsys.readouterr().out
    assert page.count("<svg") == 1 and "<script" not in page and '<td class="different">different</td>' in page


def test_a_ladder_of_an_earlier_version_calls_its_variants_by_name(read):
    said = {key: value for key, value in BF16.items() if key not in ("variant", "reference")} | {"name": "bf16"}
    (row,) = read(LOG, *(line.format() for line in FACTS[:4]), lines.JsonLine("FID", said).format()).rows
    assert (row["variant"], row["precision"], "name" in row["fidelity"]) == ("bf16", "bfloat16", False)


def test_a_log_that_says_the_references_facts_alone_says_nothing_of_the_others(read):
    facts = lines.JsonLine("ENV", {**SHARED, "platform": "cpu", "dtype": "float32", "threads": 1})
    fp32, bf16 = read(LOG, facts.format(), *(lines.JsonLine("FID", one).format() for one in (FP32, BF16))).rows
    assert (fp32["precision"], fp32["environment"]["platform"]) == ("float32", "cpu")
    assert bf16["precision"] is None and bf16["environment"] == SHARED


@pytest.mark.parametrize(
    ("damage", "message", "variants"),
    [({"artifact": None}, "artifact is missing", ["fp32"]), ({"verdict": 3}, "verdict is no text", ["fp32"]),
     ({"metrics": {"x": 1}}, "metrics: x is no object", ["bf16", "fp32"]),
     ({"min_cosine": "1"}, "min_cosine is no number", ["bf16", "fp32"]),
     ({"ndcg_interval": [1]}, "ndcg_interval is no pair", ["bf16", "fp32"]),
     ({"changed_queries": [{}]}, "changed_queries: query is missing", ["bf16", "fp32"]),
     ({"facts": 1}, "facts is no object", ["bf16", "fp32"]), ({"probes": [1]}, "probes is no list", ["bf16", "fp32"]),
     ({"nanoseconds": [-1]}, "nanoseconds is no list", ["bf16", "fp32"])],
)  # fmt: skip
def test_a_damaged_field_is_a_complaint_and_not_a_figure(damage, message, variants, read):
    printed = read(LOG, lines.JsonLine("FID", {**BF16, **damage}).format(), lines.JsonLine("FID", FP32).format())
    assert [row["variant"] for row in printed.rows] == variants
    assert len(printed.warnings) == 1 and message in printed.warnings[0]
    doubts = [row["doubt"] for row in printed.rows if row["variant"] == "bf16"]
    assert all(doubt.startswith(f"damaged: FID: {message}") for doubt in doubts)
    doubt = f"damaged: FID: {message}" if "artifact" in damage else None  # nobody knows whose it was
    assert [row["doubt"] for row in printed.rows if row["variant"] == "fp32"] == [doubt]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"ndcg_change": 0.05}, "the interval of ndcg_change does not hold it"),
        ({"speed": 26.4}, "the interval of speed does not hold it"),
        ({"min_cosine": 0.9, "mean_cosine": 0.8}, "min_cosine is above mean_cosine"),
    ],
)
def test_an_edited_figure_is_in_doubt(process, tmp_path, edit, said):
    (tmp_path / "x.log").write_text(text(FP32, BF16 | edit))
    rows = process("--path", tmp_path / "x.log").rows
    assert [row["doubt"] for row in rows if row["variant"] == "bf16"] == [f"contradicted: FID: {said}"]
    assert [row["doubt"] for row in rows if row["variant"] == "fp32"] == [None]
