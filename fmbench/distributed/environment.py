"""What the launcher says: the variables that torchrun sets, and that can be set by hand."""

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from fmbench import backend
from fmbench.errors import UsageError
from fmbench.options import Arguments

NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
SPOKEN = 2.0  # seconds in which the first rank of a machine has said what is wrong


@dataclass(frozen=True)
class Launch:
    """This process among those of its job; `local_rank` counts those of one machine."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    address: str = ""


def read_launch(variables: Mapping[str, str] = os.environ) -> Launch:
    """Return what the environment says; one process alone where WORLD_SIZE is not set, or 1.

    Raises UsageError for variables that are missing or wrong.
    """
    if number(variables, "WORLD_SIZE", 1) == 1:
        return Launch()
    missing = [name for name in NEEDED if not variables.get(name)]
    if missing:
        raise UsageError(
            f"WORLD_SIZE is set, and {', '.join(missing)} not; start with torchrun --nproc_per_node N -m fmbench ..."
        )
    world_size, rank = number(variables, "WORLD_SIZE", 1), number(variables, "RANK", 0)
    number(variables, "MASTER_PORT", 0)
    if rank >= world_size:
        raise UsageError(f"RANK={rank}: ranks of WORLD_SIZE={world_size} count from 0 to {world_size - 1}")
    return Launch(rank, world_size, number(variables, "LOCAL_RANK", rank), variables["MASTER_ADDR"])


def keep_stacks_out() -> None:
    """Say no stack of torch's C++ where a connection breaks, unless asked for: its rank is named in one line.

    To be called before torch is imported, which reads the variable then.
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


A = TypeVar("A", bound=Arguments)


def with_device(arguments: A, launch: Launch) -> A:
    """Return the arguments with a device for each rank of a machine, where the platform has several."""
    if launch.world_size == 1 or arguments.device is not None or not backend.find(arguments.platform).numbered:
        return arguments
    return dataclasses.replace(arguments, device=launch.local_rank)


@contextlib.contextmanager
def said_once() -> Iterator[None]:
    """Leave it to the first rank of each machine to say what is wrong with the input: all of them find the same.

    The others end with the same exit code, and without a word. One that fails alone inside a `Group` is named by the
    rest. Errors that are no UsageError, such as a device that is missing, may be of one rank, which says them.
    """
    try:
        yield
    except UsageError as error:
        if not is_second():
            raise
        with contextlib.suppress(KeyboardInterrupt):  # a launcher ends all ranks once one has ended
            time.sleep(SPOKEN)
        raise SystemExit(error.exit_code) from None


def is_second() -> bool:
    """Return whether the environment says that another rank of this machine comes first."""
    try:
        return read_launch().local_rank > 0
    except UsageError:
        return False


def number(variables: Mapping[str, str], name: str, default: int) -> int:
    """Return a variable that is a number. Raises UsageError where it is none."""
    text = variables.get(name) or str(default)
    if not text.isdecimal() or (name == "WORLD_SIZE" and int(text) == 0):
        raise UsageError(f"{name}={text}: is no number of ranks, or of one")
    return int(text)
