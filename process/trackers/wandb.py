"""Weights & Biases (extra `wandb`). Where to is the environment's: WANDB_MODE, WANDB_DIR, WANDB_ENTITY and its like."""

import importlib.util
import os
from itertools import groupby
from typing import Any

from .tracked_run import PROJECT, TrackedRun


class WandbTracker:
    """A run in a project; every figure is charted over the size that it was measured over."""

    name = "wandb"

    def available(self) -> bool:
        """Whether wandb is installed."""
        return importlib.util.find_spec("wandb") is not None

    def report(self, run: TrackedRun, project: str | None) -> str:
        """Make the run and return its address, or how to send it later."""
        import wandb

        made = wandb.init(
            project=project or os.environ.get("WANDB_PROJECT") or PROJECT,
            name=os.environ.get("WANDB_NAME") or run.name,
            config=dict(run.parameters),
            settings=settings(wandb, run),
        )
        code = 1
        try:
            log(wandb, made, run)
            code = 0
        finally:
            made.finish(exit_code=code)
        return place_of(made)


def settings(wandb: Any, run: TrackedRun) -> Any:
    """Return settings by which a run says nothing of the machine that reports it, which may not have measured it."""
    chosen: dict[str, Any] = {"silent": True, "host": str(run.parameters.get("environment.host", "unknown"))}
    own = {name: value for name, value in chosen.items() if f"WANDB_{name.upper()}" not in os.environ}
    return wandb.Settings(
        console="off", disable_code=True, disable_git=True, save_code=False, x_disable_meta=True, x_disable_stats=True,
        x_disable_machine_info=True, x_save_requirements=False, **own,
    )  # fmt: skip


def log(wandb: Any, made: Any, run: TrackedRun) -> None:
    """Tell figures, totals and plots. A step of wandb's own only counts calls, so each chart names its axis."""
    for name, axis in {each.name: each.axis for each in run.figures}.items():
        made.define_metric(name, step_metric=axis)
    for (axis, step), points in groupby(run.figures, key=lambda each: (each.axis, each.step)):
        made.log({axis: step, **{each.name: each.value for each in points}})
    made.summary.update(dict(run.totals))
    if run.plots:
        made.log({f"plots/{path.stem}": wandb.Image(str(path)) for path in run.plots})


def place_of(made: Any) -> str:
    """Return where a run is."""
    if made.disabled:
        return "told to nobody, since wandb is disabled"
    return f"{made.settings.sync_dir} (`wandb sync` sends it)" if made.offline else str(made.url)
