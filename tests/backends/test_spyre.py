"""The spyre platform, against the fakes of tests/fakes (its README says what they imitate)."""

import contextlib
import importlib.machinery
import importlib.metadata
import importlib.util
import sys
import types
from pathlib import Path

import pytest

from fmbench.backends.spyre import SpyreBackend, choose
from fmbench.backends.spyre.device import TorchSpyre
from fmbench.backends.spyre.sendnn import Sendnn, import_torch_sendnn
from fmbench.backends.spyre.stack import simulation
from fmbench.errors import PlatformError, UsageError
from fmbench.options import parse_arguments

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


@pytest.fixture
def install(monkeypatch):
    """Pretend that exactly these packages are installed."""
    real = importlib.util.find_spec

    def pretend(*names):
        def find_spec(name, package=None):
            if name not in PACKAGES:
                return real(name, package)
            return importlib.machinery.ModuleSpec(name, None, origin="there") if name in names else None

        monkeypatch.setattr(importlib.util, "find_spec", find_spec)

    return pretend


def check(*argv):
    SpyreBackend().check(parse_arguments(list(argv)))


# Which stack


def test_without_a_stack_the_platform_is_unavailable_and_says_where_to_get_one(install):
    install()
    assert SpyreBackend.unavailable() == "neither torch_sendnn nor torch_spyre is installed"
    with pytest.raises(PlatformError, match=r"neither torch_sendnn nor torch_spyre .*container image"):
        check(*SENDNN)
    with pytest.raises(PlatformError, match="neither"):
        choose(parse_arguments(SENDNN))


@pytest.mark.parametrize("package, stack", [("torch_sendnn", Sendnn), ("torch_spyre", TorchSpyre)])
def test_the_installed_stack_is_chosen(install, package, stack):
    install(package)
    assert SpyreBackend.unavailable() is None
    assert type(choose(parse_arguments(SENDNN))) is stack


def test_both_stacks_and_no_choice_is_an_error_that_names_both_choices(install):
    install(*PACKAGES)
    assert SpyreBackend.unavailable() is None
    with pytest.raises(UsageError, match=r"--platform:stack sendnn or --platform:stack torch_spyre$"):
        check(*SENDNN)


@pytest.mark.parametrize("name, stack", [("sendnn", Sendnn), ("torch_spyre", TorchSpyre)])
def test_the_option_chooses_between_both(install, name, stack):
    install(*PACKAGES)
    assert type(choose(parse_arguments([*SENDNN, "--platform:stack", name]))) is stack
    check(*SENDNN, "--platform:stack", name)


def test_an_unknown_stack_names_the_nearest(install):
    install("torch_sendnn")
    with pytest.raises(UsageError, match="--platform:stack sendn: unknown; did you mean sendnn"):
        check(*SENDNN, "--platform:stack", "sendn")
    with pytest.raises(UsageError, match="--platform:stack 3: unknown"):
        check(*SENDNN, "--platform:stack@", "3")


def test_a_chosen_stack_that_is_not_installed_is_a_platform_error(install):
    install("torch_sendnn")
    with pytest.raises(PlatformError, match="--platform:stack torch_spyre: torch_spyre is not installed"):
        check(*SENDNN, "--platform:stack", "torch_spyre")


def test_an_unknown_option_of_the_platform_names_the_nearest(install):
    install("torch_sendnn")
    with pytest.raises(UsageError, match="--platform:stak: no option of spyre; did you mean stack"):
        check(*SENDNN, "--platform:stak", "sendnn")


def test_a_folder_without_code_is_no_installation(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "torch_sendnn").mkdir()
    assert not Sendnn.installed()
    (tmp_path / "torch_sendnn" / "__init__.py").touch()
    importlib.invalidate_caches()
    assert Sendnn.installed()


# What torch_sendnn needs on the command line


