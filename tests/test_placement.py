"""Which CPUs `--pin` takes, on machines that are laid out in a folder, and of this process, really."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from fmbench import host, placement
from fmbench.errors import UsageError

from .conftest import Run
from .tiny_model import write_model


@pytest.fixture
def lay_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Lay a machine out: lay_out([[(0, 4), (1, 5)], [(2, 6)]]) has two nodes of cores of two CPUs each."""

    def run(nodes: list[list[tuple[int, ...]]], allowed: Iterable[int] | None = None) -> None:
        for number, cores in enumerate(nodes):
            for cpus in cores:
                for cpu in cpus:
                    (tmp_path / f"cpu{cpu}/node{number}").mkdir(parents=True)
                    siblings = tmp_path / f"cpu{cpu}/topology/thread_siblings_list"
                    siblings.parent.mkdir()
                    siblings.write_text(",".join(map(str, cpus)) + "\n")
        everything = [cpu for cores in nodes for cpus in cores for cpu in cpus]
        monkeypatch.setattr(host, "CPU_FOLDER", tmp_path)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(everything if allowed is None else allowed))
        monkeypatch.delenv("LOCAL_RANK", raising=False)

    return run


def test_one_cpu_a_core_of_the_largest_node(lay_out) -> None:
    lay_out([[(0, 6)], [(1, 7), (2, 8)], [(3, 9), (4, 10)]])
    assert placement.choose(None) == [1, 2]
    assert placement.choose(1) == [1]


def test_what_the_process_may_not_use_is_left_alone(lay_out) -> None:
    lay_out([[(0, 4), (1, 5)], [(2, 6), (3, 7)]], allowed=[5, 6, 7])
    assert placement.choose(2) == [6, 7]


def test_each_process_of_a_machine_has_cores_of_its_own(lay_out, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out([[(0,), (1,), (2,)], [(3,), (4,)]])
    found = []
    for rank in range(2):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        found.append(placement.choose(2))
    assert found == [[0, 1], [3, 4]]
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(UsageError, match=r"2 threads for process 3 of this machine .* the nodes have 3, 2 here"):
        placement.choose(2)


def test_a_system_that_cannot(lay_out, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out([], allowed=[0])
    with pytest.raises(UsageError, match="does not say which CPUs are one core"):
        placement.choose(1)
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    with pytest.raises(UsageError, match="lets no program choose its CPUs"):
        placement.choose(1)


PINNED = """
import sys
from pathlib import Path
import numpy, torch
from fmbench import placement
from fmbench.encoder import Encoder
from tests.encoder.conftest import text_arguments
arguments = dict(platform="{platform}", pin=True, threads=1)
Encoder.load(text_arguments(Path(sys.argv[1]), **arguments)).encode(["one", "two words"] * 30)
tasks = list(Path("/proc/self/task").iterdir())
lines = [line for task in tasks for line in (task / "status").read_text().splitlines()]
print(placement.facts(), len(tasks) > 1, {{line.split()[1] for line in lines if line.startswith("Cpus_allowed_list")}})
try:
    Encoder.load(text_arguments(Path(sys.argv[1]), **{{**arguments, "threads": 2}}))
except Exception as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems pin nothing")
@pytest.mark.parametrize("platform", ["cpu", "onnxruntime", "openvino"])
def test_every_thread_of_every_library_stays_there(tmp_path: Path, platform: str, forked: Run) -> None:
    pytest.importorskip({"cpu": "torch"}.get(platform, platform))
    folder = write_model(tmp_path / "tiny")

    ran = forked("code", PINNED.format(platform=platform), folder)
    assert ran.returncode == 0, ran.stderr
    said, refused = ran.stdout.splitlines()[-2:]
    (cpu,) = placement.choose(1)
    assert said == f"{{'pinned_cpus': [{cpu}]}} True {{'{cpu}'}}"
    assert "--pin" in refused and "2" in refused
