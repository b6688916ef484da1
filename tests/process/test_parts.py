"""Means, medians and ratios whose parts are in the same log: where these do not give them, the row is in doubt."""

import json

import pytest

from fmbench import lines
from fmbench.process.cli import main as process_main
from fmbench.process.writing.show import main as show

from .conftest import GOLDEN
from .log_lines import LOG

RANKED = GOLDEN.parent / "golden-retrieval" / "by-query-1.log"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"ndcg_cut_10": 0.815465', '"ndcg_cut_10": 0.845465',
         "contradicted: IRM says ndcg_cut_10 0.845465, and the mean of IRQ's queries is 0.815465"),
        ('"ndcg_cut_10": [1.0, 0.63093]', '"ndcg_cut_10": [0.5, 0.315465]',
         "contradicted: IRM says ndcg_cut_10 0.815465, and the mean of IRQ's queries is 0.407732"),
        ('[1.0, 0.63093]', '[1.0]', "lost: IRQ has 2 queries, and 1 values of ndcg_cut_10"),
        ('"queries": 2', '"queries": 3', "lost: IRM judges 3 queries, and IRQ has 2"),
        ('"ndcg_cut_10": 0.815465', '"ndcg_cut_10": 0.8154651234', None),
    ],
)  # fmt: skip
def test_a_mean_is_that_of_its_queries(read, tmp_path, capsys, old, new, said):
    text = RANKED.read_text()
    assert old in text
    printed = read(text.replace(old, new))
    assert (printed.rows[0]["doubt"] or "").startswith(said or "") and bool(printed.rows[0]["doubt"]) == bool(said)
    assert any(said in text for text in printed.warnings) if said else printed.warnings == []
    if said:
        assert show([str(tmp_path / "run.log")]) == 0
        assert said in capsys.readouterr().out
        assert process_main(["--path", str(tmp_path / "run.log"), "--format", "openmetrics"]) == 0
        assert said in capsys.readouterr().err


VARIANT = {
    "artifact": "ladder/bf16", "kind": "variant", "verdict": "different", "variant": "bf16", "reference": "fp32",
    "passages": 4, "of_passages": 4, "batch": 2, "latency_ms": 2.0, "texts_per_second": 1000.0,
    "nanoseconds": [2_000_000] * 12,
}  # fmt: skip
METRIC = {"a": 0.5, "b": 0.6, "change": 0.1, "interval": [0.0, 0.2], "p": 0.1, "increase": 1, "equal": 1, "decrease": 0}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, None),
        ({"latency_ms": 1.0}, "FID says 1.0 ms, and its nanoseconds 2.0 ms"),
        ({"texts_per_second": 2000.0}, "texts_per_second are not its batch over its latency"),
        ({"metrics": {"MRR@10": METRIC}}, None),
        ({"metrics": {"MRR@10": {**METRIC, "b": 0.7}}}, "the change of MRR@10 is not what its means differ by"),
        ({"metrics": {"MRR@10": {**METRIC, "interval": [0.2, 0.3]}}}, "the interval of the change of MRR@10"),
    ],
)
def test_figures_of_fidelity_are_those_of_their_parts(read, more, said):
    kind = {"kind": "ranking", "batch": None} if "metrics" in more else {}
    (row,) = read(LOG, lines.JsonLine("FID", {**VARIANT, **kind, **more}).format()).rows
    assert row["doubt"] is None if said is None else said in row["doubt"]


def test_percentiles_and_ratio_of_a_query_encoder_are_those_of_its_nanoseconds(read, golden):
    text = (golden.parent / "golden-distill" / "format-1.log").read_text()

    def doubts(said):
        """The doubt of the student, of whose line fields are other ones, beside a teacher of 7.1 ms."""
        out = []
        for line in text.splitlines():
            if line.startswith("FMWORK DST") and "nanoseconds" in line:
                head, _, data = line.partition("{")
                found = json.loads("{" + data)
                out.append(head + json.dumps({**found, "stage": "reference", "query_model": "teacher",
                                              "nanoseconds": [7_100_000] * 100, "latency_ms": {}}))  # fmt: skip
                line = head + json.dumps({**found, "nanoseconds": [71_000] * 100, **said})
            out.append(line)
        return [row["doubt"] for row in read(*out).rows if row["model"] != "teacher"]

    same = dict.fromkeys(("p50", "p95", "p99"), 0.071) | {"n": 80}
    pair = {
        "a": "teacher",
        "b": "student",
        "n": 80,
        "ratio": 0.01,
        "interval": [0.009, 0.011],
        "p": 0.0,
        "verdict": "faster",
        "detectable": 0.01,
    }
    assert doubts({"latency_ms": same, "pair": pair})[-1] is None
    doubt = doubts({"latency_ms": {**same, "p95": 0.098, "p99": 0.1}, "pair": pair})[-1]
    assert doubt == "contradicted: DST says p95 0.098 ms, and its nanoseconds 0.071 ms"
    wrong = {**pair, "ratio": 0.02, "interval": [0.019, 0.021]}
    assert "the pair's ratio 0.02 is not that of the nanoseconds" in doubts({"latency_ms": same, "pair": wrong})[-1]
