import pytest
import torch

from fmbench import torch_settings
from fmbench.errors import UsageError

pytestmark = pytest.mark.usefixtures("restore_torch")


def apply(calls: dict | None = None, sets: dict | None = None) -> None:
    options = {"torch.call": calls or {}, "torch.set": sets or {}}
    torch_settings.Settings([(options, None)]).activate(0)


def test_a_plain_string_stays_a_string() -> None:
    apply({"set_float32_matmul_precision": "high"})
    assert torch.get_float32_matmul_precision() == "high"


def test_one_value_a_tuple_and_a_dictionary(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(torch, "recorder", lambda *positional, **named: seen.append((positional, named)), raising=False)
    for value in (False, (1, 2), {"a": 1}, (), [1, 2]):
        apply({"recorder": value})
    assert seen == [((False,), {}), ((1, 2), {}), ((), {"a": 1}), ((), {}), (([1, 2],), {})]


def test_a_dotted_name_is_called_and_assigned() -> None:
    before, limit = torch.backends.cudnn.benchmark, torch._dynamo.config.cache_size_limit
    try:
        apply(
            {"set_grad_enabled": False}, {"backends.cudnn.benchmark": not before, "_dynamo.config.cache_size_limit": 99}
        )
        assert torch.is_grad_enabled() is False
        assert torch.backends.cudnn.benchmark is not before
        assert torch._dynamo.config.cache_size_limit == 99
    finally:
        torch.backends.cudnn.benchmark = before
        torch._dynamo.config.cache_size_limit = limit


@pytest.mark.parametrize(
    ("calls", "sets", "said"),
    [
        ({"set_grad_enable": False}, {}, r"torch has no set_grad_enable; did you mean .*set_grad_enabled"),
        ({"nope.f": 1}, {}, "--torch.call:nope.f: torch has no nope"),
        ({"float32": 1}, {}, "torch.float32 is no function; .*--torch.set:float32@"),
        ({"set_num_threads": "x"}, {}, "--torch.call:set_num_threads 'x': "),
        ({}, {"backends.cudnn.benchmrk": True}, "torch has no backends.cudnn.benchmrk; did you mean benchmark"),
        ({}, {"bakends.cudnn.benchmark": True}, "torch has no bakends; did you mean backends"),
        ({}, {"backends.cudnn": {"benchmark": True}}, "--torch.set:backends.cudnn.benchmark"),
    ],
)
def test_mistakes_name_the_nearest(calls: dict, sets: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        apply(calls, sets)
    assert not hasattr(torch.backends.cudnn, "benchmrk")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"backnd": "eager"}, "--compile:backnd: .*did you mean backend"),
        ({"backend": "inductr"}, "--compile:backend inductr: .*did you mean inductor"),
    ],
)
def test_compile_arguments_and_backends_are_checked(options: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        torch_settings.check_compile(options)


def test_good_compile_arguments_pass() -> None:
    torch_settings.check_compile({"backend": "inductor", "mode": "default", "dynamic": False, "options": {"x": 1}})
    torch_settings.check_compile({"backend": lambda graph, inputs: graph})


def variant(calls: dict | None = None, sets: dict | None = None, threads: int | None = None) -> tuple:
    return {"torch.call": calls or {}, "torch.set": sets or {}}, threads


def test_variants_take_turns_and_what_one_sets_is_undone_for_the_other() -> None:
    threads, benchmark = torch.get_num_threads(), torch.backends.cudnn.benchmark
    settings = torch_settings.Settings([
        variant({"set_grad_enabled": True}),
        variant({"set_grad_enabled": False}, {"backends.cudnn.benchmark": not benchmark}, threads=1),
    ])  # fmt: skip

    def state() -> tuple:
        return torch.is_grad_enabled(), torch.backends.cudnn.benchmark, torch.get_num_threads()

    for index, expected in (
        (0, (True, benchmark, threads)),
        (1, (False, not benchmark, 1)),
        (0, (True, benchmark, threads)),
    ):
        settings.activate(index)
        assert state() == expected


def test_a_call_of_one_variant_only_cannot_be_undone() -> None:
    with pytest.raises(UsageError, match="--torch.call:set_grad_enabled: a call cannot be undone"):
        torch_settings.Settings([variant(), variant({"set_grad_enabled": False})])


def test_settings_that_hold_are_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(torch, "recorder", calls.append, raising=False)
    settings = torch_settings.Settings([variant({"recorder": 1}), variant({"recorder": 1})])
    for index in (0, 1, 0, 1):
        settings.activate(index)
    assert calls == [1]


@pytest.mark.parametrize(("quota", "said"), [(1, 1), (64, None)])
def test_threads_follow_a_cpu_quota_unless_told_otherwise(
    quota: int, said: int | None, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch_settings.host, "useful_threads", lambda: quota)
    monkeypatch.setattr(torch_settings.host, "cpu_quota", lambda: float(quota))
    torch.set_num_threads(2)
    torch_settings.Settings([({"torch.call": {}, "torch.set": {}}, None)]).activate(0)
    assert torch.get_num_threads() == (said or 2)
    assert ("as from --threads 1" in capsys.readouterr().err) == (said is not None)
    torch_settings.Settings([({"torch.call": {}, "torch.set": {}}, 2)]).activate(0)
    assert torch.get_num_threads() == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert torch_settings.default_threads() == 2


def test_settings_are_said_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch_settings.settings()
    apply({"set_float32_matmul_precision": "medium"})
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    after = torch_settings.settings()
    assert (after["float32_matmul_precision"], after["cudnn.benchmark"]) == ("medium", True)
    assert {name for name in after if after[name] != before[name]} <= {
        "float32_matmul_precision", "cudnn.benchmark", "mkldnn.fp32_precision",
    }  # fmt: skip
