"""The training loop: seeded, resumable to the same weights, stopped by NaN or by quality that no longer rises."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from fmbench.console import Progress
from fmbench.distributed import Group
from fmbench.errors import FmbenchError, UsageError

from . import checkpoint
from .steps import CHECKPOINT

POOL = 32  # batches that are sorted by length together: little padding, and still mixed
BEST = "best.safetensors"
Report = Callable[[dict[str, Any]], None]  # takes what one line says of the run


@dataclass(frozen=True)
class Batches:
    """Which examples a step sees: a pure function of seed and step, so that a resumed run sees the same.

    `lengths` holds the tokens of each example. Every batch is full; what is left over at the end of an epoch is left
    out of it. The next epoch draws anew.
    """

    lengths: np.ndarray
    batch_size: int
    seed: int

    @property
    def per_epoch(self) -> int:
        """Steps an epoch: at least one, in which a small set is a single batch."""
        return max(1, len(self.lengths) // self.batch_size)

    def epoch(self, number: int) -> list[np.ndarray]:
        """Return the batches of one epoch, each an array of positions in `lengths`."""
        generator = np.random.default_rng([self.seed, number])
        order = generator.permutation(len(self.lengths))
        found = []
        for start in range(0, len(order), POOL * self.batch_size):
            pool = order[start : start + POOL * self.batch_size]
            pool = pool[np.argsort(self.lengths[pool], kind="stable")]
            found += [pool[first : first + self.batch_size] for first in range(0, len(pool), self.batch_size)]
        full = [batch for batch in found if len(batch) == self.batch_size] or found
        return [full[position] for position in generator.permutation(len(full))]

    def after(self, step: int, last: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (step number from 1 on, batch) for the steps after `step`, up to `last`."""
        while step < last:
            number, position = divmod(step, self.per_epoch)
            for batch in self.epoch(number)[position : position + last - step]:
                step += 1
                yield step, batch


class TrainingError(FmbenchError):
    """Training cannot go on; the last good checkpoint is kept."""


class Task(Protocol):
    """What is trained: a stage of the pipeline."""

    @property
    def module(self) -> nn.Module:
        """What holds every parameter that is trained."""

    @property
    def lengths(self) -> np.ndarray:
        """How many tokens each example has."""

    def groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Return the optimizer's groups of parameters."""

    def loss(self, batch: np.ndarray, group: Group) -> Tensor:
        """Return the mean loss of this process's share of a batch."""

    def quality(self) -> float | None:
        """Return the quality on what is held out, higher is better; None where nothing is held out."""


@dataclass(frozen=True)
class Plan:
    """How a task is trained. `epochs` may be a fraction; `every` counts steps between two looks at the quality.

    `warmup` is a share of the steps, and `warmup_steps` their number, which goes before it. A step's gradient is the
    mean over `gradient_accumulation_steps` batches. `mixed_precision`: what autocast computes in, bfloat16 or float16;
    None is float32.
    """

    epochs: float
    batch_size: int
    learning_rate: float
    schedule: str = "linear"
    warmup: float = 0.1
    warmup_steps: int | None = None
    gradient_accumulation_steps: int = 1
    mixed_precision: str | None = None
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    every: int = 200
    patience: int | None = None


