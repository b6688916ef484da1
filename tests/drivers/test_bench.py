"""Exact-number tests of the timing path, on the null backend and a fake clock."""

import io
import json
import os

import pytest
import torch

from fmbench import counters
from fmbench.backend import Backend
from fmbench.backends.null import NullBackend
from fmbench.cost import Cost
from fmbench.counters import CpuTime
from fmbench.drivers.bench import Bench
from fmbench.drivers.variant import Variant
from fmbench.measure import FakeClock, Phase, Shape, TokenGenerator, nothing
from fmbench.options import Arguments, parse_arguments
from fmbench.roofline import Ceiling
from fmbench.session import LogWriter
from fmbench.stopping import Rule
from fmbench.torch_settings import CompilationWatch


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is none of this machine's, and neither is who else had its CPUs."""
    monkeypatch.setattr(counters, "cpu_time", lambda: None)
    monkeypatch.setattr(counters, "preemptions", lambda: 0)


REQUIRED = "--platform null --model_class BertModel --input_sizes 16 --batch_sizes 4"


def bench(durations: list[int], platform: Backend | None = None, name: str = "a model") -> tuple[Bench, io.StringIO]:
    """A bench whose repetitions take the given nanoseconds, a microsecond apart, from one second after the epoch."""
    times, now = [], 1_000_000_000
    for duration in durations:
        times += [now, now + duration]
        now += duration + 1000
    arguments = parse_arguments([*REQUIRED.split(), "--model_name", name, "--reps", str(len(durations))])
    log = io.StringIO()
    variant = ready(0, arguments, platform or NullBackend(), alone=True)
    rule = Rule(len(durations))
    return Bench([variant], TokenGenerator(100, (), 0), LogWriter(log), FakeClock(times), rule), log


def ready(index: int, arguments: Arguments, platform: Backend, alone: bool) -> Variant:
    """A variant that is set up."""
    platform.setup(arguments)
    forward = platform.prepare(None, arguments)
    overrides = "--seed 0" if index else ""
    return Variant(index, overrides, arguments, platform, None, alone, forward=forward, activate=nothing, facts={})


def fmwork(log: io.StringIO) -> list[str]:
    return [line for line in log.getvalue().splitlines() if line.startswith("FMWORK")]


def test_the_whole_block_of_a_shape() -> None:
    run, log = bench([900_000_000, 2_000_000, 4_000_000, 3_000_000])
    assert run.run(Shape(16, 4)) is True
    assert log.getvalue().startswith(f"\n{'-' * 80}\nRUN 16 / 4\n{'-' * 80}\n\nFMWORK CASE ")
    case, *reps, memory, energy, res, stat = fmwork(log)
    assert memory.startswith("FMWORK MEM ") and energy.startswith("FMWORK ENERGY ")
    opened = json.loads(case.removeprefix("FMWORK CASE "))
    rule = {"reps": 4, "precision": None, "max_seconds": None}
    assert opened == {"input_size": 16, "batch_size": 4, "tokens": 64, **rule, "flops": None, "bytes": None}
    assert reps == [
        "FMWORK REP 1 4 1.000000000 1.900000000 0.900000000",
        "FMWORK REP 2 4 1.900001000 1.902001000 0.002000000",
        "FMWORK REP 3 4 1.902002000 1.906002000 0.004000000",
        "FMWORK REP 4 4 1.906003000 1.909003000 0.003000000",
    ]
    assert res == "FMWORK RES 1.000000000 1.909003000 a%20model BertModel 16 4 3.000 1333.3"
    statistics = json.loads(stat.removeprefix("FMWORK STAT "))
    assert (statistics["n"], statistics["dropped"], statistics["cold"]) == (3, 1, 900.0)
    assert (statistics["min"], statistics["p50"], statistics["mad"]) == (2.0, 3.0, 1.0)


@pytest.mark.parametrize(
    ("durations", "latency"),
    [
        ([5_000_000], "5.000 800.0"),  # one repetition: nothing is dropped
        ([9_000_000, 5_000_000], "5.000 800.0"),
        ([90, 90, 10, 30, 20, 10, 10, 40, 50, 60], "0.000 160000000.0"),  # two of ten dropped; median of 8 is 25 ns
        ([9, 1_000_000, 2_000_000], "1.500 2666.7"),
    ],
)
def test_result_is_the_median_after_the_first_fifth(durations: list[int], latency: str) -> None:
    run, log = bench(durations, name="m")
    run.run(Shape(16, 4))
    (result,) = [line for line in fmwork(log) if line.startswith("FMWORK RES")]
    assert result.endswith(f" m BertModel 16 4 {latency}")


