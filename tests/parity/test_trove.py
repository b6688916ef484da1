"""Rankings judged and negatives mined as Trove 0.0.2 does it, by its evaluator on the same model and collection."""

import json

import pytest

from fmbench.collection import Qrels
from fmbench.drivers.retrieve.cli import main

from ..tiny_model import write_collection, write_model
from .peers import run_peer

DOCUMENTS, QUERIES, NEGATIVES = 400, 60, 7
CONFIGURATIONS = {"mean": "mean", "first_token": "cls"}  # there, and here


@pytest.fixture(scope="module", params=[("mean", "yes"), ("first_token", "yes"), ("mean", "no")], ids="-".join)
def sides(request, tmp_path_factory):
    """What Trove and what fmbench made of one configuration: folders."""
    place = tmp_path_factory.mktemp("parity")
    model, data = write_model(place / "model", hidden_size=64), write_collection(place / "data", DOCUMENTS, QUERIES)
    with (data / "qrels" / "test.tsv").open("a") as qrels:  # graded, and judged as irrelevant
        qrels.writelines(f"q{number}\td{number + 1}\t2\nq{number}\td{number + 2}\t0\n" for number in range(30))
    pooling, normalize = request.param
    run_peer("TROVE", "trove_peer.py", model, data, place / "theirs", pooling, normalize)
    similarity = "cosine" if normalize == "yes" else "dot"
    words = ["--platform", "cpu", "--model_name", str(model), "--dataset", str(data), "--pooling",
             CONFIGURATIONS[pooling], "--normalize", normalize, "--similarity", similarity]  # fmt: skip
    ours = place / "ours"
    assert main(["evaluate", *words, "--ir_metrics_k_values", "1,3,10", "--output_dir", str(ours / "evaluated")]) == 0
    mined = ["mine", *words, "--search_topk", str(NEGATIVES), "--merge_mined_qrels", "--output_dir"]
    assert main([*mined, str(ours / "left_out")]) == 0
    assert main([*mined, str(ours / "all"), "--no_annot_in_mined_hn", "no"]) == 0
    return place / "theirs", ours


def test_every_metric_is_the_same(sides):
    theirs, ours = sides
    said = json.loads((theirs / "metrics.json").read_text())
    found = json.loads((ours / "evaluated" / "data" / "metrics.json").read_text())
    assert len(said) == 15
    assert {name: found[name] for name in said} == pytest.approx(said, abs=1e-12)


@pytest.mark.parametrize("kind", ["left_out", "all"])
def test_the_same_negatives_are_mined(sides, kind):
    theirs, ours = sides
    said = Qrels.load([theirs / kind / "mined_hard_negatives" / "mined_qrels.tsv"]).gains
    found = Qrels.load([ours / kind / "data" / "mined_qrels.tsv"]).gains
    assert sum(map(len, said.values())) == QUERIES * NEGATIVES
    assert {query: set(documents) for query, documents in found.items()} == {
        query: set(documents) for query, documents in said.items()
    }
    for query, documents in said.items():
        assert found[query] == pytest.approx(documents, abs=1e-5, rel=1e-6)  # single precision
