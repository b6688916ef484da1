"""Every format says the same of the same results."""

import csv
import io
import json
import math
import os
import subprocess
import sys
from collections import Counter

import pandas
import pyarrow.parquet
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from fmbench.process.cli import main
from fmbench.process.reading.joined import joined
from fmbench.process.reading.results import read_results
from fmbench.process.reading.sources import Source
from fmbench.process.writing import columns, formats, openmetrics

COMMAND = (sys.executable, "-c", "import sys; from fmbench.process.cli import main; sys.exit(main())")
HOSTILE = 'a|b "c" \\ <script>\n\u2028é,=1+1%41'
TEXTS = ("json", "jsonl", "csv", "markdown", "openmetrics")


def res(model="m", latency=2.0, start=1, size=8):
    from fmbench import lines

    return lines.Res(start * 10**9, (start + 1) * 10**9, model, "C", size, 4, latency, 4e3 / latency).format() + "\n"


@pytest.fixture
def written(capsys):
    """What `process` prints in a format."""

    def run(form, *paths):
        code = main(["--format", form, *(word for path in paths for word in ("--path", str(path)))])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return printed.out

    return run


@pytest.fixture
def log(tmp_path):
    def write(*parts):
        path = tmp_path / "x.log"
        path.write_text("".join(parts), encoding="utf-8")
        return path

    return write


# -- JSON


def test_json_is_the_default(golden, written, capsys):
    main(["--path", str(golden / "format-1.log")])
    assert capsys.readouterr().out == written("json", golden / "format-1.log")


def test_jsonl_is_the_same_objects(golden, written):
    rows = [json.loads(line) for line in written("jsonl", golden).splitlines()]
    assert rows == json.loads(written("json", golden))
    assert len(rows) == 8


def test_json_is_written_while_the_rows_come():
    stream, seen = io.StringIO(), []

    def rows():
        for number in range(3):
            seen.append(stream.getvalue().count("{"))
            yield {"number": number}

    formats.write_json(rows(), stream)
    assert seen == [0, 1, 2]


# -- columns


def test_every_key_of_the_schema_is_a_column(golden, written):
    expected = set()
    for row in json.loads(written("json", golden)):
        expected |= set(columns.cells(row))
    known = columns.known_columns()
    assert {"statistics.p50", "roofline.ceiling.dtype", "pair.interval", "memory.model_bytes"} <= set(known)
    assert {name for name in expected - set(known) if not name.startswith(("environment.", "error."))} == set()
    assert (known["input"], known["itl"], known["statistics.stable"]) == ("integer", "number", "truth")
    assert (known["opts"], known["pair.interval"], known["phases"]) == ("texts", "numbers", "text")
    assert (known["timestamp"], known["status"], known["tp"], known["ttft"]) == ("text", "text", "integer", "number")


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "integer"),
        ([1, 2.5], "number"),
        ([None, True], "truth"),
        ([1, True], "text"),
        ([1, "1"], "text"),
        ([2**64], "text"),
        ([[1], [2.5]], "numbers"),
        ([[], ["a"]], "texts"),
        ([["a"], [1]], "text"),
        ([[{}]], "text"),
        ([None], None),
    ],
)
def test_the_kind_of_a_column_holds_all_its_values(values, kind):
    with columns.Table({"environment": {"fact": value}} for value in values) as table:
        assert table.kinds["environment.fact"] == kind
        assert [row.get("environment.fact") for row in table] == values


# -- CSV


def test_csv_holds_the_json(golden, written):
    rows = [columns.cells(row) for row in json.loads(written("json", golden))]
    header, *found = csv.reader(io.StringIO(written("csv", golden)))
    assert header[:15] == list(rows[0])[:15]
    assert len(found) == len(rows) == 8
    for row, line in zip(rows, found, strict=True):
        assert dict(zip(header, line, strict=True)) == {name: columns.text_of(row.get(name)) for name in header}


def test_csv_without_results_is_a_header(log, written):
    (line,) = written("csv", log("nothing\n")).splitlines()
    assert line.startswith("timestamp,metadata_id,engine,model,precision,input,")


def test_csv_keeps_any_text(log, written):
    _, line = csv.reader(io.StringIO(written("csv", log(res(HOSTILE))), newline=""))
    assert line[3] == HOSTILE


# -- Parquet


@pytest.fixture
def frame(tmp_path):
    def read(*paths):
        target = tmp_path / "x.parquet"
        words = [word for path in paths for word in ("--path", str(path))]
        assert main(["--format", "parquet", "--out", str(target), *words]) == 0
        return pandas.read_parquet(target)

    return read


