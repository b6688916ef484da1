"""A third party's workload: the example package, as its user installs it. No file of fmbench knows of it."""

import csv
import io
import json

import pytest

from fmbench.process.workload import Workload

from .test_examples import ROOT, distribution, install_example, path_of

jsonschema = pytest.importorskip("jsonschema", reason="pip install 'fmbench[test]'")

pytestmark = pytest.mark.slow

EXAMPLE = ROOT / "examples" / "workload-plugin"
HOW_TO = ROOT / "docs" / "how-to" / "write-a-workload.md"


BROKEN = """
from fmbench.process.workload import Column, Result, Schema, Workload, schema


class Broken(Workload):
    name, engine, kinds, sections = "broken", "b", {'BRK': Schema({"x": schema.count("X.")})}, {"broken": Schema({})}

    def rows(self, run, source, metadata_id):
        yield Result({**self.row(run, metadata_id), "broken": {}}, source)

    def label(self, row):
        return "b"
"""


def test_the_how_to_names_all_that_a_workload_may_define():
    """`row` is what it calls."""
    text = HOW_TO.read_text()
    names = [*vars(Workload), *Workload.__annotations__]
    names = {name for name in names if not name.startswith("_")} - {"row"}
    assert names >= {"doubt", "kinds"} and [name for name in sorted(names) if f"`{name}" not in text] == []


@pytest.fixture(scope="session")
def example(tmp_path_factory):
    """PYTHONPATH with the example package."""
    return path_of(install_example(tmp_path_factory, "workload-plugin"))


@pytest.fixture(scope="session")
def log(forked, example, tmp_path_factory):
    """A log of the example's driver."""
    ran = forked("fmbench", "tokenise", "--lengths", "4,32", "--reps", "3", env=example)
    assert (ran.returncode, ran.stderr) == (0, "")
    path = tmp_path_factory.mktemp("log") / "tokenise.log"
    path.write_text(ran.stdout)
    return path


def printed(forked, env, *arguments):
    ran = forked("process", *arguments, env=env)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


@pytest.mark.slow
def test_its_rows_are_printed_and_fit_the_published_schema(forked, example, log):
    rows = json.loads(printed(forked, example, "--path", log))
    jsonschema.validate(rows, json.loads(printed(forked, example, "--schema")))
    assert [row["tokenisation"]["length"] for row in rows] == [4, 32]
    assert [(row["workload"], row["engine"], row["status"]) for row in rows] == [
        ("tokenisation", "fmbench-tokenise", "OK")
    ] * 2
    for row in rows:
        assert row["tokenisation"]["tokens"] == 100 * row["tokenisation"]["length"]
        assert row["thp"] == pytest.approx(100 / row["itl"] * 1e3)
        assert (row["statistics"], row["retrieval"], row["machine"] is not None) == (None, None, True)
    assert list(rows[0])[:3] == ["timestamp", "metadata_id", "engine"]


def test_it_is_in_the_schema_only_where_it_is_installed(forked, example):
    described = json.loads(printed(forked, example, "--schema"))["items"]["properties"]["tokenisation"]
    assert described["properties"]["tokens_per_second"]["description"] == "By the median pass."
    assert "tokenisation" not in json.loads(printed(forked, {}, "--schema"))["items"]["properties"]


def test_its_figures_are_in_the_other_formats(forked, example, log):
    rows = list(csv.DictReader(io.StringIO(printed(forked, example, "--path", log, "--format", "csv"))))
    assert [row["tokenisation.length"] for row in rows] == ["4", "32"]
    assert printed(forked, example, "--path", log, "--format", "markdown").count("| cpu |") == 2
    gauges = printed(forked, example, "--path", log, "--format", "openmetrics")
    assert gauges.count("\nfmbench_tokenised_tokens_per_second{") == 2 and 'length="32"' in gauges