@pytest.mark.parametrize(
    "argv, missing",
    [
        ([], "--compile --compile:backend sendnn --torch.call:set_grad_enabled@ False"),
        (["--compile"], "--compile:backend sendnn --torch.call:set_grad_enabled@ False"),
        (COMPILE, "--torch.call:set_grad_enabled@ False"),
        (NO_GRADIENTS, "--compile --compile:backend sendnn"),
        (["--compile", *NO_GRADIENTS], "--compile:backend sendnn"),
        (["--compile:backend", "inductor", *NO_GRADIENTS], "--compile:backend sendnn"),
        ([*COMPILE, "--torch.call:set_grad_enabled", "no"], "--torch.call:set_grad_enabled@ False"),
        ([*COMPILE, "--torch.call:set_grad_enabled@", "True"], "--torch.call:set_grad_enabled@ False"),
        ([*COMPILE, "--torch.call:set_grad_enabled@", "not 1"], "--torch.call:set_grad_enabled@ False"),
    ],
)
def test_each_missing_argument_is_named_as_it_is_typed(install, argv, missing):
    install("torch_sendnn")
    with pytest.raises(UsageError) as caught:
        check(*FIXED, *argv)
    assert str(caught.value) == f"--platform spyre with torch_sendnn also needs {missing}"


def test_the_arguments_of_the_documentation_are_accepted(install):
    install("torch_sendnn")
    check(*FIXED, "--torch.call:set_grad_enabled@", "False", "--compile", "--compile:backend", "sendnn")
    check(*FIXED, *NO_GRADIENTS, "--compile:backend@", "'sendnn'", "--device", "0")


def test_torch_spyre_needs_none_of_them(install):
    install("torch_spyre")
    check(*FIXED)
    check(*FIXED, "--device", "3")


@pytest.mark.parametrize("package", PACKAGES)
def test_dynamic_shapes_are_refused(install, package):
    install(package)
    for value in ("True", "bool(1)", "1"):
        with pytest.raises(UsageError, match="--compile:dynamic: Spyre compiles fixed shapes"):
            check(*SENDNN, "--compile:dynamic@", value)
    with pytest.raises(UsageError, match="--compile:dynamic"):
        check(*SENDNN, "--compile:dynamic", "False")  # a string, which torch would take for true
    check(*SENDNN, "--compile:dynamic@", "False")
    check(*SENDNN, "--compile:dynamic@", "None")


@pytest.mark.parametrize("sizes", [("64,128", "1"), ("64", "1,2"), ("64,64", "1")])
def test_one_shape_a_process(install, sizes):
    install("torch_sendnn")
    argv = [*SENDNN]
    argv[argv.index("--input_sizes") + 1], argv[argv.index("--batch_sizes") + 1] = sizes
    with pytest.raises(
        UsageError, match=f"--platform spyre runs one shape a process.*, not {sizes[0]} and {sizes[1]},"
    ):
        check(*argv)


def test_torch_sendnn_takes_its_card_from_the_environment(install):
    install("torch_sendnn")
    with pytest.raises(UsageError, match="SPYRE_DEVICES=2"):
        check(*SENDNN, "--device", "2")


# What is said and labelled


def model(dtype="torch.float16", attention="eager", pooler=None):
    return types.SimpleNamespace(
        dtype=dtype, pooler=pooler, config=types.SimpleNamespace(_attn_implementation=attention)
    )


def advice(stack, model, *argv):
    return [line.rpartition("--")[2] for line in stack.advice(model, parse_arguments([*FIXED, *argv]))]


def test_a_model_as_the_card_likes_it_needs_no_advice():
    assert advice(Sendnn(), model()) == []
    assert advice(TorchSpyre(), model("torch.bfloat16", "sdpa"), "--compile") == []
    assert Sendnn().advice(object(), parse_arguments(FIXED)) == []


def test_advice_names_the_argument_that_helps():
    assert advice(Sendnn(), model("torch.float32", "sdpa", object())) == [
        "model:dtype@ torch.float16",
        "model:add_pooling_layer@ False",
        "model:attn_implementation eager",
    ]
    assert advice(Sendnn(), model("torch.bfloat16")) == ["model:dtype@ torch.float16"]
    assert advice(TorchSpyre(), model("torch.float32", "sdpa")) == ["model:dtype@ torch.float16", "compile"]


def test_advice_names_the_next_whole_input_size():
    argv = [*FIXED]
    for size, whole in ((100, "128"), (1, "64"), (129, "192")):
        argv[argv.index("--input_sizes") + 1] = str(size)
        (line,) = Sendnn().advice(model(), parse_arguments(argv))
        assert line.endswith(f"--input_sizes {whole}")