class Failing(NullBackend):
    """Fails on its n-th call."""

    def __init__(self, error: Exception, at: int) -> None:
        self.error, self.at, self.calls, self.recovered = error, at, 0, 0

    def prepare(self, model, arguments):
        def forward(batch):
            self.calls += 1
            if self.calls == self.at:
                raise self.error

        return forward

    def recover(self) -> None:
        self.recovered += 1


@pytest.mark.parametrize(
    ("error", "out_of_memory"),
    [
        (RuntimeError("kernel broke\nat length"), False),
        (MemoryError("no room"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 1 byte"), True),
    ],
)
def test_a_failing_shape_is_a_row_and_the_next_one_runs(error: Exception, out_of_memory: bool, capsys) -> None:
    platform = Failing(error, at=3)
    run, log = bench([10] * 4, platform)
    run.clock = FakeClock(range(100))
    assert run.run(Shape(16, 4)) is False
    assert run.run(Shape(32, 4)) is True
    kinds = [line.split()[1] for line in fmwork(log)]
    assert kinds == [
        "CASE", "REP", "REP", "ERR", "CASE", "REP", "REP", "REP", "REP", "MEM", "ENERGY", "RES", "STAT",
    ]  # fmt: skip
    failure = json.loads(next(line for line in fmwork(log) if "ERR" in line).removeprefix("FMWORK ERR "))
    assert (failure["input_size"], failure["batch_size"]) == (16, 4)
    assert failure["type"] == type(error).__name__
    assert failure["message"] == str(error).splitlines()[0]
    assert failure["out_of_memory"] is out_of_memory
    assert platform.recovered == 1
    assert "warning: 16 / 4 failed" in capsys.readouterr().err


class Answering(NullBackend):
    """Has a model, whose calls return the given outputs, the last one for ever."""

    builds_model = True

    def __init__(self, *outputs: object) -> None:
        self.outputs = list(outputs)

    def prepare(self, model, arguments):
        return lambda batch: self.outputs.pop(0) if len(self.outputs) > 1 else self.outputs[0]


@pytest.mark.parametrize(
    ("outputs", "repetitions", "said"),
    [
        ([None], 0, "returned None"),
        ([torch.ones(2, 16, 8)], 0, "float32 of shape [2, 16, 8], no floating numbers for each of 4 rows"),
        ([torch.full((4, 16, 8), torch.nan)], 0, "512 of 512 numbers that are NaN or infinite"),
        ([torch.ones(4, 16, 8), None], 1, "returned None"),
        (
            [torch.ones(4, 16, 8), torch.full((4, 16, 8), torch.nan)],
            4,
            "512 of 512 numbers",
        ),  # the numbers: now and then
    ],
)
def test_a_call_that_answers_nothing_is_no_fast_one(outputs: list, repetitions: int, said: str) -> None:
    run, log = bench([10] * 8, Answering(*outputs))
    assert run.run(Shape(16, 4)) is False
    assert [line.split()[1] for line in fmwork(log)] == ["CASE", *["REP"] * repetitions, "ERR"]
    assert data_of(log, "ERR")["type"] == "OutputError" and said in data_of(log, "ERR")["message"]


@pytest.mark.parametrize("output", [torch.ones(4, 1, 8), torch.ones(4, 8), torch.ones(4, 4, 8), torch.ones(4, 16, 9)])
def test_a_call_that_answers_for_other_tokens_than_the_model_is_no_fast_one(output: torch.Tensor, monkeypatch) -> None:
    monkeypatch.setattr(Variant, "cost", lambda self, shape: Cost(1, 1, (4, 16, 8)))
    run, log = bench([10] * 4, Answering(output))
    assert run.run(Shape(16, 4)) is False
    assert f"shape {list(output.shape)}, no floating numbers of shape [4, 16, 8]" in data_of(log, "ERR")["message"]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (
            lambda batch: {name: one[:, :4] for name, one in batch.items()},
            "with input_ids of shape [4, 4], not [4, 16]",
        ),
        (lambda batch: {"input_ids": batch["input_ids"]}, "without attention_mask"),
    ],
)
def test_a_platform_that_loses_inputs_is_named(place, said: str) -> None:
    platform = Answering(torch.ones(4, 16, 8))
    platform.place = place
    run, log = bench([10] * 4, platform)
    assert run.run(Shape(16, 4)) is False
    assert data_of(log, "ERR")["message"] == (
        f"--platform null: place() returns the batch where the model wants it; not {said}"
    )


