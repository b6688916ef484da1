import shlex
from pathlib import Path

import pytest

from fmbench.backends import cuda
from fmbench.backends.cuda import CudaBackend
from fmbench.drivers import embed
from fmbench.options import parse_arguments
from fmbench.testing import check_backend

ARGV = [
    "--platform",
    "cuda",
    "--model_class",
    "BertModel",
    "--model_name",
    "m",
    "--input_sizes",
    "8",
    "--batch_sizes",
    "1",
    "--reps",
    "1",
]


def test_a_cpu_build_is_told_apart_without_importing_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "package_version", lambda name: "2.13.0+cpu")
    assert CudaBackend.unavailable() == "torch 2.13.0+cpu is the CPU build"


def test_candidates_are_what_the_gpu_has(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = {"triton"}
    monkeypatch.setattr(cuda.importlib.util, "find_spec", lambda name: name in modules)
    fast: list[str] = []
    monkeypatch.setattr(CudaBackend, "computes_fast", classmethod(lambda cls: fast))

    def names() -> dict[str, str]:
        return {one.name: one.overrides for one in CudaBackend().candidates(parse_arguments(ARGV))}

    assert list(names()) == ["float32", "reduce-overhead"]
    fast += ["float16", "int8", "bfloat16"]
    assert names()["reduce-overhead"] == "--model:dtype@ torch.bfloat16 --compile:mode reduce-overhead"
    modules.add("torch.nn.attention.varlen")
    modules.remove("triton")
    assert list(names()) == ["float32", "float16", "bfloat16", "unpadded"]
    assert names()["unpadded"] == "--model:dtype@ torch.bfloat16 --model:attn_implementation unpadded"


def test_cuda_graphs_want_few_shapes_and_two_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, graphs = (parse_arguments([*ARGV, *words]) for words in ((), ("--compile:mode", "reduce-overhead")))
    assert [CudaBackend().fixed_shapes(each) for each in (plain, graphs)] == [False, True]
    platform, calls = CudaBackend(), []
    monkeypatch.setattr(platform, "_place_model", lambda model: model)
    monkeypatch.setattr(platform, "_compile", lambda model, options: model)
    monkeypatch.setattr(platform, "synchronize", lambda: calls.append("waited"))
    for arguments, expected in ((plain, []), (graphs, ["compile", "record"])):
        platform.prepare(None, arguments)
        phases = platform.warm_up(lambda batch: calls.append(batch), {})
        assert [phase.name for phase in phases] == expected
    assert calls == [{}, "waited"] * 2


GRAPH = ["--model:dtype@", "torch.bfloat16", "--compile:mode", "reduce-overhead"]


@pytest.mark.cuda
@pytest.mark.parametrize("words", [(), GRAPH], ids=["eager", "graphs"])
def test_the_contract(words: list[str]) -> None:
    check_backend(CudaBackend, *words)


@pytest.mark.cuda
def test_every_candidate_computes(tiny_root: Path, capsys: pytest.CaptureFixture[str], restore_torch: None) -> None:
    argv = ["--platform", "cuda", "--model_root", str(tiny_root), "--model_name", "tiny", "--weights", "random"]
    argv += ["--input_sizes", "16", "--batch_sizes", "2", "--reps", "3", "--torch.call:set_grad_enabled@", "False"]
    for candidate in CudaBackend().candidates(parse_arguments(argv)):
        assert embed.main([*argv, *shlex.split(candidate.overrides)]) == 0, candidate
        assert "FMWORK RES " in capsys.readouterr().out


@pytest.mark.cuda
def test_facts_and_memory_of_a_real_gpu() -> None:
    import torch

    platform = CudaBackend()
    arguments = parse_arguments(ARGV)
    platform.check(arguments)
    platform.setup(arguments)
    facts = platform.facts()
    assert facts["device_name"] and facts["compute_capability"] and facts["multiprocessors"] > 0
    assert facts["cuda"] or facts["rocm"]
    platform.reset_memory()
    block = torch.ones(2**20, device=platform.device)
    platform.synchronize()
    assert platform.memory().peak >= block.numel() * block.element_size()
    del block
    platform.recover()