@pytest.mark.parametrize(
    "variables, label",
    [
        ({"FLEX_COMPUTE": "SENULATOR", "FLEX_DEVICE": "PF"}, "FLEX_COMPUTE=SENULATOR: "),
        ({"FLEX_COMPUTE": "SENTIENT", "FLEX_DEVICE": "MOCK"}, "FLEX_DEVICE=MOCK: "),
        ({"FLEX_DEVICE": "compile"}, "FLEX_DEVICE=COMPILE: "),
    ],
)
def test_a_simulated_run_is_labelled(variables, label):
    assert simulation(variables).startswith(label)


@pytest.mark.parametrize("variables", [{}, {"FLEX_COMPUTE": "SENTIENT", "FLEX_DEVICE": "PF"}, {"FLEX_DEVICE": "VF"}])
def test_a_card_is_not_labelled(variables):
    assert simulation(variables) is None


# Warm-up phases


class Batch(dict):
    """A batch without tensors."""


def warm_up(*modules):
    stack = Sendnn()
    stack._modules = list(modules)
    calls = []
    phases = stack.warm_up(calls.append, Batch())
    assert len(calls) == len(phases)
    return phases


def test_the_compile_phase_lasts_until_warmup_mode_is_left(monkeypatch):
    now = [0]
    monkeypatch.setattr("fmbench.measure.time.perf_counter_ns", lambda: now[0])

    @contextlib.contextmanager
    def warmup_mode():
        yield
        now[0] += 5 * 10**9

    phases = warm_up(types.SimpleNamespace(), types.SimpleNamespace(warmup_mode=warmup_mode))
    assert [(phase.name, phase.seconds) for phase in phases] == [("compile", 5.0), ("deploy", 0.0), ("steady", 0.0)]


def test_without_warmup_mode_the_first_call_is_the_compile_phase():
    assert [phase.name for phase in warm_up(types.SimpleNamespace())] == ["compile", "steady"]


def test_the_warm_up_batch_is_marked_static_and_no_other():
    import torch

    stack, seen = Sendnn(), []
    stack._modules = []
    batch = {"input_ids": torch.zeros(2, 3), "attention_mask": torch.ones(2, 3)}
    stack.warm_up(lambda placed: seen.append({name: placed[name]._dynamo_static_indices for name in placed}), batch)
    assert seen[0] == {"input_ids": {0, 1}, "attention_mask": {0, 1}}
    assert not hasattr(stack.place({"input_ids": torch.zeros(2, 3)})["input_ids"], "_dynamo_static_indices")


def test_both_stacks_compile_for_fixed_shapes(monkeypatch):
    import torch

    asked = []
    monkeypatch.setattr(torch, "compile", lambda model, **options: asked.append(options) or model)
    backend = SpyreBackend()
    backend._compile("model", {"backend": "sendnn"})
    backend._compile("model", {})
    backend._compile("model", {"dynamic": None, "mode": "default"})
    assert asked == [
        {"dynamic": False, "backend": "sendnn"},
        {"dynamic": False},
        {"dynamic": None, "mode": "default"},
    ]


# Importing torch_sendnn


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write a package called torch_sendnn from the texts of its files."""

    def write(**files):
        (tmp_path / "torch_sendnn").mkdir()
        for name, text in files.items():
            (tmp_path / "torch_sendnn" / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)

    yield write
    for name in [name for name in sys.modules if name.partition(".")[0] == "torch_sendnn"]:
        del sys.modules[name]


def test_a_package_used_as_import_torch_sendnn(package):
    package(__init__="warmup_mode = 'outer'")
    assert [module.__name__ for module in import_torch_sendnn()] == ["torch_sendnn"]


def test_a_package_used_as_from_torch_sendnn_import_torch_sendnn(package):
    package(__init__="", torch_sendnn="warmup_mode = 'inner'")
    assert [module.__name__ for module in import_torch_sendnn()] == ["torch_sendnn.torch_sendnn", "torch_sendnn"]


def test_a_package_whose_inner_module_is_only_a_name(package):
    package(__init__="import types\ntorch_sendnn = types.SimpleNamespace(warmup_mode='inner')")
    assert [getattr(module, "warmup_mode", None) for module in import_torch_sendnn()] == ["inner", None]


def test_what_a_package_lacks_is_not_hidden(package):
    package(__init__="", torch_sendnn="import a_library_that_is_missing")
    with pytest.raises(ModuleNotFoundError, match="a_library_that_is_missing"):
        import_torch_sendnn()


# Whole runs, each in a process of its own: importing a stack changes the process
