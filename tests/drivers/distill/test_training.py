"""The loop: the same weights every time, after a SIGKILL too; what stops it, and what it keeps."""

import itertools
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fmbench.drivers.distill import checkpoint
from fmbench.drivers.distill.students import LookupStudent
from fmbench.drivers.distill.tasks import Alignment
from fmbench.drivers.distill.training import BEST, CHECKPOINT, Batches, Plan, Training, TrainingError
from fmbench.errors import UsageError

from .tiny import tokens_of

PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.drivers.distill.test_training import task, Plan, Training, PLAN
def report(line):
    print(line["step"], flush=True)
    sys.stdin.readline()  # so that the test kills it between two lines
Training(task(), PLAN, Path(sys.argv[1]), {{"student": "lookup"}}, report).run(resume=True)
"""
PLAN = Plan(epochs=4, batch_size=16, learning_rate=0.01, schedule="cosine", every=5, seed=3)


def task(seed: int = 0, count: int = 200, loss: str = "cosine") -> Alignment:
    """An alignment that can be learned: the targets are another lookup student's vectors."""
    generator = torch.Generator().manual_seed(seed)
    ids = [torch.randint(5, 50, (1 + number % 9,), generator=generator).tolist() for number in range(count)]
    table = torch.randn(50, 8, generator=generator)
    hidden = torch.randn(50, 8, generator=generator)
    targets = np.stack([hidden[row].mean(dim=0).numpy() for row in ids])
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    return Alignment(LookupStudent(table, 8, free=True), tokens_of(ids), targets, loss=loss)


def train(folder: Path, plan: Plan = PLAN, **kwargs: object) -> tuple[Training, list[dict]]:
    lines: list[dict] = []
    folder.mkdir(exist_ok=True)
    training = Training(task(**kwargs), plan, folder, {"student": "lookup"}, lines.append)
    training.outcome = training.run()
    return training, lines


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint.read(folder / CHECKPOINT)[0]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("loss", ["cosine", "l2", "kl"])
def test_a_student_learns(loss, tmp_path):
    training, lines = train(tmp_path, loss=loss)
    assert lines[-1]["held_out"] > lines[0]["held_out"] + 0.02
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert training.outcome["ended"] == "all steps done"
    assert training.outcome["held_out"] == max(line["held_out"] for line in lines)
    assert training.task.quality() == training.outcome["held_out"]  # the best weights are in place


def test_the_same_seed_gives_the_same_weights_bit_for_bit(tmp_path):
    train(tmp_path / "a")
    train(tmp_path / "b")
    train(tmp_path / "c", Plan(**{**vars(PLAN), "seed": 4}))
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path):
    code = PROGRAM.format(root=str(Path(__file__).parents[3]))
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        child.stdin.write("\n\n")
        child.stdin.flush()
        seen = list(itertools.islice(child.stdout, 3))
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert seen == ["5\n", "10\n", "15\n"]
    assert checkpoint.read(tmp_path / CHECKPOINT)[1]["step"] < 44  # 180 texts make 11 steps an epoch
    rest = subprocess.run(command, input="", capture_output=True, text=True, check=True).stdout.split()
    assert rest[0] != "5"
    assert rest[-1] == "44"
    whole = tmp_path / "whole"
    train(whole)
    assert same(weights(tmp_path), weights(whole))
    assert same(checkpoint.read(tmp_path / BEST)[0], checkpoint.read(whole / BEST)[0])


def test_a_finished_run_is_not_run_again(tmp_path):
    train(tmp_path)
    lines: list[dict] = []
    outcome = Training(task(), PLAN, tmp_path, {"student": "lookup"}, lines.append).run(resume=True)
    assert lines == []
    assert outcome["step"] == 44


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    train(tmp_path)
    with pytest.raises(UsageError, match="another student"):
        Training(task(), PLAN, tmp_path, {"student": "gru"}, print).run(resume=True)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    (tmp_path / CHECKPOINT).write_bytes(b"not a checkpoint")
    with pytest.raises(UsageError, match="no readable checkpoint"):
        Training(task(), PLAN, tmp_path, {}, print).run(resume=True)


def test_a_held_out_quality_that_is_no_number_keeps_the_last_good_weights(tmp_path, monkeypatch):
    broken, found = task(), iter((0.5, float("nan")))
    monkeypatch.setattr(broken, "quality", lambda: next(found))
    with pytest.raises(TrainingError, match=r"step 10: the held-out quality .* step 5 are kept"):
        Training(broken, PLAN, tmp_path, {}, lambda line: None).run()
    assert checkpoint.read(tmp_path / BEST)[1]["step"] == checkpoint.read(tmp_path / CHECKPOINT)[1]["step"] == 5


def test_a_loss_that_is_no_number_keeps_the_last_good_weights(tmp_path):
    broken = task()
    training = Training(broken, PLAN, tmp_path, {}, lambda line: spoil(broken, line))
    with pytest.raises(TrainingError, match=r"step 11: .* step 10 are kept"):
        training.run()
    assert all(
        bool(torch.isfinite(tensor).all()) for tensor in weights(tmp_path).values() if tensor.is_floating_point()
    )
    assert checkpoint.read(tmp_path / CHECKPOINT)[1]["step"] == 10


def spoil(broken: Alignment, line: dict) -> None:
    if line["step"] == 10:
        broken.targets[:] = np.nan


