"""Two logs side by side on the page: what `fmbench compare` says. No browser is needed here."""

import json
import shlex

import pytest

from fmbench.process import workload
from fmbench.process.cli import main
from fmbench.process.comparing.compare import main as compare
from fmbench.process.dashboard import comparisons, page
from fmbench.process.reading.results import read_results
from fmbench.process.reading.sources import find_sources

from .page import log_text, unpacked

LOGS = {
    "a.log": log_text(),
    "b.log": log_text(slower=1.1),
    "c.log": log_text(dtype="bfloat16", slower=0.5, threads=2),
    "d.log": log_text(dtype="bfloat16", slower=0.501, threads=2, batches=(1, 2, 64)),
    "other.log": log_text(model="org/other"),
}


@pytest.fixture
def folder(tmp_path):
    for name, text in LOGS.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def held(folder):
    assert main(["--path", str(folder), "--dashboard", str(folder / "page.html")]) == 0
    return json.loads(unpacked((folder / "page.html").read_text(), "data"))["comparisons"]


def test_a_log_is_compared_with_the_first_of_its_configurations_and_with_the_first_of_its_shapes(held):
    pairs = [(found["base"], found["new"]) for found in held["made"]]
    assert pairs == [("a.log", "b.log"), ("c.log", "d.log"), ("a.log", "c.log"), ("a.log", "d.log")]
    assert held["left"] == 0 and held["logs"] == 5


def test_the_page_says_what_compare_says(held, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    for found in held["made"]:
        words = shlex.split(found["command"])[2:]
        capsys.readouterr()
        assert compare([*words, "--format", "json"]) == 0
        (said,) = json.loads(capsys.readouterr().out)["comparisons"]
        assert {name: found[name] for name in said} == said
        assert compare(words) == 0
        assert capsys.readouterr().out.splitlines()[0].endswith(found["headline"])
        assert [line[-2] for line in found["table"]["lines"]] == [
            shape["verdict"] or "not compared" for shape in said["shapes"]
        ]


def test_what_has_no_room_is_counted(folder, monkeypatch):
    monkeypatch.setattr(comparisons, "MOST", 12)
    found = comparisons.comparisons_of(read_results(find_sources([str(folder)]), print))
    assert [len(one["shapes"]) for one in found["made"]] == [12] and found["left"] == 3


def test_results_without_repetitions_say_why_they_are_not_compared(folder):
    for name in ("a", "b"):
        assert main(["--path", str(folder / f"{name}.log"), "--out", str(folder / f"{name}.json")]) == 0
    paths = [str(folder / "a.json"), str(folder / "b.json")]
    (found,) = comparisons.comparisons_of(read_results(find_sources(paths), print))["made"]
    reasons = {shape["reason"] for shape in found["shapes"]}
    assert any(reason.startswith("no repetitions in base: compare the log itself") for reason in reasons)
    assert {shape["ratio"] for shape in found["shapes"]} == {None}


# -- panels of workloads


def test_the_panel_of_somebody_else_may_run_where_it_has_results(folder, monkeypatch, capsys):
    speed = workload.installed()["speed"]
    for script, there in (("panel({});", True), ("'</script>'", False), (None, False)):
        monkeypatch.setattr(speed, "panel", script)
        assert main(["--path", str(folder / "a.log"), "--dashboard", str(folder / "x.html")]) == 0
        text = (folder / "x.html").read_text()
        whole = f'"use strict";\n{{\n{script}\n}}'
        assert (f"<script>{whole}</script>" in text and page.allowed(whole) in text) is there
    assert capsys.readouterr().err.count("its panel is left out") == 1


@pytest.mark.xdist_group("browser")
def test_a_panel_of_somebody_else_is_shown_and_a_broken_one_takes_nothing_away(chromium, folder, monkeypatch):
    script = """const noun = "rows";
    panel({ id: "theirs", title: "Theirs", build(body) { this.body = body; },
            update(rows) { this.body.textContent = `${rows.length} ${noun}`; } });"""
    speed = workload.installed()["speed"]
    for panel, expected in ((script, ["12 rows"]), ("panel({", []), ("nonsense();", [])):
        monkeypatch.setattr(speed, "panel", panel)
        assert main(["--path", str(folder / "a.log"), "--dashboard", str(folder / "x.html")]) == 0
        shown = chromium.open(folder / "x.html")
        assert shown.texts("#theirs .body") == expected
        assert len(shown.rows("table")) == 12 and len(shown.rows("records")) == 1
        assert bool(shown.complaints()) is (expected == [])