def test_a_call_that_answers_is_timed() -> None:
    run, log = bench([10] * 4, Answering(torch.ones(4, 16, 8)))
    assert run.run(Shape(16, 4)) is True and data_of(log, "STAT")["n"] == 3


def data_of(log: io.StringIO, kind: str) -> dict:
    """The one line of a kind."""
    (found,) = [line for line in fmwork(log) if line.startswith(f"FMWORK {kind} ")]
    return json.loads(found.split(" ", 2)[2])


def test_an_interruption_is_no_failed_shape() -> None:
    run, log = bench([10] * 4, Failing(KeyboardInterrupt(), at=3))  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        run.run(Shape(16, 4))
    assert [line.split()[1] for line in fmwork(log)] == ["CASE", "REP", "REP"]


def test_phases_are_printed_before_the_repetitions_and_do_not_move_the_tokens() -> None:
    class Warming(NullBackend):
        seen: list = []  # noqa: RUF012

        def warm_up(self, forward, batch):
            return [Phase("compile", 1.5), Phase("deploy", 0.25)]

        def place(self, batch):
            self.seen.append(batch["input_ids"])
            return batch

    run, log = bench([1, 1], Warming())
    run.run(Shape(16, 4))
    phases = [json.loads(line.removeprefix("FMWORK PHASE ")) for line in fmwork(log) if "PHASE" in line]
    assert phases == [{"name": "compile", "seconds": 1.5}, {"name": "deploy", "seconds": 0.25}]
    warm_up, first, second = Warming.seen
    assert bool((warm_up == first).all())
    assert not bool((first == second).all())


def compared(
    a: list[int], b: list[int], platform_b: Backend | None = None, log: io.StringIO | None = None
) -> tuple[bool, list[str]]:
    """Run A and B, whose calls advance one fake clock by the given nanoseconds; return the outcome and the lines."""
    log = io.StringIO() if log is None else log
    now = 1_000_000_000
    taken = {"a": iter(a), "b": iter(b)}

    class Ticking(FakeClock):
        def now(self) -> int:
            return now

    class Advancing(NullBackend):
        def __init__(self, name: str) -> None:
            self.key = name

        def prepare(self, model, arguments):
            def forward(batch):
                nonlocal now
                now += next(taken[self.key])

            return forward

    arguments = parse_arguments([*REQUIRED.split(), "--model_name", "m", "--reps", str(len(a))])
    variants = [
        ready(0, arguments, Advancing("a"), alone=False),
        ready(1, arguments, platform_b or Advancing("b"), alone=False),
    ]
    run = Bench(variants, TokenGenerator(100, (), 0), LogWriter(log), Ticking([]), Rule(len(a)))
    return run.run(Shape(16, 4)), log.getvalue().splitlines()


def test_a_comparison_prints_a_block_for_each_and_the_pair() -> None:
    fine, text = compared([100, *[1000] * 19], [200, *[2000] * 19])
    assert fine is True
    lines = [line for line in text if line.startswith(("FMWORK", "RUN"))]
    kinds = [line.split()[1] if line.startswith("FMWORK") else "RUN" for line in lines]
    block = ["RUN", "CASE", *["REP"] * 20, "MEM", "ENERGY", "RES", "STAT"]
    assert kinds == [*block, *block, "PAIR"]
    cases = [json.loads(line.removeprefix("FMWORK CASE ")) for line in lines if "CASE" in line]
    assert [(case["variant"], case.get("overrides")) for case in cases] == [("A", None), ("B", "--seed 0")]
    results = [line.split()[-2:] for line in lines if line.startswith("FMWORK RES")]
    assert results == [["0.001", "4000000.0"], ["0.002", "2000000.0"]]
    pair = json.loads(lines[-1].removeprefix("FMWORK PAIR "))
    assert (pair["a"], pair["b"], pair["n"]) == ("A", "B", 16)
    assert (pair["ratio"], pair["interval"], pair["verdict"]) == (2.0, [2.0, 2.0], "slower")


def test_a_variant_that_fails_leaves_the_other_its_figures() -> None:
    fine, text = compared([1000] * 10, [], Failing(RuntimeError("no kernel"), at=3))
    assert fine is False
    lines = [line for line in text if line.startswith("FMWORK")]
    kinds = [line.split()[1] for line in lines]
    assert kinds == [
        "CASE", *["REP"] * 10, "MEM", "ENERGY", "RES", "STAT", "CASE", "REP", "REP", "ERR", "PAIR",
    ]  # fmt: skip
    failure = json.loads(lines[-2].removeprefix("FMWORK ERR "))
    assert (failure["variant"], failure["message"]) == ("B", "no kernel")


