"""Runs under load as rows, tables, gauges and records; and when they are not to be believed."""

import json

import pytest

from .conftest import GOLDEN

LOG = GOLDEN.parent / "golden-load" / "format-1.log"
SEARCH = LOG.with_name("slo-1.log")


@pytest.fixture
def changed(process, tmp_path):
    """changed(kind, **more) -> what is printed of the golden log when the first line of a kind says something else."""

    def change(kind, **more):
        rows = LOG.read_text().splitlines()
        place = next(place for place, row in enumerate(rows) if row.startswith(f"FMWORK {kind} "))
        head = f"FMWORK {kind} "
        rows[place] = head + json.dumps({**json.loads(rows[place].removeprefix(head)), **more})
        (tmp_path / "run.log").write_text("\n".join(rows) + "\n")
        return process("--path", tmp_path / "run.log")

    return change


def test_a_run_is_a_row_of_the_servers_configuration(process):
    printed = process("--path", LOG)
    assert [row["load"]["scenario"] for row in printed.rows] == ["closed"] * 4
    first = printed.rows[0]
    assert (first["workload"], first["engine"], first["status"]) == ("load", "fmbench/load", "OK")
    assert (first["environment"]["platform"], first["precision"]) == ("cpu", "float32")
    assert first["itl"] == first["load"]["latency_ms"]["p50"] and first["thp"] == first["load"]["texts_per_second"]
    assert first["load"]["answers"]["verdict"] == "right" and first["load"]["limit"] is None
    assert {row["batch"] for row in printed.rows} == {1, 4}
    assert len({row["configuration"] for row in printed.rows} - {None}) == 1


def test_a_limit_is_a_row_of_its_own(process):
    *probes, row = process("--path", SEARCH).rows
    tried = len(row["load"]["limit"]["probes"])
    assert [probe["load"]["scenario"] for probe in probes] == ["offline"] + ["open"] * tried
    assert (row["load"]["scenario"], row["variant"], row["itl"]) == ("slo", "p99 within 100 ms", None)
    assert row["doubt"] == probes[1]["doubt"] and row["doubt"].startswith("late: the client itself")
    limit = row["load"]["limit"]
    assert limit["interval"][0] <= limit["rate"] <= limit["interval"][1] and limit["rate"] == row["thp"]


def test_runs_are_shown_with_how_they_failed(changed, script, tmp_path):
    changed("LOAD", requests=151, failed=1, errors=[{"status": 429, "said": "Model is overloaded", "count": 1}])
    shown = script("fmbench", "show", tmp_path / "run.log").stdout
    assert "closed 1: 1 of 151 requests failed: 429, Model is overloaded" in shown
    assert "closed 2" in shown and "right" in shown and "p99 ms" in shown


@pytest.mark.parametrize(
    ("kind", "more", "doubt"),
    [
        ("LOAD", {"requests": 151, "failed": 1}, "contradicted: LOAD has 151 requests, and REQ 150"),
        ("LOAD", {"answered": 149}, "contradicted: LOAD: answered and failed requests are not all of them"),
        (
            "LOAD",
            {"latency_ms": {"p50": 999.0}, "intervals": {}},
            "contradicted: LOAD says p50 999, and its other figures 3.75",
        ),
        ("LOAD", {"latency_ms": {"p99": 999.0}, "intervals": {}}, "contradicted: LOAD says p99 999, and its other"),
        ("LOAD", {"max_ms": 999.0}, "contradicted: LOAD says max_ms 999, and its other"),
        ("LOAD", {"requests_per_second": 999.0}, "contradicted: LOAD says requests_per_second 999, and its other"),
        ("LOAD", {"texts_per_second": 999.0}, "contradicted: LOAD says texts_per_second 999, and its other"),
        ("LOAD", {"tokens_per_second": 999.0}, "contradicted: LOAD says tokens_per_second 999, and its other"),
        ("LOAD", {"intervals": {"p50": [900.0, 901.0]}}, "contradicted: LOAD: the interval of p50"),
        ("LOAD", {"scenario": "open", "lag_ms": {"p50": 1.0, "p99": 500.0}}, "late: the client itself sent 5e+02 ms"),
        ("LOAD", {"steady": False}, "drift: latencies were not steady: the service or its machine changed pace, or"),
        (
            "LOAD",
            {"steady": False, "scenario": "open"},
            "drift: latencies were not steady: the queue grows, or the run",
        ),
        ("LOAD", {"ended": "gone", "unsent": 3}, "gone: nobody answered any more, and 3 requests were not sent"),
        ("VEC", {"verdict": "wrong", "faults": {"corrupt": 2, "wrong": 2}}, "wrong: vectors: 2 corrupt, 2 wrong"),
        ("LOAD", {"answered": -1}, None),
    ],
)
def test_a_run_that_cannot_be_is_in_doubt(changed, kind, more, doubt):
    printed = changed(kind, **more)
    if doubt is None:  # the line is refused
        assert len(printed.rows) == 3 and printed.warnings
    else:
        assert printed.rows[0]["doubt"].startswith(doubt), printed.rows[0]["doubt"]
        assert printed.rows[1]["doubt"] is None


def test_a_run_that_was_interrupted_is_partial_and_one_without_answers_failed(changed, script, tmp_path):
    assert changed("LOAD", ended="interrupted").rows[0]["status"] == "PARTIAL"
    assert "partial: 150 requests in " in script("fmbench", "show", tmp_path / "run.log").stdout
    assert changed("LOAD", answered=0, failed=150, latency_ms={}, intervals={}).rows[0]["status"] == "ERR"


def test_it_is_in_the_gauges_and_the_record(process, script):
    gauges = script("process", "--path", LOG, "--format", "openmetrics").stdout
    assert gauges.count("\nfmbench_load_latency_p99_seconds{") == 4
    (record,) = json.loads(script("process", "--path", LOG, "--records").stdout)
    assert {figure["key"] for figure in record["figures"]} == {"load_p99_ms", "load_texts_per_second"}


def test_runs_are_compared_with_those_of_the_same_load(script, tmp_path):
    (tmp_path / "new.log").write_text(LOG.read_text())
    same = script("fmbench", "compare", LOG, tmp_path / "new.log")
    assert same.returncode == 0 and all(f"  closed {clients}  " in same.stdout for clients in (1, 2)), same.stderr
    assert "4 without significant difference" in same.stdout
