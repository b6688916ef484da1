import pytest

from fmbench.fidelity.manifest import Manifest
from fmbench.fidelity.reader import ArtifactReader
from fmbench.fidelity.writer import ArtifactWriter


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
