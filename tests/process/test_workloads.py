"""A workload of somebody else is shown like ours, with no more than its rows."""

import csv
import io
import json
import re
from types import FunctionType
from typing import ClassVar

import pytest

from fmbench import lines
from fmbench.process import workload
from fmbench.process.cli import main
from fmbench.process.guard import Guarded
from fmbench.process.reading import results
from fmbench.process.reading.row import Result, row_of
from fmbench.process.reading.sources import find_sources
from fmbench.process.trackers.tracked_run import runs_in, track
from fmbench.process.workload import Gauge, Workload, installed
from fmbench.process.writing import follow
from fmbench.process.writing.show import main as show_main

from .log_lines import LOG


class Tokeniser(Workload):
    """Texts a second over lengths. A fake: its figures stand in a fact, since no driver prints them."""

    name = "tokeniser"
    engine = "tokeniser"
    kinds: ClassVar = {}
    sections: ClassVar = {}

    def rows(self, run, source, metadata_id):
        for length, rate in run.environment_of(None).get("rates", ()):
            own = {"workload": "tokeniser", "tokeniser": {"length": length, "cased": True, "texts_per_second": rate}}
            yield Result({**row_of(run, metadata_id), **own, "status": "OK"}, source)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "x.log"
    facts = lines.JsonLine("ENV", {"platform": "cpu", "model": "m", "rates": [[8, 1234.56], [512, 99.5]]})
    path.write_text("\n".join([LOG, lines.Arg("model_name", "m").format(), facts.format(), ""]))
    return path


@pytest.fixture
def with_it(monkeypatch):
    """Install the fake, with whatever it has besides its rows."""

    def install(**more):
        fake = type("Tokeniser", (Tokeniser,), more)()
        for module in (workload, results, follow):
            monkeypatch.setattr(module, "installed", lambda: {**installed(), "tokeniser": fake})

    return install


def printed(log, form, capsys):
    assert main(["--path", str(log), "--format", form]) == 0
    return capsys.readouterr().out


def test_rows_are_enough_for_every_format(log, with_it, capsys, tmp_path):
    with_it()
    rows = json.loads(printed(log, "json", capsys))
    assert [(row["workload"], row["tokeniser"]["texts_per_second"]) for row in rows] == [
        ("tokeniser", 1234.56),
        ("tokeniser", 99.5),
    ]
    first, _ = csv.DictReader(io.StringIO(printed(log, "csv", capsys)))
    assert (first["tokeniser.texts_per_second"], first["workload"]) == ("1234.56", "tokeniser")
    table = printed(log, "markdown", capsys)
    assert table.splitlines()[0] == "| model | platform | length | cased | texts_per_second | trust |"
    assert "| m | cpu | 8 | True | 1230 |  |" in table
    assert "fmbench_shape_measured{" in printed(log, "openmetrics", capsys)
    assert show_main([str(log)]) == 0
    assert capsys.readouterr().out.splitlines()[2].split() == ["m", "cpu", "512", "True", "99.5"]
    assert main(["--path", str(log), "--plots", str(tmp_path / "plots")]) == 0
    assert list((tmp_path / "plots").iterdir()) == []


def test_its_results_outlive_it(log, with_it, monkeypatch, capsys, tmp_path):
    with_it()
    assert main(["--path", str(log), "--out", str(tmp_path / "x.json")]) == 0
    monkeypatch.undo()
    assert show_main([str(tmp_path / "x.json")]) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["model", "platform", "length", "cased",
                                                               "texts_per_second", "trust"]  # fmt: skip


def test_what_else_it_has_is_told_too(log, with_it, capsys, tmp_path):
    rate = Gauge("tokenised", "texts_per_second", "Texts.", "tokeniser.texts_per_second", chart="texts_per_second")
    with_it(
        gauges=(rate,),
        labels={"length": "tokeniser.length"},
        plots=lambda self: {"rate": lambda results: f"{len(results)} are too few"},
        news=lambda self, kind, data: f"{len(data['rates'])} lengths" if kind == "ENV" else None,
    )
    assert re.search('length="512",configuration="c-[0-9a-f]+"} 99.5\n', printed(log, "openmetrics", capsys))
    (run,) = runs_in(results.read_results(find_sources([str(log)]), print))
    assert track(run).totals == {"texts_per_second/8": 1234.56, "texts_per_second/512": 99.5}
    assert main(["--path", str(log), "--plots", str(tmp_path)]) == 0
    assert capsys.readouterr().err == "note: no plot rate: 2 are too few\n"
    watch = follow.Watch("log", print)
    assert [row for raw in log.read_bytes().splitlines(keepends=True) for row in watch.take(raw)] == ["2 lengths"]
    assert watch.progress(0) == "2 lengths"


def test_a_guard_stands_before_all_that_a_workload_may_define():
    public = {name for name, value in vars(Workload).items() if isinstance(value, FunctionType) and name[0] != "_"}
    assert public - set(vars(Guarded)) == {"row"}  # which workloads call, and do not define
