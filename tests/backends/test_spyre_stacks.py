"""The spyre platform in processes of its own, on the fakes of tests/fakes (its README says what they imitate)."""

import functools
import importlib.machinery
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# The fake device is written in Python, which torch allows since 2.10.
TORCH = tuple(int(part) for part in importlib.metadata.version("torch").split(".")[:2])
python_device = pytest.mark.skipif(TORCH < (2, 10), reason="the fake torch_spyre needs torch 2.10")

FAKES = Path(__file__).resolve().parents[1] / "fakes"
PACKAGES = ("torch_sendnn", "torch_spyre")

FIXED = [
    "--platform", "spyre", "--model_class", "BertModel", "--model_name", "x",
    "--input_sizes", "64", "--batch_sizes", "2", "--reps", "3",
]  # fmt: skip
COMPILE = ["--compile:backend", "sendnn"]
NO_GRADIENTS = ["--torch.call:set_grad_enabled@", "False"]
SENDNN = [*FIXED, *COMPILE, *NO_GRADIENTS]
# A stack needs a process of its own; tests share some.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("stacks")]


PREAMBLE = """
import json, os, sys
ARGV = json.loads(os.environ.pop("TEST_ARGV"))
OUT = {}
"""

RUN = """
import sys
from fmbench.backend import find
from fmbench.options import parse_arguments

arguments = parse_arguments(ARGV)
backend = find("spyre")
backend.check(arguments)
backend.setup(arguments)
arguments = arguments.evaluated()

import torch
from transformers import BertConfig, BertModel

torch.set_grad_enabled(False)
torch.manual_seed(0)
config = BertConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, vocab_size=100)
config._attn_implementation = "eager"
model = BertModel(config, add_pooling_layer=False).eval()

def make():
    return {"input_ids": torch.randint(0, 100, (2, 64)), "attention_mask": torch.ones(2, 64, dtype=torch.int64)}

batch = make()
reference = model(**batch).last_hidden_state
forward = backend.prepare(model, arguments)
OUT["parameters"] = sorted({str(parameter.device) for parameter in model.parameters()})
OUT["phases"] = [phase.name for phase in backend.warm_up(forward, backend.place(make()))]
backend.reset_memory()
for _ in range(arguments.reps - 1):
    forward(backend.place(make()))
    backend.synchronize()
placed = backend.place(batch)
output = forward(placed).last_hidden_state
OUT["placed"] = sorted({str(tensor.device) for tensor in placed.values()})
OUT["output"] = str(output.device)
OUT["difference"] = float((output.cpu() - reference).abs().max())
OUT["memory"] = backend.memory() and backend.memory().peak
OUT["facts"] = backend.facts()
"""


