import getpass
import json
import socket
import subprocess
from pathlib import Path

import pytest

from fmbench import facts, host
from fmbench.digest import digest_of_files, digest_of_json, weights_files


def test_host_facts_are_json_and_name_nobody() -> None:
    found = {**host.host_facts(), **host.load_facts("start"), **facts.software_facts()}
    text = json.dumps(found)
    assert socket.gethostname() not in text.replace(str(found["cpu"]), "")
    assert str(Path.cwd()) not in text and str(Path.home()) not in text
    assert found["cpus"] >= found["cpus_usable"] >= 1
    assert found["packages"]["torch"]


def test_disclosed_facts_name_host_user_and_folder() -> None:
    assert facts.disclosed_facts() == {
        "host": socket.gethostname(),
        "user": getpass.getuser(),
        "folder": str(Path.cwd()),
    }


def test_paths_lose_their_folders() -> None:
    found = facts.discreet(
        {"a": "/home/me/cache", "b": ["--model:cache_dir /home/me/x", "a/b"], "c": {"d": "~/e"}, "f": 3}
    )
    assert found == {"a": "cache", "b": ["--model:cache_dir x", "a/b"], "c": {"d": "e"}, "f": 3}


def test_differences_are_named_and_circumstances_are_none() -> None:
    one = {"threads": 2, "packages": {"torch": "2.12"}, "load_average_start": 0.1, "host": "a"}
    other = {"threads": 2, "packages": {"torch": "2.13"}, "load_average_start": 9.9, "device": "cpu"}
    assert facts.differences(one, other) == {"packages.torch": ("2.12", "2.13"), "device": (None, "cpu")}
    assert facts.differences(one, one) == {}


def test_the_precision_that_is_computed_in_is_a_difference() -> None:
    plain, fast = {"dtype": "float32"}, {"dtype": "float32", "precision": "bfloat16"}
    assert facts.differences(plain, fast) == {"precision": ("float32", "bfloat16")}
    assert facts.differences({**plain, "precision": "bf16"}, fast) == {}  # as the first versions spelled it
    assert facts.differences({**plain, "precision": None}, fast) == {} == facts.differences(plain, plain)


NEW = {"model_digest": "d", "model_parts": {"weights": "w", "configuration": "c"}, "variables": {}}


def test_the_first_versions_knew_the_weights_alone() -> None:
    old = {"model_digest": "w", "weights": "pretrained", "model_source": "folder"}
    new = {**NEW, "weights": "pretrained", "model_source": "folder"}
    assert facts.differences(old, new) == {} == facts.differences(new, old)
    assert facts.differences({**old, "model_digest": "x"}, new) == {"model_parts.weights": ("x", "w")}
    assert facts.unsaid(old, new) == ["model_parts.configuration", "variables"] and facts.unsaid(new, old) == []
    drawn = {"weights": "random", "model_source": "folder"}
    assert facts.differences({**old, **drawn}, {**NEW, **drawn}) == {}
    assert "model_parts.weights" in facts.unsaid({**old, **drawn}, {**NEW, **drawn})
    catalogue = {"weights": "random", "model_source": "catalogue"}
    assert facts.differences({**old, "model_digest": "x", **catalogue}, {**NEW, **catalogue}) != {}


def test_what_another_platform_never_says_is_not_missing() -> None:
    cpu, cuda = {"platform": "cpu", "mkl": "2024.2", "variables": {}}, {"platform": "cuda"}
    assert facts.unsaid(cuda, cpu) == ["variables"] and facts.unsaid({"platform": "cpu"}, cpu) == ["variables", "mkl"]
    assert facts.differences(cuda, cpu) == {"platform": ("cuda", "cpu")}


def test_a_part_tells_more_than_the_whole() -> None:
    other = {**NEW, "model_digest": "e", "model_parts": {"weights": "w", "configuration": "x"}}
    assert facts.differences(NEW, other) == {"model_parts.configuration": ("c", "x")}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("OMP_NUM_THREADS", "3", "3"),
        ("KMP_AFFINITY", "compact", "compact"),
        ("ONEDNN_DEFAULT_FPMATH_MODE", "BF16", "BF16"),
        ("MKL_CBWR", "AVX2", "AVX2"),
        ("OPENBLAS_CORETYPE", "Haswell", "Haswell"),
        ("ATEN_CPU_CAPABILITY", "default", "default"),
        ("NVIDIA_TF32_OVERRIDE", "0", "0"),
        ("TORCHINDUCTOR_MAX_AUTOTUNE", "1", "1"),
        ("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "1", "1"),
        ("LD_PRELOAD", "/home/me/a/libjemalloc.so:~/libiomp5.so", "libjemalloc.so:libiomp5.so"),
        ("TORCHINDUCTOR_CACHE_DIR", "/home/me/cache", None),
        ("TORCH_HOME", "/home/me", None),
        ("CUDA_VISIBLE_DEVICES", "1", None),
        ("KMP_DUPLICATE_LIB_OK", "True", None),
        ("SOME_TOKEN", "secret", None),
    ],
)
def test_variables_that_decide_a_figure_are_facts(name: str, value: str, said: str | None, monkeypatch) -> None:
    monkeypatch.delenv(name, raising=False)
    assert name not in facts.variables()
    monkeypatch.setenv(name, value)
    assert facts.variables().get(name) == said


def test_what_a_library_sets_for_itself_is_no_difference() -> None:
    then = {"variables": {"KMP_INIT_AT_FORK": "FALSE", "KMP_BLOCKTIME": "1"}}
    assert facts.differences(then, {"variables": {"KMP_BLOCKTIME": "1"}}) == {}
    assert [*facts.differences(then, {"variables": {}})] == ["variables.KMP_BLOCKTIME"]