@pytest.mark.slow
def test_it_is_shown_drawn_and_in_the_record_and_on_the_page(forked, example, log, tmp_path):
    shown = forked("fmbench", "show", log, env=example).stdout.splitlines()
    assert {"length", "tokens_per_second"} <= set(shown[0].split()) and len(shown) == 3
    (record,) = json.loads(printed(forked, example, "--path", log, "--records"))
    assert [(figure["key"], figure["of"]) for figure in record["figures"]] == [("tokenised", "32 words")]
    made = printed(forked, example, "--path", log, "--plots", tmp_path / "plots").split()
    assert f"{tmp_path}/plots/tokenisation.png" in made
    printed(forked, example, "--path", log, "--dashboard", tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size > 10**6


def test_a_wrong_field_of_its_lines_is_refused_like_any_other(forked, example, log, tmp_path):
    text = log.read_text().replace('"tokens": 400', '"tokens": "many"').replace('"length": 32', '"length": -32')
    (tmp_path / "x.log").write_text(text)
    ran = forked("process", "--path", tmp_path / "x.log", env=example)
    assert [line.partition("x.log:")[2].partition(" ")[2] for line in ran.stderr.splitlines()] == [
        "FMWORK TOK: tokens is no whole number", "FMWORK TOK: length is no whole number",
    ]  # fmt: skip
    (row,) = json.loads(ran.stdout)
    assert row["doubt"] == "damaged: TOK: tokens is no whole number"
    assert (row["tokenisation"]["length"], row["tokenisation"]["tokens"]) == (4, None)


def test_saved_rows_are_read_where_it_is_not_installed(forked, example, log, tmp_path):
    saved = tmp_path / "saved.json"
    saved.write_text(printed(forked, example, "--path", log))
    again = forked("process", "--path", saved)
    assert json.loads(again.stdout) == json.loads(saved.read_text())
    (warning,) = again.stderr.splitlines()
    assert "no workload 'tokenisation' is installed" in warning
    assert printed(forked, example, "--path", saved) == saved.read_text()


def test_its_log_without_it_has_no_results(forked, log):
    ran = forked("process", "--path", log)
    assert (ran.returncode, json.loads(ran.stdout)) == (0, [])
    assert "no results" in ran.stderr


def test_a_workload_that_takes_lines_of_another_is_ignored(forked, tmp_path, golden_log):
    code = BROKEN.replace("'BRK'", "'STAT'").replace('= "broken"', '= "greedy"').replace("Broken", "SomeBackend")
    distribution(tmp_path, "greedy", "1.0", "greedy", code)
    entry = tmp_path / "greedy-1.0.dist-info" / "entry_points.txt"
    entry.write_text(entry.read_text().replace("backends", "workloads"))
    ran = forked("process", "--path", golden_log, env=path_of(tmp_path))
    assert ran.stderr == "warning: workload 'greedy' of greedy 1.0 is ignored: STAT is another's\n"
    assert len(json.loads(ran.stdout)) > 1


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        ("class Broken: pass", (), "is ignored: it is no Workload"),
        (
            BROKEN.replace('= "broken"', '= "speed"'),
            (),
            "ignored: it needs the name 'broken', as its entry point",
        ),
        (BROKEN.replace("'BRK'", "'lower case'"), (), "is ignored: it has a kind that is no word in capitals"),
        (BROKEN.replace('Schema({"x": schema.count("X.")})', '{"x": 5}'), (), "it has kinds that are no Schemas"),
        (BROKEN.replace("        yield", "        raise KeyError('boom')\n        yield"), (), "rows failed ('boom')"),
        (BROKEN.replace('"broken": {}', '"itl": "fast"'), (), "rows failed (itl is no number)"),
        (BROKEN.replace('"broken": {}', '"x": object()'), (), "rows failed (Object of type object"),
        (
            BROKEN + "    def tables(self, results): 1 / 0\n",
            ("--format", "markdown"),
            "tables failed (division",
        ),
        (
            BROKEN + "    columns = (Column('k', 'k', lambda row: 1 / 0),)\n",
            ("--records",),
            "column k failed (division",
        ),
        (BROKEN + "    def plots(self): return {'p': lambda results: 1 / 0}\n", ("--format", "html"), "plot p failed"),
    ],
)
def test_the_faults_of_a_workload_stay_its_own(forked, tmp_path, golden_log, code, arguments, said):
    distribution(tmp_path, "broken", "1.0", "broken", code.replace("class Broken", "class SomeBackend"))
    entry = tmp_path / "broken-1.0.dist-info" / "entry_points.txt"
    entry.write_text(entry.read_text().replace("backends", "workloads"))
    ran = forked("process", "--path", golden_log, *arguments, env=path_of(tmp_path))
    assert ran.returncode == 0
    assert f"warning: workload 'broken' of broken 1.0{' ' if said.startswith('is') else ''}" in ran.stderr
    assert said in ran.stderr
    assert "my model" in ran.stdout or arguments == ("--records",)


@pytest.fixture
def golden_log():
    return ROOT / "tests" / "golden" / "format-1.log"


def test_the_how_to_shows_the_example_as_it_is():
    text = HOW_TO.read_text(encoding="utf-8")
    for path in (*EXAMPLE.glob("*.toml"), *EXAMPLE.glob("*.py")):
        assert f"\n{path.read_text(encoding='utf-8')}```" in text, path.name
