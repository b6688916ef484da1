"""Real processes: killed in the middle, and two at once on one cache."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fmbench.embeddings import open_or_encode

from .conftest import FakeEncoder, Lines, files

ROOT = Path(__file__).parents[2]
SIZE = 2500  # five files

START = """
import os, sys
from pathlib import Path
from tests.embeddings.conftest import FakeEncoder, Lines
from fmbench.embeddings import open_or_encode
"""
# Says that it begins to encode, and does so once its standard input has ended.
HELD = """
encode_chunks = encoder.encode_chunks
encoder.encode_chunks = lambda *given: (print("begins", flush=True), sys.stdin.read(), encode_chunks(*given))[2]
"""
# Ends itself by SIGKILL at the moment when the third file is written and has not taken its place.
KILLED = """
import signal
from fmbench.embeddings import shard
replace, replaced = Path.replace, []
def kill(path, target):
    if len(replaced) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    replaced.append(target)
    return replace(path, target)
Path.replace = kill
"""
FAKE = "encoder = FakeEncoder(seconds=float(os.environ['SECONDS_A_CHUNK']))\n"
REAL = """
import torch
torch.set_num_threads(1)
from fmbench.encoder import Encoder, Recipe
from tests.encoder.conftest import text_arguments
encoder = Encoder.load(text_arguments(Path(os.environ['MODEL'])), Recipe(tokens_per_batch=4096))
"""
ENCODE = f"""
rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
found = open_or_encode(Path(os.environ["CACHE"]), Lines({SIZE}), encoder, "passage", rank=rank, world=world)
print(len(found), len(getattr(encoder, "encoded", [])))
"""


@pytest.fixture
def start(forks: Path) -> "Callable[..., subprocess.Popen[str]]":
    def run(code: str, cache: Path, **variables: object) -> "subprocess.Popen[str]":
        given = {name: str(value) for name, value in variables.items()}
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "CACHE": str(cache), "SECONDS_A_CHUNK": "0", **given}
        return subprocess.Popen(
            [forks / "code", START + code + ENCODE], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    return run


def end(process: "subprocess.Popen[str]") -> tuple[str, str]:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return out, err


@pytest.mark.parametrize("kind", ["fake", pytest.param("real", marks=pytest.mark.slow)])
def test_killed_in_the_middle_it_goes_on_and_the_files_are_the_same(kind: str, tmp_path: Path, start, request) -> None:
    make = FAKE if kind == "fake" else REAL
    model = request.getfixturevalue("tiny_text_model") if kind == "real" else ""
    end(start(make, tmp_path / "whole", MODEL=model))
    cut = tmp_path / "cut"
    killed = start(KILLED + make, cut, MODEL=model)
    killed.communicate(timeout=240)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(cut.glob("*/*.safetensors"))) == 2
    assert len(list(cut.glob("*/.*.part"))) == 1
    _, said = end(start(make, cut, MODEL=model))
    assert "2 of 5 files of passage vectors are there already" in said
    assert files(cut) == files(tmp_path / "whole")
    assert not list(cut.glob("*/.*.part"))


def test_two_processes_on_one_cache_share_the_work(tmp_path: Path, start) -> None:
    first = start(FAKE + HELD, tmp_path)
    assert first.stdout.readline() == "begins\n"
    second = start(FAKE, tmp_path)
    assert "another process encodes the same passage texts" in second.stderr.readline()
    assert [end(process)[0].split() for process in (first, second)] == [[str(SIZE), "5"], [str(SIZE), "0"]]
    assert len(list(tmp_path.glob("*/*.safetensors"))) == 5


def test_ranks_at_once_fill_one_cache(tmp_path: Path, start) -> None:
    ranks = [start(FAKE, tmp_path, RANK=rank, WORLD_SIZE=3, SECONDS_A_CHUNK=0.05) for rank in range(3)]
    counted = [tuple(map(int, end(process)[0].split())) for process in ranks]
    assert sum(size for size, _ in counted) == SIZE and sum(chunks for _, chunks in counted) == 5
    encoder = FakeEncoder()
    whole = open_or_encode(tmp_path, Lines(SIZE), encoder, "passage")
    assert encoder.encoded == [] and whole.ids == [line.id for line in Lines(SIZE)]


def test_a_file_system_without_locks_costs_time_and_no_vector(tmp_path: Path, start) -> None:
    """Two processes then write the same files; each is there whole at any moment."""
    unlocked = """
import filelock
def refuse(self, timeout=-1):
    raise NotImplementedError("FileSystem does not appear to support flock")
filelock.FileLock.acquire = refuse
"""
    both = [start(unlocked + FAKE, tmp_path, SECONDS_A_CHUNK=0.1) for _ in range(2)]
    for process in both:
        err = end(process)[1]
        assert "its file system has no locks" in err
    whole = open_or_encode(tmp_path, Lines(SIZE), FakeEncoder(), "passage")
    alone = open_or_encode(tmp_path / "alone", Lines(SIZE), FakeEncoder(), "passage")
    assert whole.ids == alone.ids and np.array_equal(whole.as_array(), alone.as_array())


def test_a_killed_process_gives_its_lock_back(tmp_path: Path, start) -> None:
    hanging = start(FAKE + HELD, tmp_path)
    assert hanging.stdout.readline() == "begins\n"
    hanging.kill()
    hanging.communicate(timeout=300)
    assert len(open_or_encode(tmp_path, Lines(SIZE), FakeEncoder(), "passage")) == SIZE