def python(script, argv=(), path=(), program=(sys.executable, "-c"), **variables):
    """Run Python on a script that may read ARGV and fill OUT, with the fakes importable."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FLEX_", "FAKE_", "TORCH_"))}
    for name in ("DTLOG_LEVEL", "COMPILATION_MODE", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        clean.pop(name, None)
    done = subprocess.run(
        [*program, PREAMBLE + textwrap.dedent(script) + "\nprint(json.dumps(OUT))"],
        env={**clean, **variables, "TEST_ARGV": json.dumps(list(argv)),
             "PYTHONPATH": os.pathsep.join(filter(None, map(str, [FAKES, *path, os.environ.get("PYTHONPATH", "")])))},
        capture_output=True,
        text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout.splitlines()[-1]), "stderr": done.stderr}


@pytest.fixture
def forked_python(forks):
    """`python` where torch may be imported already: no test of what its import does."""
    return functools.partial(python, program=(forks / "code",))


@pytest.fixture(scope="module")
def sendnn_run():
    script = RUN + (
        "import torch_sendnn\n"
        "OUT.update(events=torch_sendnn.events, compilations=torch_sendnn.compilations, seen=torch_sendnn.environment)"
    )
    return python(script, argv=[*SENDNN, "--platform:stack", "sendnn"], DTLOG_LEVEL="debug", FLEX_DEVICE="PF")


def test_sendnn_sees_its_environment_when_it_is_imported(sendnn_run):
    seen = sendnn_run["seen"]
    expected = {
        "COMPILATION_MODE": "offline",
        "DTCOMPILER_KEEP_EXPORT": "-1",
        "DT_DEEPRT_VERBOSE": "-1",
        "TORCH_SENDNN_LOG": "CRITICAL",
        "TORCH_DEVICE_BACKEND_AUTOLOAD": "0",
    }
    assert {name: seen.get(name) for name in expected} == expected
    assert seen["DTLOG_LEVEL"] == "debug", "the user's value is kept"
    assert "FLEX_COMPUTE" not in seen


def test_sendnn_facts_say_what_was_in_force_and_what_of_it_was_ours(sendnn_run):
    facts = sendnn_run["facts"]
    assert facts["stack"] == "sendnn"
    assert facts["spyre_variables"]["DTLOG_LEVEL"] == "debug"
    assert facts["spyre_variables"]["FLEX_DEVICE"] == "PF"
    assert facts["spyre_variables"]["COMPILATION_MODE"] == "offline"
    assert "COMPILATION_MODE" in facts["defaults"]
    assert "DTLOG_LEVEL" not in facts["defaults"]
    assert "simulated" not in facts


def test_sendnn_keeps_model_and_tensors_on_the_cpu(sendnn_run):
    assert sendnn_run["parameters"] == sendnn_run["placed"] == ["cpu"]
    assert sendnn_run["output"] == "cpu"
    assert sendnn_run["difference"] < 1e-5
    assert sendnn_run["memory"] is None


def test_sendnn_compiles_once_inside_warmup_mode_and_never_again(sendnn_run):
    assert sendnn_run["phases"] == ["compile", "deploy", "steady"]
    assert len(sendnn_run["compilations"]) == 1, "fresh inputs do not compile again"
    assert [2, 64] in sendnn_run["compilations"][0]
    assert sendnn_run["events"] == ["warmup", "trace", "compile", "exit", "deploy", *["run"] * 5]


def test_sendnn_gives_advice_on_stderr(sendnn_run):
    assert "note: spyre: the model is float32, the card computes in float16" in sendnn_run["stderr"]
    assert "pooler" not in sendnn_run["stderr"]


def test_a_simulated_sendnn_run_says_so_and_the_other_stack_stays_out(tmp_path):
    out = python(
        """
        from fmbench.backend import find
        from fmbench.options import parse_arguments
        arguments = parse_arguments(ARGV)
        backend = find("spyre")
        backend.check(arguments)
        backend.setup(arguments)
        OUT["simulated"] = backend.facts()["simulated"]
        OUT["torch_spyre"] = "torch_spyre" in sys.modules
        """,
        argv=[*SENDNN, "--platform:stack", "sendnn"],
        path=[autoloading(tmp_path)],
        FLEX_COMPUTE="SENULATOR",
    )
    assert out["simulated"].startswith("FLEX_COMPUTE=SENULATOR")
    assert "warning: spyre: simulated" in out["stderr"]
    assert not out["torch_spyre"]


def test_an_installation_that_registers_no_backend_is_a_platform_error(forked_python):
    out = forked_python(
        """
        from fmbench.backend import find
        from fmbench.errors import PlatformError
        from fmbench.options import parse_arguments
        try:
            find("spyre").setup(parse_arguments(ARGV))
        except PlatformError as error:
            OUT["error"] = str(error)
        """,
        argv=[*SENDNN, "--platform:stack", "sendnn"],
        FAKE_TORCH_SENDNN_UNREGISTERED="1",
    )
    assert out["error"] == "torch_sendnn registered no Dynamo backend named sendnn"


def test_the_fake_sendnn_refuses_what_the_real_one_cannot_run(forked_python):
    out = forked_python(
        """
        import torch, torch_sendnn

        def attempt(dynamic=False, device="cpu", gradients=False, context=torch.no_grad):
            torch._dynamo.reset()
            layer = torch.nn.Linear(4, 4, device=device)
            with context(), torch.set_grad_enabled(gradients):
                try:
                    torch.compile(layer, backend="sendnn", dynamic=dynamic)(torch.ones(3, 4, device=device))
                except Exception as error:
                    return str(error)

        OUT["fine"] = attempt()
        OUT["gradients"] = attempt(gradients=True)
        OUT["inference"] = attempt(context=torch.inference_mode)
        OUT["dynamic"] = attempt(dynamic=True)
        OUT["device"] = attempt(device="meta")
        """
    )
    assert out["fine"] is None
    for what, message in [
        ("gradients", "gradients are enabled"),
        ("inference", "torch.inference_mode is not supported"),
        ("dynamic", "dynamic shapes are not supported"),
        ("device", "tensors stay on the CPU, this one is on meta"),
    ]:
        assert f"fake torch_sendnn: {message}" in out[what]


# torch_spyre


def autoloading(folder):
    """Write the metadata of an installed torch_spyre: `import torch` then loads it. Return the folder for the path."""
    metadata = folder / "torch_spyre-0.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: torch_spyre\nVersion: 0.0\n")
    (metadata / "entry_points.txt").write_text("[torch.backends]\ntorch_spyre = torch_spyre:_autoload\n")
    return folder


@pytest.fixture(scope="module")
def device_run():
    script = RUN + (
        "import torch_spyre\n"
        "OUT.update(events=list(torch_spyre.events), seen=torch_spyre.environment)\n"
        "OUT['busy'] = torch_spyre.pending\n"
        "backend.synchronize()\n"
        "OUT['idle'] = torch_spyre.pending\n"
    )
    return python(script, argv=[*FIXED, "--platform:stack", "torch_spyre", "--device", "1"])


@python_device
def test_torch_spyre_sees_its_ranks_when_it_is_imported(device_run):
    seen = device_run["seen"]
    assert {name: seen.get(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")} == {
        "RANK": "0",
        "WORLD_SIZE": "1",
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
    }
    assert "COMPILATION_MODE" not in seen
    assert "TORCH_DEVICE_BACKEND_AUTOLOAD" not in seen


@python_device
def test_torch_spyre_places_model_and_batch_on_the_device(device_run):
    assert device_run["parameters"] == device_run["placed"] == ["spyre:1"]
    assert device_run["output"] == "spyre:1"
    assert device_run["difference"] < 1e-5


@python_device
def test_torch_spyre_waits_for_the_card(device_run):
    # Two warm-up phases, the reset of the peak, and each repetition but the last, which the script waits for later.
    assert device_run["events"] == [
        "autoload",
        "set_device 1",
        "load_model 1",
        *["synchronize"] * 2,
        "reset",
        *["synchronize"] * 2,
    ]
    assert device_run["busy"] > 0
    assert device_run["idle"] == 0
    assert device_run["phases"] == ["compile", "steady"]


@python_device
def test_torch_spyre_counts_memory_and_says_what_it_is(device_run):
    hidden_state = 2 * 64 * 64 * 4
    assert device_run["memory"] > hidden_state
    facts = device_run["facts"]
    assert (facts["device"], facts["stack"], facts["device_count"]) == ("spyre:1", "torch_spyre", 2)
    assert facts["spyre_variables"]["RANK"] == "0"
    assert "--compile" in device_run["stderr"]


SMALL = """
from fmbench.backend import find
from fmbench.errors import FmbenchError
from fmbench.options import parse_arguments

