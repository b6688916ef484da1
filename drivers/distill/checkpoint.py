"""Checkpoints: everything that a training run needs to go on, in one safetensors file that is whole or not there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from fmbench.errors import UsageError, first_line
from fmbench.whole_file import write_whole

FORMAT = 3  # 1 knew of models by their weights alone, 2 of no gradient accumulation


def write(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and facts (JSON values) beside the path, and rename: a killed run leaves the file before."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {"format": "pt", "fmbench": json.dumps({"version": FORMAT, **facts})}
    write_whole(path, save(whole, metadata), kept="the checkpoint before it is kept, and --resume goes on from there")


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return what `write` wrote. Raises UsageError for a file that is none of ours, or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("fmbench", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (OSError, ValueError, SafetensorError) as error:
        raise UsageError(f"{path}: no readable checkpoint ({first_line(error)})") from None
    if not isinstance(facts, dict) or facts.get("version") != FORMAT:
        raise UsageError(f"{path}: a checkpoint of another version; train anew without --resume")
    return tensors, facts


def learned(module: nn.Module) -> dict[str, Tensor]:
    """Return the parameters that are trained, by name; frozen ones come from the teacher again."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


@torch.no_grad()
def restore(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put trained parameters back. Raises UsageError where they are another student's."""
    wanted = learned(module)
    if wanted.keys() != tensors.keys() or any(wanted[name].shape != tensors[name].shape for name in wanted):
        raise UsageError("the checkpoint is another student's: its weights have other names or sizes")
    for name, parameter in wanted.items():
        parameter.copy_(tensors[name])


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return an optimizer's state as named tensors: `<parameter's number>.<what>`."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{key}": value for number, entry in state.items() for key, value in entry.items()}


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put an optimizer's state back; its groups are those that it was built with."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `prefix.`, without it."""
    return {name.removeprefix(f"{prefix}."): value for name, value in tensors.items() if name.startswith(f"{prefix}.")}


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors with `prefix.` before their names."""
    return {f"{prefix}.{name}": value for name, value in tensors.items()}
