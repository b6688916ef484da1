"""Fidelity of late-interaction models, and of the steps of an index."""

import json

import numpy as np
import pytest
import torch

from fmbench import cli, lines
from fmbench.capture.reader import ArtifactReader
from fmbench.drivers.fidelity import indexes
from fmbench.encoder import EncoderPlan
from fmbench.encoder.late import LateEncoder
from tests.encoder.conftest import text_arguments
from tests.late_models import save_colbert
from tests.tiny_model import write_collection, write_model

PROBES = "tokens,normalised,token_vectors,exact,index,search,lse,bert"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("late")
    save_colbert(folder / "colbert")
    write_model(folder / "tiny")
    write_model(folder / "other", seed=2)
    write_collection(folder / "wings")
    return folder


@pytest.fixture
def fidelity(root, capfd, restore_torch):
    """fidelity(command, model, words, ...) -> FID lines and stderr of a command that succeeds."""

    def run(command, model, *words, code=0):
        common = ["--platform", "cpu", "--threads", "1", "--model_name", root / model, "--dataset", root / "wings"]
        assert cli.main(["fidelity", command, *map(str, [*words, *common])]) == code
        printed = capfd.readouterr()
        parsed = map(lines.parse_line, printed.out.splitlines())
        return [line.data for line in parsed if lines.is_json(line, "FID")], printed.err

    return run


@pytest.fixture
def captured(root, fidelity):
    def run(model):
        folder = root / f"capture-{model}"
        if not folder.exists():
            fidelity("capture", model, "--out", folder, "--probes", PROBES)
        return folder

    return run


def test_a_checkpoint_is_captured_as_it_says_with_no_flag(root, captured, fidelity):
    reader = ArtifactReader(captured("colbert"))
    fingerprint = reader.manifest.fingerprint
    assert fingerprint["head"] == "checkpoint" and fingerprint["late_interaction"]["markers"]["passage"] == "[unused1]"
    assert "late_interaction" not in ArtifactReader(captured("tiny")).manifest.fingerprint  # the command made its head
    encoder = LateEncoder(EncoderPlan.of(text_arguments(root / "colbert"), late=True))
    rows = [json.loads(row) for row in (root / "wings" / "corpus.jsonl").read_text().splitlines()]
    asked = [json.loads(row) for row in (root / "wings" / "queries.jsonl").read_text().splitlines()]
    found, wanted = (
        encoder.encode([row["text"] for row in rows]),
        encoder.encode([row["text"] for row in asked], "query"),
    )
    stored = reader.tensor(reader.find("token_vectors/passage"))
    assert np.allclose(stored.float().numpy(), found.vectors, atol=1e-3)
    ids = reader.tensor(reader.find("tokens/passage.ids"))
    assert int((ids == encoder.tokenizer.convert_tokens_to_ids("[unused1]")).sum()) == len(rows)
    run = reader.run(reader.find("exact/tokens"))
    for place, row in enumerate(asked):
        scores = {
            rows[text]["_id"]: (wanted.of(place) @ found.of(text).T).max(axis=1).sum() for text in range(len(rows))
        }
        for name, score in run[row["_id"]].items():
            assert score == pytest.approx(scores[name], abs=0.02)  # float16 on disk
    folder = root / "by-flag"
    fidelity("capture", "colbert", "--colbert", root / "colbert", "--out", folder, "--probes", PROBES)
    found, _ = fidelity_compare(captured("colbert"), folder)
    assert found[-1]["verdict"] == "equal"


def fidelity_compare(a, b):
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        assert cli.main(["fidelity", "compare", str(a), str(b)]) == 0
    parsed = map(lines.parse_line, out.getvalue().splitlines())
    return [line.data for line in parsed if lines.is_json(line, "FID")], err.getvalue()


def test_a_folder_that_is_no_checkpoint_is_refused(root, fidelity, tmp_path):
    for folder, message in ((root / "tiny", "it is no ColBERT checkpoint"), (root / "gone", "no such folder")):
        _, err = fidelity("capture", "tiny", "--colbert", folder, "--out", tmp_path / "out", code=2)
        assert message in err


def causes(found):
    return {line["artifact"]: (line["cause"], line["first"]) for line in found if line["kind"] == "substitution"}


def test_the_same_build_makes_the_same_index_whatever_is_put_in(captured, fidelity):
    found, err = fidelity("bisect", "tiny", captured("tiny"), "--index")
    assert set(causes(found).values()) == {(None, None), ("upstream", None)} and len(found) == 8
    assert "Indexes with parts of A's" in err


def test_another_model_is_upstream_of_the_embeddings(captured, fidelity):
    found = causes(fidelity("bisect", "other", captured("tiny"), "--index")[0])
    for kind in ("tokens", "pooled"):
        assert found[f"index/{kind}: nothing"] == (None, f"index/{kind}.sample")
        assert found[f"index/{kind}: embeddings"] == ("upstream", None)
        assert found[f"index/{kind}: sample"] == ("downstream", f"index/{kind}.codes")


def test_another_clustering_is_downstream_of_the_sample_and_upstream_of_the_centroids(captured, fidelity, monkeypatch):
    folder, cluster = captured("tiny"), indexes.cluster
    monkeypatch.setattr(indexes, "cluster", lambda *words: cluster(*words).flip(0))
    found = causes(fidelity("bisect", "tiny", folder, "--index")[0])
    assert (
        found["index/tokens: embeddings"] == found["index/tokens: sample"] == ("downstream", "index/tokens.centroids")
    )
    assert found["index/tokens: centroids"] == ("upstream", None)


def test_a_bisection_of_an_index_asks_for_its_texts_and_its_probe(captured, fidelity, root, tmp_path):
    _, err = fidelity("bisect", "tiny", captured("tiny"), "--index", "--seed", "5", code=2)
    assert "--seed 5 are not those of" in err
    fidelity("capture", "tiny", "--out", tmp_path / "bare", "--probes", "tokens")
    _, err = fidelity("bisect", "tiny", tmp_path / "bare", "--index", code=2)
    assert "without the probe index; add it to --probes" in err
    _, err = fidelity("bisect", "tiny", captured("tiny"), code=2)
    assert "go with --index" in err


def test_given_parts_take_the_place_of_an_indexs_own():
    generator = torch.Generator().manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(200, 8, generator=generator), dim=-1)
    starts = torch.arange(0, 201, 10)
    own = indexes.build(rows.numpy(), starts, 0)
    turned = own["centroids"].flip(0)
    found = indexes.build(rows.numpy(), starts, 0, {"centroids": turned})
    assert torch.equal(found["centroids"], turned) and torch.equal(found["codes"], len(turned) - 1 - own["codes"])