def test_variables_that_cut_sums_among_threads_change_no_vector(monkeypatch) -> None:
    monkeypatch.setenv("MKL_NUM_THREADS", "2")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", "BF16")
    found = facts.arithmetic_variables()
    assert found["ONEDNN_DEFAULT_FPMATH_MODE"] == "BF16" and not found.keys() & {"MKL_NUM_THREADS", "OMP_NUM_THREADS"}


def test_the_commit_of_a_checkout() -> None:
    root = Path(facts.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        pytest.skip("fmbench is installed, not checked out")
    head = facts.git(root, "rev-parse", "HEAD")
    assert head.startswith(str(facts.commit()).rstrip("+"))


def test_a_git_that_takes_too_long_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def late(*words: object) -> str:
        raise subprocess.TimeoutExpired("git", facts.GIT_SECONDS)

    (tmp_path / ".git").touch()
    monkeypatch.setattr(facts, "SOURCE", tmp_path / "fmbench")
    monkeypatch.setattr(facts, "git", late)
    assert facts.commit.__wrapped__() is None
    assert capsys.readouterr().err.startswith("warning: git did not answer within 60 s: ")


@pytest.mark.parametrize(
    ("cpuinfo", "name"), [("processor : 0\nmodel name\t: Some CPU @ 2 GHz\n", "Some CPU @ 2 GHz"), ("", None)]
)
def test_the_processors_name(cpuinfo: str, name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "read", lambda path: cpuinfo)
    monkeypatch.setattr(host.platform, "processor", lambda: "")
    assert host.cpu_model() == name


X86 = "cpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD EPYC\nstepping\t: 1\n\nprocessor : 1\nstepping\t: 9\n"
ARM = "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x1\nCPU part\t: 0xd40\nCPU revision\t: 1\n"


@pytest.mark.parametrize(("cpuinfo", "stepping"), [(X86, "26/2/1"), (ARM, "0x41/0xd40/0x1/1"), ("", None)])
def test_processors_of_one_name_are_told_apart(
    cpuinfo: str, stepping: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "read", lambda path: cpuinfo)
    assert host.cpu_stepping() == stepping
    facts_here, others = {"cpu": "AMD EPYC", "cpu_stepping": stepping}, {"cpu": "AMD EPYC", "cpu_stepping": "25/17/1"}
    assert list(facts.differences(facts_here, others)) == ["cpu_stepping"]
    assert facts.differences(facts_here, {"cpu": "AMD EPYC"}) == {}  # the first versions did not say


def test_steal_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "read", lambda path: "cpu  10 0 20 30 0 0 5 250 0 0\ncpu0 ...\n")
    monkeypatch.setattr(host.os, "sysconf", lambda name: 100)
    assert host.steal_seconds() == 2.5


@pytest.mark.parametrize(
    ("cgroup", "kind"), [("0::/docker/abc\n", "docker"), ("1:cpu:/kubepods/pod1\n", "kubepods"), ("0::/\n", None)]
)
def test_containers(cgroup: str, kind: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "read", lambda path: cgroup)
    monkeypatch.setattr(host.Path, "exists", lambda self: False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert host.container() == kind


def test_the_digest_changes_with_content_and_name_only(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"abc")
    (tmp_path / "readme.txt").write_bytes(b"1")
    first = digest_of_files(weights_files(tmp_path))
    (tmp_path / "readme.txt").write_bytes(b"2")
    assert digest_of_files(weights_files(tmp_path)) == first
    (tmp_path / "model.safetensors").write_bytes(b"abd")
    assert digest_of_files(weights_files(tmp_path)) != first
    assert digest_of_json({"a": 1, "b": 2}) == digest_of_json({"b": 2, "a": 1}) != digest_of_json({"a": 1})


@pytest.mark.parametrize(
    ("cpus", "quota", "threads"),
    [(8, None, 8), (8, 2.5, 2), (8, 0.3, 1), (2, 64.0, 2), (None, 2.0, None)],
)
def test_threads_that_always_find_a_cpu(
    cpus: int | None, quota: float | None, threads: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "usable_cpus", lambda: cpus)
    monkeypatch.setattr(host, "cpu_quota", lambda: quota)
    assert host.useful_threads() == threads


def test_a_memory_limit_above_the_machine_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "memory_bytes", lambda: 1000)
    for limit, said in ((None, None), (2000, None), (1000, None), (999, 999)):
        monkeypatch.setattr(host.ControlGroups, "memory_limit", lambda self, limit=limit: limit)
        assert host.memory_limit() == said


@pytest.mark.parametrize(("allowed", "nodes"), [("0-1", None), ("1", "1")])
def test_nodes_that_the_process_may_not_use(allowed: str, nodes: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "/proc/self/status": f"Mems_allowed:\t1\nMems_allowed_list:\t{allowed}\n",
        str(host.NODES / "online"): "0-1\n",
    }
    monkeypatch.setattr(host, "read", lambda path: files[str(path)])
    assert host.usable_nodes() == nodes


def test_quota_and_limit_are_part_of_the_fingerprint() -> None:
    free = {"cpu_quota": None, "memory_limit_bytes": None}
    confined = {"cpu_quota": 0.3, "memory_limit_bytes": 10**9}
    assert set(facts.differences(free, confined)) == {"cpu_quota", "memory_limit_bytes"}
    assert facts.differences({}, free) == {}  # a log from before they were looked at
    assert free.keys() <= host.host_facts().keys()