def test_an_interrupted_comparison_prints_what_b_has() -> None:
    log = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        compared([1000] * 10, [], Failing(KeyboardInterrupt(), at=4), log)  # type: ignore[arg-type]
    kinds = [line.split()[1] for line in fmwork(log)]
    assert kinds == ["CASE", "REP", "REP", "REP", "CASE", "REP", "REP", "REP"]


def test_precision_ends_a_quiet_shape_early() -> None:
    run, log = bench([1000] * 100)
    run.rule = Rule(100, precision=0.01)
    assert run.run(Shape(16, 4)) is True
    (stat,) = [json.loads(line.removeprefix("FMWORK STAT ")) for line in fmwork(log) if line.startswith("FMWORK STAT")]
    assert (stat["ended"], stat["n"] + stat["dropped"], stat["stable"]) == ("precision", 10, True)


def test_max_seconds_bounds_a_shape() -> None:
    run, log = bench([400_000_000] * 100)
    run.rule = Rule(100, max_seconds=2)
    run.run(Shape(16, 4))
    (stat,) = [json.loads(line.removeprefix("FMWORK STAT ")) for line in fmwork(log) if line.startswith("FMWORK STAT")]
    assert (stat["ended"], stat["n"] + stat["dropped"]) == ("seconds", 5)


class Compiling(NullBackend):
    """Has a compiler that runs for ten seconds inside its first call, as a watch is told."""

    def __init__(self) -> None:
        self.watch = CompilationWatch()

    def prepare(self, model, arguments):
        def forward(batch):
            if not self.watch.count:
                self.watch.count, self.watch.seconds = 1, 10.0

        return forward


def test_a_repetition_in_which_a_compiler_runs_takes_no_time_of_the_cap() -> None:
    platform = Compiling()
    run, log = bench([10_400_000_000, *[400_000_000] * 99], platform)
    run.watch, run.rule = platform.watch, Rule(100, max_seconds=2)
    run.run(Shape(16, 4))
    (stat,) = [json.loads(line.removeprefix("FMWORK STAT ")) for line in fmwork(log) if line.startswith("FMWORK STAT")]
    assert (stat["ended"], stat["n"] + stat["dropped"], stat["p50"]) == ("seconds", 6, 400.0)


class Yielding(NullBackend):
    """Has threads that give their CPU away themselves, of which preemptions say nothing."""

    yields = True


@pytest.mark.parametrize(
    ("platform", "spent", "waiting", "in_line", "reason"),
    [
        (Yielding(), CpuTime(0, 20_000_000), 0.02, None, None),
        (
            Yielding(),
            CpuTime(0, 1_500_000_000),
            1.5,
            None,
            "contended: 1.5 threads on average waited for a CPU that was busy",
        ),
        (NullBackend(), CpuTime(1_980_000_000, 20_000_000), None, 0.01, None),
        (
            NullBackend(),
            CpuTime(800_000_000, 1_200_000_000),
            None,
            0.6,
            "contended: for 60.0% of the time that its threads wanted a CPU, other work had it",
        ),
    ],
)
def test_a_machine_is_contended_where_threads_wait(
    monkeypatch, platform: Backend, spent: CpuTime, waiting: float | None, in_line: float | None, reason: str | None
) -> None:
    """What threads that give their CPU away themselves may wait is counted otherwise."""
    readings = iter([CpuTime(0, 0), spent])
    monkeypatch.setattr(counters, "cpu_time", lambda: next(readings))
    run, log = bench([100_000_000] * 11, platform)  # ten of them after the first: a second
    run.run(Shape(16, 4))
    (stat,) = [json.loads(line.removeprefix("FMWORK STAT ")) for line in fmwork(log) if line.startswith("FMWORK STAT")]
    assert (stat["waiting"], stat["in_line"]) == (waiting, in_line)
    assert (stat["stable"], stat["reason"]) == (reason is None, reason)
    assert (stat["handover"] is None) == (waiting is None or len(os.sched_getaffinity(0)) < 2)


def test_a_call_that_returns_what_it_has_is_beyond_the_roofline_and_in_doubt(monkeypatch) -> None:
    monkeypatch.setattr(Variant, "cost", lambda self, shape: Cost(10**9, 10**6, (4, 16, 8)))
    run, log = bench([3000] * 20, Answering(torch.ones(4, 16, 8)))
    run.ceilings = {"A": Ceiling("float32", 1e11, 1e10)}
    assert run.run(Shape(16, 4)) is True
    found = data_of(log, "STAT")
    assert found["reason"].startswith("impossible: 3,333 times the limit of compute") and not found["stable"]
