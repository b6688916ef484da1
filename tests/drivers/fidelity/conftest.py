import pytest
import torch

from fmbench import cli, lines
from fmbench.capture.manifest import Manifest
from fmbench.capture.reader import ArtifactReader
from fmbench.drivers.fidelity.writer import ArtifactWriter
from tests.tiny_model import write_collection, write_model


def manifest(**changes):
    """A manifest before its capture: two probes, four texts."""
    known = {
        "fingerprint": {"packages": {"torch": "2.13.0"}},
        "model": "m" * 64,
        "texts": "t" * 64,
        "text_count": 4,
        "seed": 0,
        "probes": {"bert": {"layers": "all"}, "search": {}},
    }
    return Manifest(**{**known, **changes})


@pytest.fixture
def capture(tmp_path):
    """capture("A", {"bert/x": tensor or [pieces], "search/exact": {query: {id: score}}}, qrels=None, **manifest)."""

    def write(name, artifacts, qrels=None, **changes):
        with ArtifactWriter(tmp_path / name, manifest(**changes)) as writer:
            for label, item in artifacts.items():
                probe, _, rest = label.partition("/")
                if isinstance(item, dict):
                    writer.rank(probe, rest, item)
                else:
                    for piece in item if isinstance(item, list) else [item]:
                        writer.append(probe, rest, piece)
            if qrels is not None:
                writer.judge(qrels)
        return ArtifactReader(tmp_path / name)

    return write


TEN = [f"d{place}" for place in range(10)]


def ranked(rankings):
    return {query: {name: -float(place) for place, name in enumerate(names)} for query, names in rankings.items()}


def artifacts(drift=0.0, **changes):
    """What a small model computes: tokens, four layers from the third of which on `drift` is added, and rankings."""
    generator = torch.Generator().manual_seed(0)
    layers = {f"bert/layer.{n}": torch.randn(6, 8, generator=generator) for n in range(4)}
    moved = {name: layer + drift * (number > 1) for number, (name, layer) in enumerate(layers.items())}
    search = {"search/exact": ranked({"q1": TEN, "q2": TEN, "q3": TEN})}
    return {"bert/tokens": torch.arange(12).reshape(6, 2), **moved, **search, **changes}


QRELS = {"q1": {"d0": 1}, "q2": {"d8": 1}, "q3": {"d3": 1}}


@pytest.fixture
def sides(capture):
    """sides(one, other) -> two folders of captures with judgements; keywords change the second manifest."""

    def write(one, other, **changes):
        first = capture("A", one, qrels=QRELS, queries=3)
        second = capture("B", other, **{"qrels": QRELS, "queries": 3, **changes})
        return str(first.folder), str(second.folder)

    return write


SMALL = (
    "tokens,hidden,modules,bert,amp_bert,remove_dense,lse,pooled,normalised,batch,layer_norm,norm,exact,index,search,"
    "train"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model and a collection, and beside them the captures that tests make of them."""
    root = tmp_path_factory.mktemp("captures")
    write_model(root / "tiny")
    write_collection(root / "wings")
    return root


@pytest.fixture
def fidelity(folder, capfd, restore_torch):
    """fidelity(command, words, ...) -> (exit code, stdout, stderr); the model is the tiny one, on one thread."""

    def run(command, *words):
        model = [] if command in ("probes", "compare") else ["--platform", "cpu", "--threads", "1"]
        model += ["--model_name", folder / "tiny"] if model else []
        code = cli.main(["fidelity", command, *map(str, [*words, *model])])
        done = capfd.readouterr()
        return code, done.out, done.err

    return run


@pytest.fixture
def captured(folder, fidelity):
    """captured(name, words, ...) -> the folder of a capture, made once; A before a test can change what it computes."""

    def run(name, *words, probes=SMALL):
        if not (folder / name).exists():
            code, _, err = fidelity(
                "capture", "--dataset", folder / "wings", "--out", folder / name, "--probes", probes, *words
            )
            assert code == 0, err
        return folder / name

    run("A")
    return run


def said(out, *kinds):
    """What the FID lines of some kinds say."""
    found = [line.data for text in out.splitlines() if lines.is_json(line := lines.parse_line(text), "FID")]
    return [data for data in found if data["kind"] in kinds]
