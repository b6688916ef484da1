"""The dashboard for Grafana asks for what `process --format openmetrics` writes."""

import json
import re
from pathlib import Path

import pytest

from fmbench.process.workload import installed
from fmbench.process.writing.openmetrics import COMMON, FURTHER, LABELS

DASHBOARD = json.loads(Path(__file__).parents[2].joinpath("examples", "grafana", "fmbench.json").read_text())
TARGETS = [target for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
VARIABLES = [one for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]
EVERYWHERE = {*LABELS, *FURTHER}


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


def test_its_queries_name_variables_that_it_has():
    named = {name for target in TARGETS for name in re.findall(r"\$(\w+)", target["expr"])}
    assert named == {one["name"] for one in VARIABLES}


def test_every_workload_has_a_panel():
    shown = {metric for target in TARGETS for metric in re.findall(r"\bfmbench_\w+", target["expr"])}
    without = {name for name, one in installed().items() if one.gauges and not {g.family for g in one.gauges} & shown}
    assert without <= {"distillation"}, "its figures are of one training, not of days"
