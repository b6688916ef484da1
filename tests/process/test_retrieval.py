"""What `process` and `fmbench show` make of the retrieval driver's lines."""

import json

import pytest

from fmbench.process.cli import main as process_main
from fmbench.process.workloads.retrieval import Retrieval
from fmbench.process.writing.show import main as show_main


def test_a_data_set_is_a_row_with_speed_and_quality(process, golden_retrieval):
    printed = process("--path", golden_retrieval, "--metadata_id", "x")
    scifact, second = printed.rows
    assert printed.warnings == []
    assert (scifact["engine"], scifact["status"], scifact["metadata_id"]) == ("fmbench/retrieve", "OK", "x")
    assert (scifact["model"], scifact["precision"], scifact["setup"]) == ("models/minilm", "float32", 1.25)
    assert scifact["timestamp"] == "1795216184.512400118"
    found = scifact["retrieval"]
    assert found["dataset"] == "scifact"
    assert found["queries"]["texts_per_second"] == 150.0
    assert found["passages"]["cached"] == 5183
    assert found["search"]["latency_ms"]["p50"] == 0.6
    assert found["quality"]["metrics"]["ndcg_cut_10"] == 0.6451
    assert found["quality"]["intervals"]["ndcg_cut_10"] == [0.5987, 0.6901]
    # The run was killed before the second data set was done.
    assert (second["status"], second["retrieval"].keys()) == ("PARTIAL", {"dataset", "queries"})


def test_a_phase_belongs_to_its_data_set(process, golden_retrieval, tmp_path):
    phases = [
        {"name": "import", "seconds": 3.5},
        {"name": "budget", "seconds": 2.5, "dataset": "scifact", "role": "query", "tokens_per_batch": 512,
         "tokens_per_second": {"256": 80.0, "512": 90.5}},
        {"name": "open", "seconds": 0.5, "dataset": "second", "role": "query"},
        {"name": "open", "seconds": 0.5, "dataset": "second", "role": "query", "tokens_per_second": {"256": "many"}},
    ]  # fmt: skip
    said = "".join(f"FMWORK PHASE {json.dumps(phase)}\n" for phase in phases)
    before, enc, after = golden_retrieval.read_text().partition("FMWORK ENC")
    (tmp_path / "phases.log").write_text(f"{before}{said}{enc}{after}")
    printed = process("--path", tmp_path / "phases.log")
    assert [row["phases"] for row in printed.rows] == [phases[:2], [phases[0], phases[2], phases[2]]]
    assert len(printed.warnings) == 1 and "tokens_per_second" in printed.warnings[0]


def test_a_damaged_line_is_a_complaint_and_not_a_figure(process, golden_retrieval, tmp_path):
    text = (golden_retrieval).read_text().replace('"metrics": {"ndcg_cut_10": 0.6451', '"metrics": {"x": "y"')
    (tmp_path / "damaged.log").write_text(text)
    printed = process("--path", tmp_path / "damaged.log")
    assert "metrics" not in printed.rows[0]["retrieval"]["quality"]
    assert printed.rows[0]["doubt"] == "damaged: IRM: metrics is no object of numbers"
    assert len(printed.warnings) == 1
    assert "metrics is no object of numbers" in printed.warnings[0]


@pytest.mark.parametrize(
    ("facts", "latency", "said"),
    [
        ({"load_average_end": 2.3}, {}, None),
        ({"load_average_start": 5.25}, {}, "contended: a load of 5.2 on 2 CPUs at the start"),
        ({"load_average_end": 2.6}, {}, "contended: a load of 2.6 on 2 CPUs at the end"),
        ({}, {"8.4": "62.0"}, "contended: p99 of single queries (queries) is 10 times p50"),
        ({}, {"0.9": "9"}, "contended: p99 of single queries (search) is 15 times p50"),
    ],
)
def test_speeds_of_a_busy_machine_are_marked(facts, latency, said, process, golden_retrieval, tmp_path, capsys):
    text = golden_retrieval.read_text()
    for old, new in latency.items():
        text = text.replace(f'"p99": {old}', f'"p99": {new}')
    before, enc, after = text.partition("FMWORK ENC")
    (tmp_path / "busy.log").write_text(f"{before}FMWORK ENV {json.dumps({'cpus': 2, **facts})}\n{enc}{after}")
    printed = process("--path", tmp_path / "busy.log")
    row = printed.rows[0]
    assert row["retrieval"].get("speed_doubt") == said and row["doubt"] is None and printed.warnings == []
    row["retrieval"]["passages"] = {"texts_per_second": 60.0}  # that of cached vectors has no figure
    figures = {column.key: column.read(row) for column in Retrieval.columns}
    assert figures["query_ms"].doubt == figures["texts_per_second"].doubt == said and figures["ndcg"].doubt is None
    assert show_main([str(tmp_path / "busy.log"), "--detail"]) == 0
    assert ("contended" in capsys.readouterr().out) == (said is not None)


def test_results_in_json_read_back_as_they_are(process, golden_retrieval, tmp_path, capsys):
    rows = process("--path", golden_retrieval).rows
    (tmp_path / "saved.json").write_text(json.dumps(rows))
    assert process("--path", tmp_path / "saved.json").rows == rows


def test_show_has_a_table_of_its_own(golden_retrieval, capsys):
    assert show_main([str(golden_retrieval)]) == 0
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["model", "platform", "precision"]
    assert "0.6451 ± 0.0457" in first
    assert "5183 of 5183 vectors were cached" in first
    assert second.endswith("partial: the run did not end")


def test_shapes_and_data_sets_together_are_two_tables(golden, golden_retrieval, capsys):
    assert show_main([str(golden / "seed-example.log"), str(golden_retrieval), "--detail"]) == 0
    *_, above, below = capsys.readouterr().out.split("\n\n")
    assert ("latency ms" in above.rpartition("model")[2], "nDCG@10" in above.rpartition("model")[2]) == (True, False)
    assert ("latency ms" in below, "nDCG@10" in below) == (False, True)


def test_every_format_says_it(golden_retrieval, capsys):
    for name, words in {
        "csv": "retrieval.quality.metrics.ndcg_cut_10",
        "markdown": "nDCG@10",
        "openmetrics": 'fmbench_ndcg_at_10{model="models/minilm",platform="cpu",',
    }.items():
        assert process_main(["--path", str(golden_retrieval), "--format", name]) == 0
        assert words in capsys.readouterr().out


def test_quality_against_speed_is_drawn(golden_retrieval, tmp_path, capsys):
    assert process_main(["--path", str(golden_retrieval), "--plots", str(tmp_path)]) == 0
    drawn = {path.name for path in tmp_path.iterdir()}
    assert drawn == {"quality_speed.png", "quality_speed.svg"}
    picture = (tmp_path / "quality_speed.svg").read_text()
    assert "documents encoded a second" in picture or "<path" in picture
    assert "no plot precision_at_k" in capsys.readouterr().err