def setup():
    arguments = parse_arguments(ARGV)
    backend = find("spyre")
    backend.check(arguments)
    backend.setup(arguments)
    return backend, arguments
"""
DEVICE = [*FIXED, "--platform:stack", "torch_spyre"]


@python_device
def test_an_installed_torch_spyre_is_loaded_by_torch_with_its_ranks_set(tmp_path):
    script = SMALL + (
        "backend, _ = setup()\n"
        "import torch_spyre\n"
        "OUT.update(events=torch_spyre.events, rank=torch_spyre.environment['RANK'], facts=backend.facts())"
    )
    out = python(script, argv=DEVICE, path=[autoloading(tmp_path)], RANK="0")
    assert out["events"] == ["autoload", "set_device 0"]
    assert out["facts"]["torch_spyre"] == "0.0"
    assert "RANK" not in out["facts"]["defaults"]


@python_device
def test_an_old_torch_spyre_moves_the_model_itself_and_counts_no_memory(forked_python):
    script = SMALL + (
        "backend, arguments = setup()\n"
        "import torch, torch_spyre\n"
        "layer = torch.nn.Linear(4, 4)\n"
        "backend.prepare(layer, arguments)\n"
        "backend.reset_memory()\n"
        "OUT.update(device=str(layer.weight.device), memory=backend.memory(), events=torch_spyre.events,\n"
        "           simulated=backend.facts()['simulated'])"
    )
    out = forked_python(script, argv=DEVICE, FAKE_TORCH_SPYRE_OLD="1", FLEX_DEVICE="MOCK")
    assert (out["device"], out["memory"]) == ("spyre:0", None)
    assert out["events"] == ["autoload", "set_device 0"]
    assert out["simulated"].startswith("FLEX_DEVICE=MOCK")


@python_device
def test_no_card_is_a_platform_error_and_a_number_too_high_a_usage_error(forked_python):
    script = SMALL + (
        "for count in ('0', '2'):\n"
        "    os.environ['FAKE_TORCH_SPYRE_DEVICES'] = count\n"
        "    try:\n"
        "        setup()\n"
        "    except FmbenchError as error:\n"
        "        OUT[count] = [error.exit_code, str(error)]\n"
    )
    out = forked_python(script, argv=[*DEVICE, "--device", "2"])
    assert out["0"] == [3, "torch_spyre is installed and finds no Spyre card"]
    assert out["2"] == [2, "--device 2: torch_spyre finds 2 here, numbered from 0"]


def test_checking_imports_neither_stack_nor_torch():
    out = python(
        """
        import sys
        from fmbench.backend import find
        from fmbench.options import parse_arguments
        backend = find("spyre")
        backend.check(parse_arguments(ARGV))
        OUT["loaded"] = [name for name in ("torch", "torch_sendnn", "torch_spyre") if name in sys.modules]
        """,
        argv=[*SENDNN, "--platform:stack", "sendnn"],
    )
    assert out["loaded"] == []


@pytest.mark.parametrize("words", [[*COMPILE, "--platform:stack", "sendnn"], ["--platform:stack", "torch_spyre"]])
@python_device
def test_the_contract_on_a_fake(words, forked_python):
    forked_python(
        """
        from fmbench.backends.spyre import SpyreBackend
        from fmbench.testing import check_backend

        check_backend(SpyreBackend, *ARGV)
        """,
        argv=[*words, *NO_GRADIENTS],
    )
