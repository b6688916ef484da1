"""What a platform's own methods answer while shapes are measured, wrong answers above all."""

import io
import json
import re

import pytest
import torch

from fmbench.backend import Memory
from fmbench.backends.null import NullBackend
from fmbench.command_line import CommandLine
from fmbench.counters import Counter
from fmbench.drivers.isolate import Child
from fmbench.drivers.overview import overview
from fmbench.errors import PlatformError
from fmbench.lines import JsonLine
from fmbench.measure import FakeClock, Phase, Shape
from fmbench.session import LogWriter, Session

from .test_bench import Failing, bench, data_of, fmwork


class Losing(NullBackend):
    """One of its methods fails."""

    def __init__(self, method: str) -> None:
        setattr(self, method, self.fail)

    def fail(self) -> None:
        raise RuntimeError("acme-smi: lost\nthe counter")


@pytest.mark.parametrize(
    ("method", "kind", "figure"),
    [
        ("energy", "ENERGY", "joules"),
        ("memory", "MEM", "device_peak_bytes"),
        ("reset_memory", "MEM", "device_peak_bytes"),
    ],
)
def test_a_counter_that_is_lost_costs_its_own_figure_alone(method: str, kind: str, figure: str) -> None:
    run, log = bench([600_000_000] * 5, Losing(method))
    assert run.run(Shape(16, 4)) is True
    found = data_of(log, kind)
    assert found[figure] is None
    assert f"--platform null: {method}(): RuntimeError: acme-smi: lost the counter" in found["reason"]
    assert data_of(log, "STAT")["p50"] == 600.0


@pytest.mark.parametrize(
    ("method", "value", "kind", "figure", "said"),
    [
        ("memory", Memory("lots"), "MEM", "device_peak_bytes", "memory() returns the bytes of a peak"),
        ("memory", Memory(True), "MEM", "device_peak_bytes", "memory() returns the bytes of a peak"),
        ("memory", Memory(10**30), "MEM", "device_peak_bytes", "memory() returns the bytes of a peak"),
        ("memory", Memory(-5), "MEM", "device_peak_bytes", "memory() returns the bytes of a peak"),
        ("energy", Counter(None, None, None), "ENERGY", "joules", "energy() returns a Counter with joules or a reason"),
    ],
)
def test_a_counter_that_says_nonsense_is_none_and_says_why(
    method: str, value: object, kind: str, figure: str, said: str
) -> None:
    platform = NullBackend()
    setattr(platform, method, lambda: value)
    run, log = bench([600_000_000] * 5, platform)
    assert run.run(Shape(16, 4)) is True
    found = data_of(log, kind)
    assert found[figure] is None and said in found["reason"]


@pytest.mark.parametrize("hook", ["facts", "model_facts"])
@pytest.mark.parametrize("said", [{"card": object()}, {"card": float("nan")}, None, 5])
def test_facts_that_are_no_json_name_the_platform(hook: str, said: object) -> None:
    platform = type("Odd", (NullBackend,), {hook: lambda self: said})()
    with pytest.raises(PlatformError, match=rf"--platform null: {hook}\(\) returns a dictionary of JSON values; not"):
        getattr(platform, f"ask_{hook}")()


@pytest.mark.parametrize("hook", ["facts", "model_facts"])
@pytest.mark.parametrize(
    ("name", "value"), [("precision", 16), ("precision", ["a"]), ("device", 5), ("simulated", True)]
)
def test_facts_that_are_said_in_words_are_nothing_else(hook: str, name: str, value: object) -> None:
    platform = NullBackend()
    setattr(platform, hook, lambda: {name: value})
    said = f"--platform null: {hook}(): {name} is said in words, or None: not {value!r}"
    with pytest.raises(PlatformError, match=re.escape(said)):
        getattr(platform, f"ask_{hook}")()


@pytest.mark.parametrize(
    "phases",
    [None, ("deploy", 1.0), [("deploy", 1.0)], [Phase("deploy", -1.0)], [Phase("deploy", float("nan"))]],
)
def test_phases_that_are_none_fail_the_shape_and_name_the_platform(phases: object) -> None:
    platform = NullBackend()
    platform.warm_up = lambda forward, batch: phases
    run, log = bench([10] * 4, platform)
    assert run.run(Shape(16, 4)) is False and "FMWORK PHASE" not in log.getvalue()
    assert "--platform null: warm_up() returns a list of Phase" in data_of(log, "ERR")["message"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda: torch.set_num_threads(torch.get_num_threads() + 1), r"threads from (\d+) to (?!\1)\d+$"),
        (lambda: torch.set_grad_enabled(not torch.is_grad_enabled()), "gradients from (True to False|False to True)$"),
        (lambda: torch.set_float32_matmul_precision("medium"), "float32_matmul_precision from highest to medium$"),
    ],
)
def test_a_call_that_changes_settings_fails_its_shape(change, said: str, restore_torch) -> None:
    calls = []

    class Changing(NullBackend):
        def prepare(self, model, arguments):
            return lambda batch: change() if calls.append(batch) or len(calls) == 6 else None

    gradients = torch.is_grad_enabled()
    try:
        run, log = bench([1000] * 10, Changing())
        assert run.run(Shape(16, 4)) is False
    finally:
        torch.set_grad_enabled(gradients)
    assert re.match(f"--platform null: a call changed settings of torch: {said}", data_of(log, "ERR")["message"])