def test_parquet_holds_the_json(golden, written, frame):
    rows = json.loads(written("json", golden))
    found = frame(golden)
    assert found["model"].tolist() == [row["model"] for row in rows]
    assert found["opts"].map(list).tolist() == [row["opts"] for row in rows]
    stable = [(row["statistics"] or {}).get("stable") for row in rows]
    assert [None if pandas.isna(value) else value for value in found["statistics.stable"]] == stable
    p50 = [(row["statistics"] or {}).get("p50", math.nan) for row in rows]
    assert found["statistics.p50"].tolist() == pytest.approx(p50, nan_ok=True)
    assert found["environment.threads"].tolist()[0] == 4


def test_parquet_types_do_not_follow_the_values(tmp_path, frame, golden, log):
    schemas = []
    for path in (log("nothing\n"), golden):
        frame(path)
        schemas.append(pyarrow.parquet.read_schema(tmp_path / "x.parquet"))
    few, many = schemas
    assert few.names == list(columns.known_columns())
    assert [few.field(name) for name in few.names] == [many.field(name) for name in few.names]


def test_parquet_holds_facts_of_any_shape(log, frame):
    facts = [
        '{"a": 1, "b": [1], "c": {"d": true}}',
        '{"a": "x", "b": [2.5], "c": 3}',
        '{"a": [null], "b": [], "z": 1e3}',
    ]
    parts = [f'FMWORK LOG {{"format": 1}}\nFMWORK ENV {fact}\n{res()}' for fact in facts]
    found = frame(log(*parts))
    assert found["environment.a"].tolist() == ["1", "x", "[null]"]
    assert [list(value) for value in found["environment.b"]] == [[1.0], [2.5], []]
    assert found["environment.c.d"].tolist() == [True, None, None]


def test_parquet_without_pyarrow_says_what_installs_it(golden, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["--format", "parquet", "--path", str(golden)]) == 2
    assert capsys.readouterr().err.endswith("needs pyarrow: pip install 'fmbench[parquet]'\n")


def test_parquet_is_not_written_to_a_terminal(golden, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["--format", "parquet", "--path", str(golden)]) == 2
    assert "--out" in capsys.readouterr().err


# -- Markdown


def test_markdown_shows_what_matters(golden, written):
    table, _, said = written("markdown", golden).partition("\n\n")
    assert said == "fastest: B (bfloat16), 1.3434 times A (1.3425 to 1.3448)\n"
    header, rule, *rows = table.splitlines()
    assert "latency ms" in header and "sequences/s" in header
    assert set(rule) == set("| -:")
    assert len({line.count("|") for line in (header, rule, *rows)}) == 1
    assert any("8.204 ± 0.012 | 244 | 10 |  | stable" in row for row in rows)
    assert any("failed: OutOfMemoryError" in row for row in rows)
    assert any("unstable: interval" in row for row in rows)
    assert any("partial: 3 of 5 repetitions" in row for row in rows)


def test_markdown_escapes_what_is_markup(log, written):
    *_, row = written("markdown", log(res(HOSTILE))).splitlines()
    assert row.startswith('| a\\|b "c" \\\\ \\<script\\> é,=1+1%41 |')


# -- OpenMetrics


def samples(text):
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge" and family.documentation
        for sample in family.samples:
            assert sample.timestamp is None
            found[sample.name, sample.labels["model"], sample.labels.get("input")] = sample
    return found


def test_openmetrics_is_what_prometheus_reads(golden, written):
    found = samples(written("openmetrics", golden / "format-1.log"))
    latency = found["fmbench_latency_seconds", "org/my model", "128"]
    assert latency.value == pytest.approx(0.003782)
    assert latency.labels["platform"] == "cpu" and latency.labels["batch"] == "1"
    assert found["fmbench_device_peak_bytes", "org/my model", "128"].value == 734003200
    assert found["fmbench_sequence_energy_joules", "org/my model", "128"].value == 5.5
    assert found["fmbench_shape_measured", "org/huge", "64"].value == 0
    assert ("fmbench_latency_seconds", "org/huge", "64") not in found


def test_openmetrics_names_end_with_their_unit(golden, written):
    text = written("openmetrics", golden)
    units = dict(line.split()[2:] for line in text.splitlines() if line.startswith("# UNIT"))
    assert {"seconds", "bytes", "joules", "ratio"} <= set(units.values())
    assert all(name.endswith(f"_{unit}") for name, unit in units.items())
    assert text.endswith("\n# EOF\n")


def test_openmetrics_escapes_labels(log, written):
    text = written("openmetrics", log(res(HOSTILE), res("a\rb", size=16)))
    names = {labels for _, labels, _ in samples(text)}
    assert names == {HOSTILE.replace("\u2028", "\ufffd"), "a\ufffdb"}


def test_openmetrics_keeps_the_newest_of_what_was_measured_twice(log, capsys):
    path = log(res(latency=5.0, start=7), res(latency=2.0, start=3))
    assert main(["--format", "openmetrics", "--path", str(path)]) == 0
    printed = capsys.readouterr()
    assert samples(printed.out)["fmbench_latency_seconds", "m", "8"].value == 0.005
    assert "1 results have the labels of a newer one" in printed.err


