"""PLAID indexes that colbert-ai made: both tables against its own Searcher, and the step that moves an index."""

import json
from types import SimpleNamespace

import pytest
import torch

from fmbench import cli, lines
from fmbench.collection import Dataset

from ..late_models import save_colbert
from .peers import run_peer, run_python

SEEDS = {"a": 12345, "b": 7, "c": 7}  # of what is sampled: colbert-ai's own, and another
DEPTH = 10
FILES = ("0.codes.pt", "0.residuals.pt", "avg_residual.pt", "buckets.pt", "centroids.pt", "ivf.pid.pt")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(collection, texts, minilm, tmp_path_factory):
    """Indexes a, b, and c, which is b's with a's centroids; what colbert-ai finds in each, by places of passages."""
    root = tmp_path_factory.mktemp("plaid")
    checkpoint = save_colbert(root / "colbert", minilm, dim=96, query_maxlen=32, doc_maxlen=64)
    found = {}
    for name, seed in SEEDS.items():
        given = [root / "a" / "centroids.pt"] if name == "c" else []
        out = root / f"{name}.json"
        run_peer("COLBERT", "plaid_peer.py", checkpoint, texts, root / name, seed, out, *given)
        found[name] = [{int(place): score for place, score in one.items()} for one in json.loads(out.read_text())]
    return SimpleNamespace(root=root, checkpoint=checkpoint, collection=collection, found=found)


def said(text, kind="FID"):
    """The lines of a kind."""
    return [line.data for line in map(lines.parse_line, text.splitlines()) if lines.is_json(line, kind)]


def compare(built, a, b, capfd):
    """What `fidelity compare` says of two indexes: of all files, and of each tensor."""
    assert cli.main(["fidelity", "compare", str(built.root / a), str(built.root / b)]) == 0
    *tensors, whole = said(capfd.readouterr().out)
    return whole, {line["artifact"].removeprefix("plaid/"): line["verdict"] for line in tensors[1:]}


def load(built, name, file):
    """The tensors of a file."""
    held = torch.load(built.root / name / file)
    return held if isinstance(held, tuple) else (held,)


def test_the_table_of_files_is_what_torch_says(built, capfd):
    whole, _ = compare(built, "a", "b", capfd)
    pairs = [list(zip(load(built, "a", file), load(built, "b", file), strict=True)) for file in FILES]
    shapes = [all(one.shape == other.shape for one, other in tensors) for tensors in pairs]
    assert whole["tensors"] == len(FILES) and whole["same_shape"] == sum(shapes)
    equal = [same and all(torch.equal(*pair) for pair in tensors) for same, tensors in zip(shapes, pairs, strict=True)]
    close = [
        same and all(torch.allclose(*pair) for pair in tensors) for same, tensors in zip(shapes, pairs, strict=True)
    ]
    assert (whole["equal"], whole["close_default"]) == (sum(equal), sum(close))
    assert not any(equal)
    whole, _ = compare(built, "a", "a", capfd)
    assert whole["equal"] == len(FILES)


def test_with_the_centroids_of_a_what_differs_lies_upstream_of_codes_and_downstream_of_buckets(built, capfd):
    whole, verdicts = compare(built, "a", "c", capfd)
    unequal = {name for name, verdict in verdicts.items() if verdict != "equal"}
    assert unequal == {"0.residuals.pt", "avg_residual.pt", "buckets.pt[0]", "buckets.pt[1]"}  # of another sample
    assert whole["first"] == "plaid/avg_residual.pt"


def test_a_swap_finds_what_the_searcher_finds_and_tells_index_from_search(built, capfd):
    ranking = built.root / "a.tsv"
    words = ["--ranking", ranking, "--platform", "cpu", "--model_name", built.checkpoint, "--dataset", built.collection]
    run_python("COLBERT", "-m", "fmbench", "fidelity", "swap", built.root / "a", *words)
    dataset = Dataset.from_folder(built.collection)
    ids, queries = [each.id for each in dataset.corpus], [each.id for each in dataset.queries]
    own = {name: [rename(one, ids) for one in found] for name, found in built.found.items()}
    written = {query: {} for query in queries}
    for row in ranking.read_text().splitlines():
        query, document, _, score = row.split("\t")
        written[query][document] = float(score)
    assert [list(written[query]) for query in queries] == [list(one) for one in own["a"]]
    assert all(written[query] == pytest.approx(one, abs=1e-5) for query, one in zip(queries, own["a"], strict=True))
    text = run_python("COLBERT", "-m", "fmbench", "fidelity", "swap", built.root / "a", built.root / "b", *words)
    parts = {line["part"]: line for line in said(text)}
    assert parts["search"]["verdict"] == "equal"
    for part in ("both", "index"):
        check(parts[part], own["a"], own["b"], [set(dataset.qrels.gains[query]) for query in queries])


def test_a_bisection_tells_the_codec_from_the_embeddings(built, capfd):
    words = ["--platform", "cpu", "--model_name", built.checkpoint, "--dataset", built.collection]
    for name, first in (("a", None), ("b", "plaid/centroids.pt")):  # the same seed as this one's, and another
        text = run_python("COLBERT", "-m", "fmbench", "fidelity", "bisect", built.root / name, *words)
        nothing, codec = said(text)
        assert (nothing["first"], nothing["cause"]) == (first, None)
        assert (codec["first"], codec["cause"], codec["artifacts"]) == (None, "upstream", 5)


def rename(found, ids):
    """A ranking by ids, the best ten."""
    return {ids[place]: score for place, score in list(found.items())[:DEPTH]}


def check(line, before, after, relevant):
    """Hold a row of the seed's table against its columns' definitions."""
    assert line["different_ids"] == pytest.approx(
        sum(len({*a} ^ {*b}) for a, b in zip(before, after, strict=True)) / 80
    )
    for name, metric in (("Recall@10", recall), ("MRR@10", reciprocal)):
        one, other = ([metric(list(f), r) for f, r in zip(side, relevant, strict=True)] for side in (before, after))
        row = line["metrics"][name]
        assert (row["a"], row["b"]) == pytest.approx((sum(one) / 80, sum(other) / 80))
        rises = [(b > a) - (b < a) for a, b in zip(one, other, strict=True)]
        assert [row[key] for key in ("increase", "equal", "decrease")] == [rises.count(sign) for sign in (1, 0, -1)]


def recall(found, relevant):
    return len(relevant & {*found}) / len(relevant)


def reciprocal(found, relevant):
    return next((1 / rank for rank, document in enumerate(found, 1) if document in relevant), 0)