def test_a_peak_of_nothing_is_none_beside_weights() -> None:
    platform = NullBackend()
    platform.memory = lambda: Memory(0)
    assert platform.read_peak() == (0, None)  # it builds no model
    platform.builds_model = True
    peak, reason = platform.read_peak()
    assert peak is None and "not Memory(peak=0)" in reason


def test_a_peak_below_the_weights_is_none_but_for_fewer_bits() -> None:
    platform = NullBackend()
    platform.builds_model, platform.memory = True, lambda: Memory(1000)
    assert platform.read_peak(8000) == (1000, None)
    peak, reason = platform.read_peak(17_115_648)
    assert peak is None and "not Memory(peak=1000) beside 17,115,648 bytes of weights" in reason


def test_a_shape_whose_facts_are_not_known_is_a_failure_and_the_next_one_runs(capsys) -> None:
    platform = Losing("model_facts")
    run, log = bench([1000] * 5, platform)
    run.clock = FakeClock(range(100))
    assert run.run(Shape(16, 4)) is False
    assert "model_facts(): RuntimeError" in data_of(log, "ERR")["message"]
    platform.model_facts = lambda: {"cpu": "Xeon"}
    assert run.run(Shape(32, 4)) is False and "cpu: fmbench says this" in capsys.readouterr().err


def test_a_platform_that_cannot_recover_ends_no_sweep(capsys) -> None:
    platform = Failing(RuntimeError("kernel broke"), at=3)
    platform.recover = Losing("recover").fail
    run, _ = bench([10] * 4, platform)
    run.clock = FakeClock(range(100))
    assert run.run(Shape(16, 4)) is False and run.run(Shape(32, 4)) is True
    assert "recover(): RuntimeError: acme-smi" in capsys.readouterr().err


def test_a_person_is_told_what_is_simulated() -> None:
    run, _ = bench([10] * 4)
    run.log.write(JsonLine("ENV", NullBackend().facts()))
    run.run(Shape(16, 4))
    told = overview(run.log.outcomes, CommandLine(()), "driver", run.log.simulated)
    assert "simulated, no hardware computed it: the null backend computes nothing\n" in told


def test_a_log_is_not_gone_on_with_in_another_precision() -> None:
    platform = NullBackend()
    platform.model_facts = lambda: {"precision": "bfloat16"}
    run, _ = bench([10] * 4, platform)
    asked: list = []
    run.check = lambda found, variant: asked.append((found, variant))
    run.run(Shape(16, 4))
    assert asked == [({"precision": "bfloat16"}, "A")]


def test_a_shape_in_another_precision_is_a_failure_and_the_facts_of_those_before_stay(capsys) -> None:
    said = [{"precision": "int8"}, {"precision": "int4", "graphs": 2}, {"precision": "int8", "graphs": 3}, {}]
    platform = NullBackend()
    platform.model_facts = lambda: said.pop(0)
    run, log = bench([10] * 4, platform)
    run.clock = FakeClock(range(100))
    assert [run.run(Shape(length, 4)) for length in (16, 32, 48, 64)] == [True, False, True, False]
    found = [json.loads(line.removeprefix("FMWORK ENV ")) for line in fmwork(log) if line.startswith("FMWORK ENV ")]
    assert found == [{"precision": "int8"}, {"precision": "int8", "graphs": 3}]
    told = capsys.readouterr().err
    assert "--platform null: model_facts(): precision is int4 for this shape, and was int8 for those before" in told


def test_the_precision_of_a_shape_in_its_own_process_binds_the_next_one() -> None:
    precisions: dict = {}
    child = Child(CommandLine(()), (16, 4), Session(LogWriter(io.StringIO()), "embed"), {}, precisions, True, False)
    child.heed(JsonLine("ENV", {"precision": "int8"}))
    assert not precisions  # of a shape that fails there is no figure
    child.heed(JsonLine("STAT", {}))
    assert precisions == {"A": "int8"}
    run, log = bench([10] * 4)
    run.precisions = precisions
    assert run.run(Shape(32, 4)) is False and "was int8" in data_of(log, "ERR")["message"]