def test_quality_that_does_not_rise_ends_the_run(tmp_path):
    flat = task()
    flat.quality = lambda: 0.5
    outcome = Training(flat, Plan(**{**vars(PLAN), "patience": 2}), tmp_path, {}, lambda line: None).run()
    assert outcome["ended"] == "the quality did not rise in 2 looks"
    assert (outcome["step"], outcome["best_step"]) == (15, 5)


def test_an_unknown_schedule_is_refused(tmp_path):
    with pytest.raises(UsageError, match="--schedule sawtooth"):
        Training(task(), Plan(1, 16, 0.01, schedule="sawtooth"), tmp_path, {}, print)


def test_batches_are_a_function_of_the_step():
    batches = Batches(np.arange(50) % 7, 8, seed=1)
    whole = list(batches.after(0, 20))
    assert [step for step, _ in whole] == list(range(1, 21))
    later = list(batches.after(9, 20))
    assert [(step, batch.tolist()) for step, batch in later] == [(step, batch.tolist()) for step, batch in whole[9:]]
    first = np.concatenate([batch for _, batch in whole[: batches.per_epoch]])
    assert len(first) == len(set(first.tolist())) == 48
    assert len(next(Batches(np.array([3, 3, 3]), 8, seed=1).after(0, 1))[1]) == 3  # a small set is one batch


def test_without_anything_held_out_the_last_weights_count(tmp_path):
    training = Training(task(count=9), Plan(4, 3, 0.01, every=2), tmp_path, {}, lambda line: None)
    outcome = training.run()
    assert (outcome["held_out"], outcome["best_step"]) == (None, outcome["steps"])


def test_what_an_earlier_run_left_in_the_folder_counts_for_nothing(tmp_path):
    train(tmp_path)
    best = (tmp_path / BEST).read_bytes()
    stopped = task()
    stopped.targets[:] = np.nan
    with pytest.raises(TrainingError, match="step 1: .* step 0 are kept"):
        Training(stopped, PLAN, tmp_path, {}, lambda line: None).run()
    assert best
    assert not (tmp_path / BEST).exists()


@pytest.mark.parametrize("loss", ["cosine", "l2"])
def test_two_batches_of_eight_make_the_step_of_one_of_sixteen(loss, tmp_path):
    halves = Plan(**{**vars(PLAN), "batch_size": 8, "gradient_accumulation_steps": 2})
    (whole, lines), (parts, accumulated) = (train(tmp_path / str(plan.batch_size), plan, loss=loss)
                                            for plan in (PLAN, halves))  # fmt: skip
    assert parts.steps == whole.steps == 44
    for one, other in zip(lines, accumulated, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)
    before, one, other = (found.student.table.weight.detach() for found in (task(), whole.task, parts.task))
    assert float((one - other).abs().max()) < 1e-4 < 0.1 < float((one - before).abs().max())


@pytest.mark.parametrize(
    ("warmup", "expected"),
    [({"warmup_steps": 4}, [0, 0.25, 0.5, 0.75, 1, 0.9]), ({"warmup": 2 / 14}, [0, 0.5, 1, 11 / 12]),
     ({"warmup_steps": 0}, [1, 13 / 14])],
)  # fmt: skip
def test_the_rate_rises_over_the_steps_of_the_warm_up(warmup, expected, tmp_path):
    plan = Plan(epochs=14 / 11, batch_size=16, learning_rate=0.01, every=1, **warmup)
    rates = [line["learning_rate"] for line in train(tmp_path, plan)[1]]
    assert len(rates) == 14
    assert rates[: len(expected)] == pytest.approx([0.01 * share for share in expected])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_mixed_precision_computes_in_fewer_bits_and_keeps_the_rest(dtype, tmp_path):
    seen = []
    mixed = task()
    mixed.student.linear.register_forward_hook(lambda module, given, found: seen.append((module.training, found.dtype)))
    plan = Plan(**{**vars(PLAN), "mixed_precision": dtype})
    lines: list[dict] = []
    outcome = Training(mixed, plan, tmp_path, {}, lines.append).run()
    assert set(seen) == {(True, getattr(torch, dtype)), (False, torch.float32)}  # the quality is of float32
    assert {parameter.dtype for parameter in mixed.student.parameters()} == {torch.float32}
    exact, exact_lines = train(tmp_path / "exact")
    assert outcome["held_out"] == pytest.approx(exact.outcome["held_out"], abs=0.01)
    assert lines[-1]["loss"] != exact_lines[-1]["loss"]
    assert checkpoint.read(tmp_path / CHECKPOINT)[1]["scaler"].get("scale", 0) == (65536 if dtype == "float16" else 0)


def test_a_gradient_beyond_float16_leaves_a_step_out_and_ends_no_run(tmp_path):
    plan = Plan(epochs=1, batch_size=16, learning_rate=0.01, warmup_steps=0, mixed_precision="float16")
    training = Training(task(), plan, tmp_path, {}, lambda line: None)
    training.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40, growth_interval=10**9)
    before = training.task.student.linear.weight.clone()
    training.learn(1, training.batches.epoch(0)[0])
    assert torch.equal(training.task.student.linear.weight, before)
    assert training.scaler.get_scale() == 2.0**39
    assert training.schedule.get_last_lr() == [0.01, 0.01]  # the schedule waits too
    for step in range(2, 40):
        training.learn(step, training.batches.epoch(0)[0])
    assert not torch.equal(training.task.student.linear.weight, before)