def run_of(facts, arguments="", overrides="", **more):
    """A run whose only result has these facts."""
    text = json.dumps({"platform": "cpu", "dtype": "float32", **facts})
    return f'FMWORK LOG {{"format": 1}}\n{arguments}FMWORK ENV {text}\n{overrides}{res("m", **more)}'


TELLING = [
    {"compile": True, "options": ["--compile:backend inductor"]}, {"threads": 1}, {"attention": "eager"},
    {"cpu": "Y"}, {"weights": "random"}, {"dtype": "bfloat16"}, {"precision": "bf16"}, {"openvino_frontend": "x"},
    {"options": ["--torch:a 1"]}, {"packages": {"torch": "3"}}, {"torch_settings": {"tf32": True}},
]  # fmt: skip
PLAIN = {
    "compile": False,
    "threads": 2,
    "attention": "sdpa",
    "cpu": "X",
    "weights": "pretrained",
    "packages": {"torch": "2"},
}


def test_whatever_tells_two_results_apart_is_a_label_and_a_column(log, capsys):
    path = log(run_of(PLAIN), *(run_of({**PLAIN, **facts}) for facts in TELLING))
    assert main(["--format", "openmetrics", "--path", str(path)]) == 0
    printed = capsys.readouterr()
    assert printed.out.count("fmbench_latency_seconds{") == 1 + len(TELLING) and not printed.err
    assert main(["--format", "markdown", "--path", str(path)]) == 0
    _, _, *rows = capsys.readouterr().out.splitlines()
    assert len(set(rows)) == 1 + len(TELLING)


def test_no_two_results_have_equal_labels(golden):
    """Of what is published; and of each golden log, of which some are copies of others."""
    published = [Source(path) for path in sorted((golden.parents[1] / "results").rglob("*.log.gz"))]
    logs = [[Source(path)] for path in sorted(golden.parent.glob("golden*/*.log"))]
    for sources in (published, *logs):
        rows = [one.row for source in sources for one in joined(read_results([source], lambda text: None))]
        counts = Counter(map(openmetrics.labels_of, rows))
        assert [labels for labels, count in counts.items() if count > 1] == []
    assert len(published) > 5 and len(logs) > 5


def test_openmetrics_without_results(log, written):
    assert written("openmetrics", log("nothing\n")) == "# EOF\n"


# -- every format


@pytest.mark.parametrize("form", TEXTS)
def test_no_text_of_a_log_breaks_a_format(form, log):
    path = log(res("%ED%A0%80\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace")), res("%ED%A0%80x"))
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [*COMMAND, "--path", path, "--format", form]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "form", [pytest.param(form, marks=[pytest.mark.slow] * (form == "html")) for form in formats.WRITERS]
)
def test_out_is_what_stdout_would_be(form, golden, tmp_path, capsysbinary):
    words = ["--path", str(golden), "--format", form]
    assert main(words) == 0
    printed = capsysbinary.readouterr().out
    assert main([*words, "--out", str(tmp_path / "x")]) == 0
    assert (tmp_path / "x").read_bytes() == printed
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def cell(ident, start, code=0):
    said = {"sweep": "s", "id": ident, "run": "driver", "exit_code": code, "seconds": 1.0}
    return "FMWORK CELL " + json.dumps({**said, "start": f"{start}.000000000"}) + "\n"


KILLED = 'FMWORK LOG {"format": 1}\nFMWORK ENV {"platform": "cpu", "cpu": "X", "packages": {"torch": "2"}}\n' + (
    'FMWORK ERR {"input_size": 8, "batch_size": 4, "type": "Killed", "message": "no"}\n'
)


@pytest.mark.parametrize(("killed", "again", "measured"), [(1, 5, [1.0]), (9, 5, [0.0]), (1, None, [0.0])])
def test_openmetrics_clears_a_failure_when_its_cell_is_repaired(log, written, killed, again, measured):
    runs = [KILLED + cell("ab", killed, -9), *([run_of(PLAIN, start=again) + cell("ab", again)] if again else [])]
    text = written("openmetrics", log(*runs))
    found = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith("fmbench_shape_measured{")]
    assert [float(value) for value in found] == measured


def test_killed_runs_of_other_command_lines_are_told_apart(log, capsys):
    runs = [KILLED.replace("FMWORK ENV", f"FMWORK ARG --model:dtype {dtype}\nFMWORK ENV") for dtype in ("a", "b")]
    path = log(*runs)
    assert main(["--format", "openmetrics", "--path", str(path)]) == 0
    printed = capsys.readouterr()
    assert printed.out.count("fmbench_shape_measured{") == 2 and not printed.err
    assert main(["--format", "markdown", "--path", str(path)]) == 0
    out = capsys.readouterr().out
    assert "--model:dtype a" in out and "--model:dtype b" in out