@dataclass
class Training:
    """One run of a task in a folder. `identity` is what a checkpoint must agree with to be gone on with."""

    task: Task
    plan: Plan
    folder: Path
    identity: Mapping[str, Any]
    report: Report
    group: Group = field(default_factory=Group)

    def __post_init__(self) -> None:
        plan = self.plan
        if plan.batch_size % self.group.world_size:
            raise UsageError(
                f"--batch_size {plan.batch_size}: {self.group.world_size} processes cannot share it evenly"
            )
        self.batches = Batches(self.task.lengths, plan.batch_size * plan.gradient_accumulation_steps, plan.seed)
        self.steps = max(1, math.ceil(plan.epochs * self.batches.per_epoch))
        self.parameters = [one for one in self.task.module.parameters() if one.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.task.groups(plan.learning_rate), lr=plan.learning_rate, weight_decay=plan.weight_decay
        )
        self.schedule = make_schedule(self.optimizer, plan, self.steps)
        self.device = next(iter(self.parameters)).device.type
        self.scaler = torch.amp.GradScaler(self.device, enabled=plan.mixed_precision == "float16")
        self.step, self.best_step, self.seconds, self.rate = 0, 0, 0.0, 0.0
        self.best: float | None = None
        self.losses: list[float] = []

    def run(self, resume: bool = False) -> dict[str, Any]:
        """Train, leave the best weights in the task's module, and return what came out.

        Raises TrainingError where the loss is no number, UsageError where a checkpoint does not belong to this run.
        """
        torch.manual_seed(self.plan.seed)
        if resume and (self.folder / CHECKPOINT).is_file():
            self.load()
        elif self.group.rank == 0:
            for name in (CHECKPOINT, BEST):  # of an earlier run in this folder
                (self.folder / name).unlink(missing_ok=True)
        started = time.monotonic() - self.seconds
        ended = self.ended()
        self.task.module.train()
        for step, batch in self.remaining() if ended is None else ():
            self.learn(step, batch)
            if step % self.plan.every == 0 or step == self.steps:
                self.seconds = time.monotonic() - started
                self.look()
                ended = self.ended()
                if ended:
                    break
        if (self.folder / BEST).is_file():
            checkpoint.restore(self.task.module, checkpoint.read(self.folder / BEST)[0])
        self.task.module.eval()
        return {
            "step": self.step, "steps": self.steps, "best_step": self.best_step, "held_out": self.best,
            "seconds": round(self.seconds, 3), "ended": ended,
        }  # fmt: skip

    def remaining(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the steps that are left, and show how far the run is."""
        progress = Progress()
        for step, batch in self.batches.after(self.step, self.steps):
            loss = f", loss {self.losses[-1]:.4f}" if self.losses else ""
            progress.show(f"step {step} of {self.steps}{loss}")
            yield step, batch
        progress.clear()

    @torch.enable_grad()
    def learn(self, step: int, batch: np.ndarray) -> None:
        """Take one step: the gradient of the mean loss over the batch, a part after the other."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = 0.0
        for part in np.array_split(batch, min(self.plan.gradient_accumulation_steps, len(batch))):
            share = len(part) / len(batch)
            with self.autocast():
                own = self.task.loss(part[self.group.rank :: self.group.world_size], self.group) * share
            self.scaler.scale(own).backward()
            loss += own.item()
        self.group.average([one.grad for one in self.parameters if one.grad is not None])
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.plan.clip)
        # A gradient beyond float16 is no error: the scaler leaves that step out, and scales less from then on.
        scale = self.scaler.get_scale()
        if not math.isfinite(loss) or not (torch.isfinite(norm) or scale > 1):
            raise self.diverged(step, "the loss or its gradient")
        self.rate = self.schedule.get_last_lr()[0]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.scaler.get_scale() >= scale:
            self.schedule.step()
        self.step = step
        self.losses.append(loss)

    def autocast(self) -> torch.autocast:
        """Return the context in which a loss is computed; the quality is always that of float32."""
        asked = self.plan.mixed_precision
        return torch.autocast(self.device, getattr(torch, asked) if asked else None, enabled=asked is not None)

    def diverged(self, step: int, what: str) -> TrainingError:
        """Return the error of a run whose numbers left the finite ones."""
        return TrainingError(
            f"step {step}: {what} is no finite number; the weights of step {self.step_on_disk()} are kept: "
            "try a lower --learning_rate"
        )

    def step_on_disk(self) -> int:
        """Return the step of the last checkpoint, 0 where there is none."""
        path = self.folder / CHECKPOINT
        return int(checkpoint.read(path)[1]["step"]) if path.is_file() else 0

    def look(self) -> None:
        """Measure the quality, keep the weights where they are the best so far, write a checkpoint, and report."""
        self.task.module.eval()
        quality = self.task.quality()
        self.task.module.train()
        if quality is not None and not math.isfinite(quality):
            raise self.diverged(self.step, "the held-out quality")
        if quality is None or self.best is None or quality > self.best:  # without a measure the last weights count
            self.best, self.best_step = quality, self.step
            if self.group.rank == 0:
                checkpoint.write(self.folder / BEST, checkpoint.learned(self.task.module), {"step": self.step})
        loss = sum(self.losses) / len(self.losses) if self.losses else None
        if self.group.rank == 0:
            self.save()
            self.report({
                "step": self.step, "steps": self.steps, "epoch": round(self.step / self.batches.per_epoch, 3),
                "loss": loss, "held_out": quality, "learning_rate": self.rate,
                "seconds": round(self.seconds, 3),
            })  # fmt: skip
        self.losses.clear()
        self.group.barrier()

    def ended(self) -> str | None:
        """Return why the run is over, or None."""
        if self.step >= self.steps:
            return "all steps done"
        patience = self.plan.patience
        if patience is not None and self.step - self.best_step >= patience * self.plan.every:
            return f"the quality did not rise in {patience} looks"
        return None

    def save(self) -> None:
        """Write everything that the run needs to go on."""
        tensors = {
            **checkpoint.prefixed("model", checkpoint.learned(self.task.module)),
            **checkpoint.prefixed("optimizer", checkpoint.optimizer_tensors(self.optimizer)),
            "random": torch.get_rng_state(),
        }
        facts = {
            "step": self.step, "best": self.best, "best_step": self.best_step, "seconds": self.seconds,
            "schedule": {key: value for key, value in self.schedule.state_dict().items() if key != "lr_lambdas"},
            "scaler": self.scaler.state_dict(), "identity": dict(self.identity), "ranks": self.group.world_size,
        }  # fmt: skip
        checkpoint.write(self.folder / CHECKPOINT, tensors, facts)

    def load(self) -> None:
        """Go back to the last checkpoint. Raises UsageError where it was made by another run."""
        path = self.folder / CHECKPOINT
        tensors, facts = checkpoint.read(path)
        now = {**self.identity, "processes": self.group.world_size}
        then = {**facts["identity"], "processes": facts["ranks"]}
        differing = [key for key in now.keys() | then.keys() if now.get(key) != then.get(key)]
        if differing:
            raise UsageError(f"{path}: made with another {', '.join(sorted(differing))}; train anew without --resume")
        checkpoint.restore(self.task.module, checkpoint.under("model", tensors))
        checkpoint.restore_optimizer(self.optimizer, checkpoint.under("optimizer", tensors))
        self.schedule.load_state_dict({**facts["schedule"], "lr_lambdas": self.schedule.state_dict()["lr_lambdas"]})
        for group, rate in zip(self.optimizer.param_groups, self.schedule.get_last_lr(), strict=True):
            group["lr"] = rate  # the schedule sets it after a step only
        if facts["scaler"]:
            self.scaler.load_state_dict(facts["scaler"])
        torch.set_rng_state(tensors["random"])
        self.step, self.best, self.best_step = facts["step"], facts["best"], facts["best_step"]
        self.seconds = facts["seconds"]


def make_schedule(optimizer: torch.optim.Optimizer, plan: Plan, steps: int) -> Any:
    """Return a schedule of transformers by its name (linear, cosine, constant_with_warmup, ...). Raises UsageError."""
    import transformers

    warmup = round(plan.warmup * steps) if plan.warmup_steps is None else plan.warmup_steps
    try:
        return transformers.get_scheduler(plan.schedule, optimizer, num_warmup_steps=warmup, num_training_steps=steps)
    except ValueError as error:
        raise UsageError(f"--schedule {plan.schedule}: {error}") from None
