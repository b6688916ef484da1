"""The dashboard for Grafana asks for what `process --format openmetrics` writes."""

import json
import re
from pathlib import Path

import pytest

from fmbench.process.cli import main
from fmbench.process.workload import installed
from fmbench.process.writing.openmetrics import COMMON, FURTHER, LABELS

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads(ROOT.joinpath("examples", "grafana", "fmbench.json").read_text())
TARGETS = [target for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
VARIABLES = [one for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]
EVERYWHERE = {*LABELS, *FURTHER}
SAMPLE = re.compile(r"^(fmbench_\w+)\{(.*)\} ", re.MULTILINE)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def labels_by_metric():
    """Every metric that can be written, with the labels that its samples can have."""
    found = {gauge.family: set(EVERYWHERE) for gauge in COMMON}
    for workload in installed().values():
        for gauge in (*COMMON, *workload.gauges):
            found.setdefault(gauge.family, set(EVERYWHERE)).update(workload.labels)
    return found


KNOWN = labels_by_metric()


@pytest.mark.parametrize("query", [one["expr"] for one in TARGETS] + [one["query"]["query"] for one in VARIABLES])
def test_it_asks_for_metrics_that_are_written(query):
    (metric,) = re.findall(r"\bfmbench_\w+", query)
    labels = re.findall(r"(\w+)=~", query) + re.findall(r"label_values\(\w+, (\w+)\)", query)
    assert labels and set(labels) <= KNOWN[metric]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target["legendFormat"])
def test_its_legends_show_labels_that_the_samples_have(target):
    (metric,) = re.findall(r"\bfmbench_\w+", target["expr"])
    assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= KNOWN[metric]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Of every metric the labels of its samples, for all that is published and a log of each other workload."""
    found = {}
    for logs in (ROOT / "results", ROOT / "tests" / "golden-fidelity", ROOT / "tests" / "golden-quality"):
        out = tmp_path_factory.mktemp("gauges") / "fmbench.prom"
        assert main(["--path", str(logs), "--format", "openmetrics", "--out", str(out)]) == 0
        for metric, labels in SAMPLE.findall(out.read_text(encoding="utf-8")):
            found.setdefault(metric, []).append(dict(LABEL.findall(labels)))
    return found


@pytest.mark.parametrize("target", [one for one in TARGETS if "{{" in one["legendFormat"]], ids=lambda one: one["expr"])
def test_no_two_lines_of_a_chart_are_called_the_same(target, published):
    (metric,) = re.findall(r"\bfmbench_\w+", target["expr"])
    legends = [
        re.sub(r"{{(\w+)}}", lambda name, labels=labels: labels.get(name[1], ""), target["legendFormat"])
        for labels in published[metric]
    ]
    assert len(legends) == len(set(legends)) > 0


def test_its_queries_name_variables_that_it_has():
    named = {name for target in TARGETS for name in re.findall(r"\$(\w+)", target["expr"])}
    assert named == {one["name"] for one in VARIABLES}


def test_every_workload_has_a_panel():
    shown = {metric for target in TARGETS for metric in re.findall(r"\bfmbench_\w+", target["expr"])}
    without = {name for name, one in installed().items() if one.gauges and not {g.family for g in one.gauges} & shown}
    assert without <= {"distillation"}, "its figures are of one training, not of days"
