"""The generic accelerator class on a fake device module; the real one runs where a test is marked cuda."""

import importlib.metadata
import json
import os
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from fmbench.backend import find
from fmbench.backends.accelerator import HpuBackend, MpsBackend, MtiaBackend, NamedBackend, NpuBackend, XpuBackend
from fmbench.backends.xla import NeuronBackend, TpuBackend
from fmbench.errors import PlatformError, UsageError
from fmbench.options import parse_arguments
from tests.conftest import Run

FAKES = Path(__file__).resolve().parents[1] / "fakes"
# The fake device is written in Python, which torch allows since 2.10.
TORCH = tuple(int(part) for part in importlib.metadata.version("torch").split(".")[:2])
python_device = pytest.mark.skipif(TORCH < (2, 10), reason="the fake torch_npu needs torch 2.10")

ARGV = [
    "--platform",
    "xpu",
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


class FakeModule(SimpleNamespace):
    """Stands in for torch.xpu: counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__(log=[])

    def is_available(self) -> bool:
        return True

    def device_count(self) -> int:
        return 2

    def set_device(self, index: int) -> None:
        self.log.append(f"set_device {index}")

    def synchronize(self) -> None:
        self.log.append("synchronize")

    def empty_cache(self) -> None:
        self.log.append("empty_cache")

    def get_device_name(self, index: int) -> str:
        return f"fake {index}"

    def max_memory_allocated(self) -> int:
        return 4096

    def reset_peak_memory_stats(self) -> None:
        self.log.append("reset")


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> FakeModule:
    fake = FakeModule()
    monkeypatch.setattr(XpuBackend, "module", classmethod(lambda cls: fake))
    return fake


def test_the_chosen_device_is_set_waited_for_and_read(module: FakeModule) -> None:
    platform = XpuBackend()
    arguments = parse_arguments([*ARGV, "--device", "1"])
    platform.check(arguments)
    platform.setup(arguments)
    platform.reset_memory()
    platform.synchronize()
    platform.recover()
    assert module.log == ["set_device 1", "reset", "synchronize", "empty_cache"]
    assert platform.device == torch.device("xpu", 1)
    assert platform.facts() == {"device": "xpu:1", "device_name": "fake 1"}
    assert platform.memory().peak == 4096


def test_a_device_that_is_not_there(module: FakeModule) -> None:
    with pytest.raises(PlatformError, match="--device 2: xpu has 2"):
        XpuBackend().setup(parse_arguments([*ARGV, "--device", "2"]))


def test_what_a_device_cannot_do_is_left_out(module: FakeModule, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = SimpleNamespace(synchronize=module.synchronize)
    monkeypatch.setattr(XpuBackend, "module", classmethod(lambda cls: bare))
    platform = XpuBackend()
    platform.setup(parse_arguments(ARGV))
    platform.recover()
    platform.reset_memory()
    assert platform.memory() is None
    assert platform.facts()["device_name"] is None


@pytest.mark.parametrize(
    ("cls", "reason"),
    [
        (MpsBackend, "sees no mps device"),
        (XpuBackend, "sees no xpu device"),
        (MtiaBackend, "sees no mtia device"),
        (HpuBackend, "habana_frameworks is not installed"),
        (NpuBackend, "torch_npu is not installed"),
        (NamedBackend, "torch sees no accelerator"),
        (TpuBackend, "torch_xla not installed"),
        (NeuronBackend, "torch_xla and torch_neuronx not installed"),
    ],
)
def test_unavailable_says_why(cls: type, reason: str) -> None:
    if cls.unavailable() is None:
        pytest.skip(f"this machine has {cls.name}")
    assert reason in cls.unavailable()
    with pytest.raises(PlatformError, match=f"--platform {cls.name} is not usable here"):
        cls().check(parse_arguments(["--platform", cls.name, *ARGV[2:]]))


@pytest.mark.parametrize(("word", "name"), [("ascend", "npu"), ("trainium", "neuron"), ("inferentia", "neuron"),
                                            ("tpu v5e", "tpu"), ("gaudi", "hpu")])  # fmt: skip
def test_what_its_users_call_it(word: str, name: str) -> None:
    with pytest.raises(UsageError, match=f"--platform {word}: unknown; did you mean {name}"):
        find(word)


@pytest.fixture
def run_on_fakes(forked: Run) -> Callable[..., dict]:
    """Run a script that fills OUT, with the fakes of a vendor importable, which build on those of tests/fakes."""

    def run(script: str, vendor: str, **variables: str) -> dict:
        path = os.pathsep.join((str(FAKES / vendor), str(FAKES)))
        code = f"OUT = {{}}\n{textwrap.dedent(script)}\nimport json\nprint(json.dumps(OUT))"
        done = forked("code", code, env={"PYTHONPATH": path, **variables}, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


NEW = """
from fmbench.options import parse_arguments

def new(cls, *words):
    argv = ["--platform", cls.name, "--model_name", "m", "--input_sizes", "8", "--batch_sizes", "1", "--device", "1"]
    platform, arguments = cls(), parse_arguments([*argv, *words])
    platform.check(arguments)
    platform.setup(arguments)
    return platform
"""


@pytest.mark.slow  # the process that is forked imports torch first
@pytest.mark.slow
@python_device
def test_npu_on_a_fake(run_on_fakes: Callable[..., dict]) -> None:
    out = run_on_fakes(NEW + """
from fmbench.backends.accelerator import NpuBackend
from fmbench.testing import check_backend
platform = new(NpuBackend)
OUT.update(facts=platform.facts(), free=platform.free_bytes(), index=platform.device.index)
check_backend(NpuBackend)
""", "npu")  # fmt: skip
    assert out["facts"] == {"device": "npu:1", "device_name": "FakeAscend"}
    assert out["free"] == 2**20


@pytest.mark.slow  # the process that is forked imports torch first
@pytest.mark.slow
@python_device
def test_any_other_device_by_its_name(run_on_fakes: Callable[..., dict]) -> None:
    out = run_on_fakes(NEW + """
import torch_npu
from fmbench.backends.accelerator import NamedBackend
from fmbench.errors import FmbenchError
from fmbench.testing import check_backend
OUT["choices"] = NamedBackend.choices()
OUT["facts"] = new(NamedBackend, "--platform:device_type", "npu").facts()
for words in ([], ["--platform:device_type", "foo"]):
    try:
        new(NamedBackend, *words)
    except FmbenchError as error:
        OUT[" ".join(words)] = str(error)
check_backend(NamedBackend, "--platform:device_type", "npu")
""", "npu")  # fmt: skip
    assert out["choices"] == ["npu"]
    assert out["facts"]["device"] == "npu:1" and out["facts"]["registered_by"] == {}
    assert out[""] == "--platform:device_type: say which; torch has npu"
    assert out["--platform:device_type foo"].startswith("--platform:device_type: foo is none of them")


@pytest.mark.slow  # the process that is forked imports torch first
@pytest.mark.slow
@pytest.mark.parametrize(("cls", "kind"), [("TpuBackend", "TPU"), ("NeuronBackend", "NEURON")])
def test_xla_on_a_fake(cls: str, kind: str, run_on_fakes: Callable[..., dict]) -> None:
    out = run_on_fakes(f"from fmbench.backends.xla import {cls} as Backend\n" + NEW + """
import torch, torch_xla
from fmbench.testing import check_backend, tiny_model, tokens
platform = new(Backend)
OUT.update(facts=platform.facts(), free=platform.free_bytes(), fixed=platform.fixed_shapes(None))
forward = platform.prepare(tiny_model(0), parse_arguments(
    ["--platform", Backend.name, "--model_name", "m", "--input_sizes", "8", "--batch_sizes", "1"]))
torch_xla.events.clear()
with torch.no_grad():
    forward(platform.place(tokens((1, 8), padded=False)))
platform.synchronize()
OUT["events"] = list(torch_xla.events)
check_backend(Backend)
""", "xla", PJRT_DEVICE=kind)  # fmt: skip
    assert out["facts"] == {"device": "cpu", "device_name": kind, "device_count": 2}
    assert out["free"] == 900 and out["fixed"]
    # What pooling recorded goes before a batch, what the model recorded after it; then the wait.
    assert out["events"] == ["sync", "sync", "sync", "wait"]


@pytest.mark.slow  # the process that is forked imports torch first
def test_xla_on_another_device_than_was_asked_for(run_on_fakes: Callable[..., dict]) -> None:
    out = run_on_fakes(NEW + """
from fmbench.backends.xla import TpuBackend
from fmbench.errors import PlatformError
try:
    new(TpuBackend)
except PlatformError as error:
    OUT["error"] = str(error)
""", "xla", PJRT_DEVICE="CPU")  # fmt: skip
    assert out["error"] == "--platform tpu: torch_xla runs on CPU here; set PJRT_DEVICE=TPU"
