"""The retrieval driver on several ranks: the same files as on one. Real processes over gloo on this machine."""

import fcntl
import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fmbench import lines
from fmbench.distributed.local import free_port
from tests.late_models import save_colbert
from tests.tiny_model import write_collection, write_model

PINNED = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ranks")]


@pytest.fixture
def run(forks):
    return functools.partial(run_ranks, forks / "fmbench")


def run_ranks(program: Path, world: int, *words: object) -> list[subprocess.CompletedProcess]:
    """Run a task on so many ranks, and return how each ended."""
    port = str(free_port())
    command = [program, "retrieve", *map(str, words), "--platform", "cpu", "--threads", "1"]
    started = []
    for rank in range(world):
        job = {"RANK": str(rank), "WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        variables = {**os.environ, "OMP_NUM_THREADS": "1", **(job if world > 1 else {})}
        started.append(
            subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
    ended = []
    for process in started:
        out, err = process.communicate(timeout=180)
        ended.append(subprocess.CompletedProcess(command, process.returncode, out, err))
    return ended


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    write_model(folder / "model")
    save_colbert(folder / "late")
    write_collection(folder / "wings", documents=1100, queries=40)  # three chunks: of five ranks, two have nothing
    return folder


@pytest.mark.parametrize(("model", "world"), [("model", 2), ("model", 3), ("model", 5), ("late", 3)])
def test_every_number_of_ranks_gives_the_same_files(data, run, model, world):
    def files(count: int) -> dict[str, bytes]:
        out = data / f"{model}{count}"
        if not out.exists():
            common = ("--model_name", data / model, "--dataset", data / "wings", "--output_dir", out)
            compress = ("--compress", "int8,binary@16", "--rescore", "100") if model == "model" else ()
            ended = run(count, "evaluate", *common, *compress, "--ir_metrics_k_values", "10,100")
            assert [one.returncode for one in ended] == [0] * count, ended[-1].stderr
            assert all(not one.stdout for one in ended[1:])
            parsed = [lines.parse_line(text) for text in ended[0].stdout.splitlines()]
            (passages,) = [line for line in parsed if lines.is_json(line, "ENC") and line.data["role"] == "passage"]
            assert passages.data["texts"] == 1100
        return {path.name: path.read_bytes() for path in sorted((out / "wings").iterdir())}

    assert files(world) == files(1)


def start(*words: object, **streams: object) -> subprocess.CompletedProcess[str]:
    """Run the command as its user types it."""
    command = [sys.executable, "-m", "fmbench", "retrieve", *map(str, words), "--platform", "cpu"]
    return subprocess.run(command, **(streams or {"capture_output": True}), text=True, timeout=180)


def test_processes_divide_corpus_and_threads_and_give_the_same_vectors(data):
    found = []
    for count in (1, 2):
        cache = data / f"cache{count}"
        common = ("--model_name", data / "model", "--dataset", data / "wings", "--encoding_cache_dir", cache)
        ended = start("encode", *common, "--processes", count, "--threads", count, "--pin")
        assert ended.returncode == 0, ended.stderr
        facts = {}
        for line in map(lines.parse_line, ended.stdout.splitlines()):
            if lines.is_json(line, "ENV"):
                facts |= line.data
        assert (facts.get("ranks", 1), facts["threads"], facts["pinned_cpus"]) == (count, 1, [min(PINNED)])
        files = sorted(cache.glob("*/*.safetensors"))
        found.append([(path.parent.name, path.name.partition("-")[0], path.read_bytes()) for path in files])
    assert len(found[0]) == 4 and found[0] == found[1]


@pytest.mark.parametrize(
    ("words", "launched", "said"),
    [
        (("--processes", 2, "--threads", 3), 1, "3 threads cannot be shared out evenly"),
        (("--processes", 2), 3, "the launcher started 3; leave it out"),
        (("--processes", 2, "--threads", 2, "--dataset", "/no/where"), 1, "no such folder"),
    ],
)
def test_processes_that_cannot_be(data, monkeypatch, words, launched, said):
    if launched > 1:
        for name, value in {"RANK": 0, "WORLD_SIZE": launched, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 1}.items():
            monkeypatch.setenv(name, str(value))
    named = () if "--dataset" in words else ("--dataset", data / "wings")
    ended = start("evaluate", "--model_name", data / "model", *named, *words)
    assert ended.returncode == 2 and not ended.stdout
    assert ended.stderr.count("error:") == 1 and said in ended.stderr


@pytest.mark.parametrize("wrong", ["dataset", "gold"])
def test_an_input_error_is_said_by_the_first_rank(data, run, wrong):
    (data / "gold").write_text("a\n")
    named = data / ("nowhere" if wrong == "dataset" else "wings")
    more = ("--k", 1, "--gold_data_path", data / "gold") if wrong == "gold" else ()
    ended = run(2, "evaluate", "--model_name", data / "model", "--dataset", named, *more)
    assert [one.returncode for one in ended] == [2, 2], [one.stderr for one in ended]
    assert ("no such folder" if wrong == "dataset" else "1 lines for 40 queries") in ended[0].stderr
    assert "fmbench retrieve: error" not in ended[1].stderr


def test_what_one_rank_fails_at_before_the_work_ends_the_others(data, tmp_path):
    """Only the first writes the log."""
    words = ("--model_name", data / "model", "--dataset", data / "wings", "--processes", 2, "--threads", 2)
    with (tmp_path / "held.log").open("w") as log, (tmp_path / "held.log").open("a") as ours:
        fcntl.flock(log, fcntl.LOCK_EX)
        ended = start("evaluate", *words, stdout=ours, stderr=subprocess.PIPE)
    assert ended.returncode == 2
    (other, own) = sorted(ended.stderr.splitlines(), reverse=True)
    assert other.startswith("rank 0 (") and other.endswith("or use a log of its own; the job ends")
    assert own.startswith("fmbench retrieve evaluate: error: standard output: another run writes to it")


def test_mining_with_margins_on_ranks(data, run):
    common = ("--model_name", data / "model", "--dataset", data / "wings", "--search_topk", 5)
    rules = ("--relative_margin", "0.01", "--merge_mined_qrels")
    found = []
    for world in (1, 3):
        out = data / f"mined{world}"
        ended = run(world, "mine", *common, *rules, "--output_dir", out)
        assert [one.returncode for one in ended] == [0] * world, ended[-1].stderr
        found.append((out / "wings" / "mined_qrels.tsv").read_bytes())
    assert found[0] == found[1]
