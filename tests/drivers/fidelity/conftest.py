import pytest
import torch

from fmbench.capture.manifest import Manifest
from fmbench.capture.reader import ArtifactReader
from fmbench.drivers.fidelity.writer import ArtifactWriter


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
